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
from collections.abc import Collection, Iterable, Mapping, Sequence
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
    PORT_MARK,
    PROBE,
    RAW_ADDRESS,
    RAW_USER,
    USER,
    Connection,
    Connections,
)
from producers.filters.entries import Entry, program_of, unwrap
from producers.filters.partial_lines import PartialLines
from producers.filters.rows import EventRow
from producers.filters.sshd import HEADER_GROUPS, PROGRAMS, STEPS_BY_TAIL
from producers.filters.sshd_forms import SECOND, THOUSANDTHS, UNREAD, Form, form_of, frequent_line
from producers.filters.times import plain_time
from producers.stamps import LineClock, Stamps
from schemas.errors import InvalidMessage

SPARSE: Final = 0.5
SAMPLE_BYTES: Final = 4_096
FEW_BYTES: Final = 4_096
"""Of so few it is not worth while to see what form their times have."""
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
        self._dense = True
        self._notices: Counter[str] = Counter()

    def scan(self, data: bytes, clock: LineClock, starts: Sequence[int] | None = None) -> list[EventRow]:
        """The events in whole lines, in order."""
        self._clock = clock
        self._stamps.begin(clock)
        self._torn = self._partial.starts(data)
        form = form_of(data) if len(data) > FEW_BYTES else None
        line = sshd.LINE if form is None else frequent_line(form)
        places = self._candidates(data, starts)
        if places is None:
            rows = self._rows(line.finditer(data), form)
        else:
            rows = self._rows(cast("Iterable[re.Match[bytes]]", map(line.match, repeat(data), places)), form)
        self._heed_headers()
        return rows

    def _candidates(self, data: bytes, starts: Sequence[int] | None) -> Collection[int] | None:
        """Where to look; None: at every line, as most interest."""
        if self._dense and not is_sparse(data):
            return None
        places = finder_of((sshd.NEEDLES,)).lines(data) if starts is None else starts
        self._dense = len(places) > lines_about(data) * SPARSE
        return places

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

    def _rows(  # noqa: C901, PLR0912, PLR0915 - calls cost 40 % here
        self, matches: Iterable[re.Match[bytes]], form: Form | None = None, sent: bytes = b""
    ) -> list[EventRow]:
        """The hot path: the frequent shapes inline, everything else by `_uncommon`.

        `form`: whose `frequent_line` has matched, None: `LINE`. `sent`: the time of lines that bear none.
        """
        rows: list[EventRow] = []
        append, stamps, connections = rows.append, self._stamps, self._connections
        known, find, drop = connections.young.get, connections.find, connections.drop
        seconds: dict[bytes, int] = {}
        steps, header_groups, unread, thousandths = STEPS_BY_TAIL, HEADER_GROUPS, UNREAD, THOUSANDTHS
        for match in matches:
            last = match.lastindex
            if last is None or last <= header_groups:
                continue
            time, fraction, key, words, _, raw_user, peer, bare_words, _, bare_peer, pam, pam_user, _, _ = (
                match.groups()
            )
            second_ms = seconds.get(time)
            if second_ms is None and form is not None:
                second_ms = None if last == unread else self._second_ms(time, form)
                if second_ms is None:
                    rows += self._exact(match)
                    continue
                seconds[time] = second_ms
            connection = known(key)
            portless = False
            if words is not None:
                code, over = steps[words]
                if connection is None or connection[PEER] != peer:
                    address, _, port = peer.partition(PORT_MARK)
                    connection = find(key, address, peer, port, code)
            elif bare_words is not None:
                code, over = steps[bare_words]
                if connection is None or connection[PEER] != bare_peer:
                    address, _, port = bare_peer.partition(PORT_MARK)
                    connection = find(key, address, bare_peer, port, code)
            elif pam is not None:
                code, over, raw_user, portless = PROBE, False, pam_user, True
                if connection is None or connection[RAW_ADDRESS] != pam:
                    connection = find(key, pam, None, None, code)
            else:
                party = self._uncommon(match, rows)
                if party is None:
                    continue
                connection, code, over, raw_user, portless = party
            if connection is None:
                self._notices[NO_ADDRESS] += 1
                continue
            start, end = match.span()
            skewed = False
            if second_ms is None:
                at_ms, skewed = stamps.read(time or sent)
                if not (skewed or stamps.twice):
                    seconds[time] = at_ms
            else:
                at_ms = second_ms + thousandths[fraction]
            count = connection[code] = connection[code] + 1
            if count > connection[LARGEST]:
                connection[LARGEST] = count
                kind = "failed"
                if count >= ALWAYS:
                    kind = "succeeded"
                    connections.finish(key or connection[PEER], connection, at_ms)
            elif connection[LARGEST] < ALWAYS or at_ms - connection[DONE_AT] > DONE_MS:
                kind = "probed"
            else:
                kind = None
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
            append(
                (
                    kind,
                    at_ms,
                    connection[ADDRESS],
                    start,
                    end,
                    user,
                    None if portless else connection[PORT],
                    connection[HOST],
                    skewed,
                    0,
                    None,
                )
            )
        return rows

    def _second_ms(self, text: bytes, form: Form) -> int | None:
        """The instant of a time up to its seconds; None when each line of it is to be read by itself."""
        return self._stamps.second(text + form.zone) if SECOND.fullmatch(text) else None

    def _exact(self, match: re.Match[bytes]) -> list[EventRow]:
        """A line that the expression for the frequent ones leaves to the one for all."""
        line = sshd.LINE.match(match.string, match.start())
        return [] if line is None else self._rows((line,))

    def _uncommon(self, match: re.Match[bytes], rows: list[EventRow]) -> LineMeaning | None:
        """What a rare line says; a line that stands for others adds their rows itself."""
        key, text = match.group(sshd.HEADER_GROUPS, sshd.RARE)
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
        address, _, port = peer.partition(PORT_MARK) if peer else (parts["address"], b"", None)
        code = rare.code if key or peer else PROBE
        connection = self._connections.find(key, address, peer, port, code)
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
                found = self._rows(repeat(line, entry.times), sent=sent)
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
        program = program_of(entry.program)
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


def lines_about(data: bytes) -> float:
    """How many lines a buffer has, going by its beginning."""
    sample = min(len(data), SAMPLE_BYTES)
    return data.count(b"\n", 0, sample) * len(data) / max(sample, 1)
