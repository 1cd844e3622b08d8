"""The sshd filter at work on buffers: one expression over all lines, or over the candidates alone.

The plan: one expression decides what a line is. Where most lines are of interest it runs through the whole
buffer in C, line after line. Where few are, candidates are found first by scanning the buffer for literals,
and it runs on those. Either way the same expression meets the same lines, so the results are the same.

It reads the two most frequent headers itself. A line of any other form is taken out of its envelopes like
every filter's (`producers.filters.entries`) and read again as its message: whichever lines stand beside it.

| what is left of a line | is of the connection |
|---|---|
| a message of sshd's, with a process id | `HOST PROGRAM[PID` |
| a container's or a supervised sshd's line | `ADDRESS port PORT` |
| a bare line, of `sshd -E`'s file | the same; nobody's in a stream whose lines have headers |
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, Final, cast

from producers.contract import LINE_LIMIT_BYTES
from producers.filters import sshd
from producers.filters.candidates import finder_of
from producers.filters.connections import (
    ADDRESS,
    ALWAYS,
    DONE_AT,
    DONE_MS,
    HOST,
    LARGEST,
    PEER,
    PORT,
    PROBE,
    RAW_ADDRESS,
    RAW_USER,
    USER,
    Connection,
    Connections,
)
from producers.filters.entries import Entry, unwrap
from producers.filters.partial_lines import PartialLines
from producers.filters.rows import EventRow
from producers.filters.sshd import HEADER_GROUPS, PROGRAMS, STEPS_BY_TAIL
from producers.filters.times import plain_time
from producers.stamps import LineClock, Stamps
from schemas.errors import InvalidMessage

SPARSE: Final = 0.5
SAMPLE_BYTES: Final = 4_096
PART: Final = re.compile(rb"[/(@]")
ODD_WORDS: Final = frozenset({b"", b"message", b"[ID"})
NO_ADDRESS: Final = "lines of sshd without a literal address, as with UseDNS yes (set UseDNS no)"

LineMeaning = tuple[Connection | None, int, bool, bytes | None, bool]
"""What a line says: (its connection, its class, whether that connection is over, its user, no port)."""


class SshdMatcher:
    """The sshd filter on one stream of lines."""

    by_entry = None

    def __init__(self, stamps: Stamps | None = None) -> None:
        self._stamps = stamps or Stamps()
        self._partial = PartialLines()
        self._torn: frozenset[int] = frozenset()
        self._connections = Connections()
        self._clock = LineClock(0)
        self._headed: bool | None = None
        self._notices: Counter[str] = Counter()

    def scan(self, data: bytes, clock: LineClock, starts: Sequence[int] | None = None) -> list[EventRow]:
        """The events in whole lines, in order."""
        self._clock = clock
        self._stamps.begin(clock)
        self._torn = self._partial.starts(data)
        if is_sparse(data):
            places = finder_of((sshd.NEEDLES,)).lines(data) if starts is None else starts
            rows = self._rows(cast("Iterable[re.Match[bytes]]", map(sshd.LINE.match, repeat(data), places)))
        else:
            rows = self._rows(sshd.LINE.finditer(data))
        self._heed_headers()
        return rows

    def save(self) -> dict[str, Any]:
        """The open connections, and whether lines have headers here (null: not known yet)."""
        return {**self._connections.save(), "headed": self._headed}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on where `save` was called."""
        headed = saved.get("headed")
        if headed is not None and not isinstance(headed, bool):
            raise InvalidMessage(f"expected true, false or null, not {headed!r:.80}", field="headed")
        self._connections.load(saved)
        self._headed = headed

    def notices(self) -> Mapping[str, int]:
        """What was seen and gave no event, or none of its time: a sentence, and how often."""
        return self._notices + Counter(self._stamps.notices())

    def _rows(self, matches: Iterable[re.Match[bytes]], sent: bytes = b"") -> list[EventRow]:  # noqa: C901, PLR0912, PLR0915 - calls cost 40 % here
        """The hot path: the frequent shapes inline, everything else by `_uncommon`.

        `sent`: the time of lines that bear none, in a form that `Stamps` reads.
        """
        rows: list[EventRow] = []
        append, stamps, stamp_of = rows.append, self._stamps, self._stamps.read
        connections = self._connections
        known, find, drop = connections.young.get, connections.find, connections.drop
        times: dict[bytes, tuple[int, bool]] = {}
        steps, header_groups = STEPS_BY_TAIL, HEADER_GROUPS
        for match in matches:
            last = match.lastindex
            if last is None or last <= header_groups:
                continue
            time, key, words, _, raw_user, peer, bare_words, _, bare_peer, pam, pam_user, _, _ = (
                match.groups()
            )
            connection = known(key)
            portless = False
            if words is not None:
                code, over = steps[words]
                if connection is None or connection[PEER] != peer:
                    connection = find(key, peer[: peer.find(b" ")], peer, code)
            elif bare_words is not None:
                code, over = steps[bare_words]
                if connection is None or connection[PEER] != bare_peer:
                    connection = find(key, bare_peer[: bare_peer.find(b" ")], bare_peer, code)
            elif pam is not None:
                code, over, raw_user, portless = PROBE, False, pam_user, True
                if connection is None or connection[RAW_ADDRESS] != pam:
                    connection = find(key, pam, None, code)
            else:
                party = self._uncommon(match, rows)
                if party is None:
                    continue
                connection, code, over, raw_user, portless = party
            if connection is None:
                self._notices[NO_ADDRESS] += 1
                continue
            count = connection[code] = connection[code] + 1
            if count > connection[LARGEST]:
                connection[LARGEST] = count
                kind = "failed"
                if count >= ALWAYS:
                    kind = "succeeded"
                    done_ms = (times.get(time) or stamp_of(time or sent))[0]
                    connections.finish(key or connection[PEER], connection, done_ms)
            elif connection[LARGEST] < ALWAYS:
                kind = "probed"
            else:
                kind = None
                if (times.get(time) or stamp_of(time or sent))[0] - connection[DONE_AT] > DONE_MS:
                    kind = "probed"
            if over:
                drop(key or connection[PEER])
            if kind is None:
                continue
            if raw_user is None:
                user = None
            elif raw_user == connection[RAW_USER]:
                user = connection[USER]
            else:
                connection[RAW_USER] = raw_user
                user = connection[USER] = raw_user.decode("utf-8", "replace")
            known_at = times.get(time)
            at = known_at or stamp_of(time or sent)
            if known_at is None and not stamps.twice:
                times[time] = at
            start, end = match.span()
            append(
                (
                    kind,
                    at[0],
                    connection[ADDRESS],
                    start,
                    end,
                    user,
                    None if portless else connection[PORT],
                    connection[HOST],
                    at[1],
                    0,
                    None,
                )
            )
        return rows

    def _uncommon(self, match: re.Match[bytes], rows: list[EventRow]) -> LineMeaning | None:
        """What a rare line says; a line that stands for others adds their rows itself."""
        key, text = match.group(2, sshd.RARE)
        text = text or b""
        word = text[: text.find(b" ")] if text else b""
        if word in ODD_WORDS:
            if match.re is sshd.LINE:
                self._odd(match, rows)
            return None
        for rare in sshd.RARE_BY_WORD.get(word, ()):
            found = rare.text.fullmatch(text)
            if found is not None:
                return self._party(rare, found.groupdict(), key)
        return None

    def _party(self, rare: sshd.Rare, parts: Mapping[str, bytes], key: bytes) -> LineMeaning:
        user = parts.get("user")
        peer = parts.get("peer")
        address = peer[: peer.find(b" ")] if peer else parts["address"]
        code = rare.code if key or peer else PROBE
        connection = self._connections.find(key, address, peer, code)
        return connection, code, rare.over, user, peer is None

    def _odd(self, match: re.Match[bytes], rows: list[EventRow]) -> None:
        """A line of a rarer form: what is left of it without its envelopes. It may stand for several."""
        start, end = match.span()
        if start in self._torn or end - start > LINE_LIMIT_BYTES:
            return
        for entry in unwrap(match.string[start:end].rstrip(b"\r\n")).readings():
            line = self._message_of(entry)
            if line is not None:
                sent = plain_time(entry.time or entry.sent)
                found = self._rows(repeat(line, entry.times), sent)
                if found and entry.program is None and not entry.wrapped:
                    self._headed = False
                rows += [
                    (*row[:3], start, end, *row[5:7], entry.host, row[8], nth, None)
                    for nth, row in enumerate(found)
                ]
                break

    def _message_of(self, entry: Entry) -> re.Match[bytes] | None:
        """An entry as the line that the expression reads; None when it is not sshd's."""
        text = entry.text.replace(b"\n", b" ") + b"\n"
        if entry.program is None:
            return self._headless(entry, text)
        program = PART.split(entry.program, 1)[0]
        if program not in PROGRAMS or not entry.pid.isdigit():
            return None
        host = b"-" if entry.host is None else entry.host.encode("utf-8", "replace").replace(b" ", b"_")
        return sshd.KEYED_LINE.fullmatch(b"%s %s[%s]: %s" % (host, program, entry.pid[:10], text))

    def _headless(self, entry: Entry, text: bytes) -> re.Match[bytes] | None:
        """A message without a header: a container's, or of a file that has none; else it is a forgery."""
        left = sshd.LEFT.fullmatch(text)
        if left is not None:
            self._connections.drop(left["peer"])
        line = sshd.HEADLESS_LINE.fullmatch(text)
        if line is None or line.lastindex in {None, HEADER_GROUPS}:
            return None
        if not entry.wrapped:
            self._heed_headers()
        return line if entry.wrapped or not (self._headed or entry.headed) else None

    def _heed_headers(self) -> None:
        """The first connection of a stream says whether its lines have headers."""
        if self._headed is None and self._connections.keyed:
            self._headed = True


def is_sparse(data: bytes) -> bool:
    """Whether few lines of a buffer are sshd's, going by its beginning."""
    lines = data.count(b"\n", 0, SAMPLE_BYTES)
    return data.count(b" sshd", 0, SAMPLE_BYTES) <= lines * SPARSE
