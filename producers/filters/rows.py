"""What a filter finds, as rows: on the hot path a tuple is a third of the price of an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from producers.stamps import Clock

Row = tuple[str, int, str, int, int, str | None, int | None, str | None, bool, int]
"""(kind, at_ms, ip, start, end, user, port, host, skewed, nth)

`start` and `end` bound the line in the data, `end` past its newline. `nth` counts the events of one line
from 0 (a "message repeated 5 times" has five): the event's position is the line's plus `nth`.
"""

KIND, AT_MS, IP, START, END, USER, PORT, HOST, SKEWED, NTH = range(10)


class Matcher(Protocol):
    """A filter at work on one stream of lines. It remembers what the next lines need."""

    def scan(self, data: bytes, clock: Clock) -> list[Row]:
        """The events in whole lines, in order. How the stream is cut into buffers makes no difference."""
        ...

    def save(self) -> Mapping[str, Any]:
        """What it remembers, as JSON, to be stored with the position in the stream."""
        ...

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on where `save` was called. Raises InvalidMessage when it is no such state."""
        ...

    def notices(self) -> Mapping[str, int]:
        """What was seen and gave no event: a sentence, and how often."""
        ...


class Filter(Protocol):
    """How lines of one kind of service become events."""

    @property
    def name(self) -> str:
        """The name a jail asks for it by."""
        ...

    @property
    def version(self) -> str:
        """A hash of its text: it changes when its results may."""
        ...

    @property
    def service(self) -> str:
        """The service its events are about."""
        ...

    def matcher(self) -> Matcher:
        """A matcher for one stream, remembering nothing yet."""
        ...
