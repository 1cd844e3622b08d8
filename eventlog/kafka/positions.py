"""The readers' positions: a compacted topic with the reader's name as key, written by commits only."""

from __future__ import annotations

from threading import Lock

from kafka.structs import TopicPartition

from eventlog.kafka.reader import Reader


class Positions:
    """What was last committed, read on from where it was read to before. Threads may share it."""

    def __init__(self, reader: Reader, place: TopicPartition) -> None:
        self._reader = reader
        self._place = place
        self._lock = Lock()
        self._known: dict[str | None, bytes] = {}
        self._next = 0

    def of(self, reader: str) -> bytes | None:
        """The position last committed for a reader; None when there never was one."""
        with self._lock:
            for message in self._reader.all_from(self._place, self._next):
                self._known[message.key] = message.value
                self._next = message.offset + 1
            return self._known.get(reader)
