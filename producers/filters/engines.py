"""Code of their own for services whose lines mean something only together; it reads plain lines."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from producers.filters.entries import Entry, unwrap
from producers.filters.partial_lines import PartialLines
from producers.filters.rows import EventRow, Matcher
from producers.filters.sshd_matcher import SshdMatcher
from producers.filters.times import plain_time
from producers.stamps import LineClock, Stamps

ENVELOPE: Final = re.compile(rb'\{"|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) std(?:out|err) [FP]')
Envelope = tuple[int, int, bytes]
"""(where the enveloped line starts, where it ends, its envelope's time)"""


@dataclass(frozen=True, slots=True)
class Engine:
    """Code of its own for a service whose lines mean something only together.

    Attributes:
        make: a matcher of plain lines.
        modules: the files that its results follow from.
    """

    make: Callable[[Stamps | None], Matcher]
    modules: tuple[str, ...]

    def matcher(self, stamps: Stamps | None) -> Matcher:
        """A matcher for one stream, whatever envelopes its lines come in."""
        return Unwrapping(self.make(stamps), stamps)


ENGINES: Final = {
    "sshd": Engine(
        lambda stamps: SshdMatcher(stamps=stamps),
        ("sshd.py", "sshd_matcher.py", "connections.py", "memory.py"),
    )
}
"""By the name that a filter's file gives as its `engine`."""


class Unwrapping:
    """A matcher of plain lines that reads enveloped ones as well: a container's, and the journal's as JSON.

    A buffer of enveloped lines is rewritten as the plain lines within, the journal's with the header that
    `journalctl -o short-unix` would write; the events found there get the places, and a container's the
    times, of the lines that they came in.
    """

    by_entry = None

    def __init__(self, inner: Matcher, stamps: Stamps | None = None) -> None:
        self._inner = inner
        self._stamps = stamps or Stamps()
        self._partial = PartialLines()

    def scan(self, data: bytes, clock: LineClock, starts: Sequence[int] | None = None) -> list[EventRow]:
        """The events in whole lines, in order."""
        if not _enveloped(data):
            return self._inner.scan(data, clock, starts)
        plain, begins, places = _unwrapped(data, self._partial.starts(data))
        rows = self._inner.scan(plain, clock)
        self._stamps.begin(clock)
        return [self._enveloped_row(row, places[bisect_right(begins, row[3]) - 1]) for row in rows]

    def save(self) -> Mapping[str, Any]:
        """What it remembers, as JSON."""
        return self._inner.save()

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on where `save` was called."""
        self._inner.load(saved)

    def notices(self) -> Mapping[str, int]:
        """What was seen and gave no event: a sentence, and how often."""
        return self._inner.notices()

    def _enveloped_row(self, row: EventRow, place: Envelope) -> EventRow:
        kind, at_ms, ip, _, _, user, port, host, skewed, nth, fields = row
        start, end, time = place
        if time:
            at_ms, skewed = self._stamps.read(plain_time(time))
        return kind, at_ms, ip, start, end, user, port, host, skewed, nth, fields


def _enveloped(data: bytes) -> bool:
    """Whether some line is in an envelope: going by the first one and the last, and by JSON anywhere.

    A log is of one form, but a crash may tear a line, and a writer be set up anew. No client writes a line.
    """
    last = data.rfind(b"\n", 0, -1) + 1
    if ENVELOPE.match(data) is not None or ENVELOPE.match(data, last) is not None:
        return True
    # The sign alone is looked for first: that is eight times as fast, and most logs have none.
    return b"{" in data and b'\n{"' in data


def _unwrapped(data: bytes, partial: frozenset[int]) -> tuple[bytes, list[int], list[Envelope]]:
    """The plain lines, where each begins, and where it came from."""
    lines: list[bytes] = []
    begins: list[int] = []
    places: list[Envelope] = []
    start = size = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        entry = unwrap(data[start:end].rstrip(b"\r\n"))
        line = b"\n" if start in partial else _plain(entry).replace(b"\n", b" ") + b"\n"
        lines.append(line)
        begins.append(size)
        places.append((start, end, entry.time))
        start, size = end, size + len(line)
    return b"".join(lines), begins, places


def _plain(entry: Entry) -> bytes:
    """A line without its envelope; the journal's message with a header."""
    if not entry.journal:
        return entry.line
    host, time = (entry.host or "-").encode(), plain_time(entry.time)
    return b"%s %s %s[%s]: %s" % (time, host, entry.program or b"-", entry.pid or b"1", entry.text)
