"""The sshd filter at work on buffers: one expression over all lines, or over the candidates alone.

The plan: one expression decides what a line is. Where most lines are of interest it runs through the whole
buffer in C, line after line. Where few are, their candidates are found first by a literal scan of the buffer
and it runs on those. Either way the same expression meets the same lines, so the results are the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from typing import Any, Final, cast

from producers.filters import sshd
from producers.filters.candidates import Finder, FindFinder
from producers.filters.connections import (
    ADDRESS,
    HOST,
    PAM_UNIX,
    PEER,
    PORT,
    PROBE,
    RAW_USER,
    USER,
    Connection,
    Connections,
    judge,
)
from producers.filters.rows import Row
from producers.filters.sshd import STEPS, Step
from producers.stamps import Clock, Stamps
from schemas.errors import InvalidMessage

SPARSE: Final = 0.5
SAMPLE_BYTES: Final = 16_384
MOST_REPEATS: Final = 32
NO_ADDRESS: Final = "lines of sshd with a host name instead of an address (set UseDNS no)"

Match = re.Match[bytes]


class SshdMatcher:
    """The sshd filter on one stream of lines."""

    def __init__(self, finder: Finder | None = None, stamps: Stamps | None = None) -> None:
        self._finder = finder or FindFinder(b" sshd")
        self._stamps = stamps or Stamps()
        self._connections = Connections()
        self._headed: bool | None = None
        self._notices: Counter[str] = Counter()
        self._clock = Clock(0)
        self._times: dict[bytes, tuple[int, bool]] = {}
        self._found: list[Row] = []
        self._handlers: list[Callable[[Match], None]] = [self._skip] * (sshd.HEADLESS + 1)
        self._handlers[sshd.LOGIN] = self._login
        self._handlers[sshd.BARE] = self._bare
        self._handlers[sshd.PAM_NAMELESS] = self._handlers[sshd.PAM_USER] = self._pam
        self._handlers[sshd.RARE] = self._rare
        self._handlers[sshd.HEADLESS] = self._headless

    def scan(self, data: bytes, clock: Clock) -> list[Row]:
        """The events in whole lines, in order."""
        if self._headed and is_sparse(data):
            starts = self._finder.starts(data)
            return self._rows(cast("Iterable[Match]", map(sshd.LINE.match, repeat(data), starts)), clock)
        return self._rows(sshd.LINE.finditer(data), clock)

    def save(self) -> dict[str, Any]:
        """The open connections, and whether lines have headers here."""
        return {**self._connections.save(), "headed": self._headed}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on where `save` was called."""
        headed = saved.get("headed")
        if headed not in {None, True, False}:
            raise InvalidMessage(f"expected true, false or null, not {headed!r:.80}", field="headed")
        self._connections.load(saved)
        self._headed = headed

    def notices(self) -> Mapping[str, int]:
        """What was seen and gave no event: a sentence, and how often."""
        return self._notices

    def _rows(self, matches: Iterable[Match], clock: Clock) -> list[Row]:
        self._clock = clock
        self._times.clear()
        self._found = []
        handlers = self._handlers
        for match in matches:
            handlers[match.lastindex or 0](match)
        found, self._found = self._found, []
        return found

    def _skip(self, match: Match) -> None:
        """Not sshd's."""

    def _login(self, match: Match) -> None:
        time, key, words, user, peer = match.group(1, 2, 3, 5, 6)
        connection = self._connections.young.get(key)
        if connection is None or connection[PEER] != peer:
            connection = self._connections.find(key, peer)
        self._observe(match, connection, STEPS[words], user)

    def _bare(self, match: Match) -> None:
        key, words, peer = match.group(2, 7, 9)
        self._observe(match, self._connections.find(key, peer), STEPS[words], None)

    def _pam(self, match: Match) -> None:
        key, words, address, user = match.group(2, 10, 11, 12)
        connections = self._connections
        connection = connections.find_portless(key, address)
        code = PAM_UNIX if words == sshd.PAM_UNIX_WORDS and key else PROBE
        self._observe(match, connection, (code, False), user)
        if connection is not None and code == PAM_UNIX and connection[PEER] is None:
            connections.owe(key, connection)

    def _rare(self, match: Match) -> None:
        key, text = match.group(2, sshd.RARE)
        word = text.partition(b" ")[0]
        if word == b"message":
            self._repeated(match, text)
        for rare in sshd.RARE_BY_WORD.get(word, ()):
            found = rare.text.fullmatch(text)
            if found is not None:
                self._observe(match, *self._rare_party(rare, found, key))
                return

    def _rare_party(
        self, rare: sshd.Rare, found: Match, key: bytes
    ) -> tuple[Connection | None, Step, bytes | None]:
        parts = found.groupdict()
        peer = parts.get("peer")
        connection = (
            self._connections.find(key, peer)
            if peer
            else self._connections.find_portless(key, parts["address"])
        )
        code = rare.code if peer or key else PROBE
        return connection, (code, rare.over), parts.get("user")

    def _repeated(self, match: Match, text: bytes) -> None:
        """`message repeated 5 times: [ ... ]`: five events, at the line's position and the four after it."""
        inner = sshd.REPEATED.fullmatch(text)
        if inner is None:
            return
        line = match.string[match.start() : match.start(sshd.RARE)] + inner[2] + b"\n"
        again = sshd.LINE.match(line)
        if again is None or again.lastindex in {None, sshd.HEADLESS} or inner[2].startswith(b"message"):
            return
        times = min(int(inner[1]), MOST_REPEATS)
        before = len(self._found)
        for _ in range(times):
            self._handlers[again.lastindex or 0](again)
        start, end = match.span()
        self._found[before:] = [
            (kind, at_ms, ip, start, end, *rest[:-1], nth)
            for nth, (kind, at_ms, ip, _, _, *rest) in enumerate(self._found[before:])
        ]

    def _headless(self, match: Match) -> None:
        """A line of sshd's own log file; in a file with headers it is a forgery, and skipped."""
        if self._headed:
            return
        found = sshd.HEADLESS_LINE.match(match.string, match.start())
        if found is not None:
            self._handlers[found.lastindex or 0](found)

    def _observe(
        self, match: Match, connection: Connection | None, step: Step, raw_user: bytes | None
    ) -> None:
        if connection is None:
            self._notices[NO_ADDRESS] += 1
            return
        kind = judge(connection, step[0])
        key = match[2]
        if step[1]:
            self._connections.drop(key, connection[PEER])
        if kind is None:
            return
        if kind == "failed" and self._connections.owed:
            kind = self._connections.settle(key, connection)
        if raw_user is not None and raw_user != connection[RAW_USER]:
            connection[RAW_USER] = raw_user
            connection[USER] = raw_user.decode("utf-8", "replace")
        time = match[1]
        at = self._times.get(time) or self._read_time(time)
        if self._headed is None:
            self._headed = bool(key)
        start, end = match.span()
        self._found.append(
            (
                kind,
                at[0],
                connection[ADDRESS],
                start,
                end,
                None if raw_user is None else connection[USER],
                connection[PORT],
                connection[HOST],
                at[1],
                0,
            )
        )

    def _read_time(self, text: bytes) -> tuple[int, bool]:
        at = self._times[text] = self._stamps.read(text, self._clock)
        return at


def is_sparse(data: bytes) -> bool:
    """Whether few lines of a buffer are sshd's, going by its beginning."""
    lines = data.count(b"\n", 0, SAMPLE_BYTES)
    return data.count(b" sshd", 0, SAMPLE_BYTES) <= lines * SPARSE
