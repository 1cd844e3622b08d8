"""Reading a partition from its end: the newest first, and no more than is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from eventlog.contract import EventLog, Message, Place

FEWEST_BACK: Final = 8
MOST_BACK: Final = 256
"""So many messages are read at once."""


def pages_back(
    log: EventLog, place: Place, start: int | None = None, end: int | None = None, most: int = MOST_BACK
) -> Iterator[Message]:
    """The messages of a place from before an offset (None: its present end) back to another (None: all).

    They are read in stretches, each larger than the one before, of up to `most` messages: who stops soon has
    read little.
    """
    end, size = log.end(*place) if end is None else end, FEWEST_BACK
    begin = start or 0
    while end > begin:
        first = max(begin, end - size)
        found = _between(log, place, first, end)
        yield from reversed(found)
        if not found and start is None:  # there may be a gap, or nothing that is older
            begin = start = log.begin(*place)
        end, size = first, min(2 * size, most)


def _between(log: EventLog, place: Place, start: int, end: int) -> list[Message]:
    """The messages between two offsets; a log may hand out fewer at once than it is asked for, or more."""
    found: list[Message] = []
    while start < end and (some := log.read(*place, start, limit=end - start)):
        found += some
        start = some[-1].offset + 1
    return [message for message in found if message.offset < end]
