"""Reading a partition from its end: the newest first, and no more than is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from eventlog.contract import EventLog, Message

FIRST: Final = 64
MOST: Final = 4_096
GROWTH: Final = 4


def backwards(
    log: EventLog, topic: str, partition: int = 0, *, least: int = 0, most: int = MOST
) -> Iterator[Message]:
    """The messages of a partition from its present end back to an offset, newest first.

    They are read in stretches, each larger than the one before, of up to `most` messages: who stops soon has
    read little.
    """
    end, size = log.end(topic, partition), min(FIRST, most)
    begin = max(log.begin(topic, partition), least)
    while end > begin:
        start = max(begin, end - size)
        yield from reversed(_stretch(log, topic, partition, start, end))
        end, size = start, min(size * GROWTH, most)


def _stretch(log: EventLog, topic: str, partition: int, start: int, end: int) -> list[Message]:
    """The messages between two offsets; a log may hand out fewer at once than it is asked for."""
    found: list[Message] = []
    while start < end and (batch := log.read(topic, partition, start, limit=end - start)):
        found += [message for message in batch if message.offset < end]
        start = batch[-1].offset + 1
    return found
