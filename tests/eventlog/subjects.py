"""The logs under test, each behind the same few words, and the clock they are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eventlog.contract import Append, EventLog, Message
from eventlog.memory import MemoryLog
from eventlog.sqlite import SqliteLog

START_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""


@dataclass(slots=True)
class FixedClock:
    """A clock that stands until it is set."""

    now_ms: int = START_MS

    def __call__(self) -> int:
        """The instant it stands at."""
        return self.now_ms


class Subject:
    """A log under test: `log` is open, `reopen` closes it and opens it again, as a restart does."""

    def __init__(self, open_it: Callable[[], EventLog], clock: FixedClock) -> None:
        self._open = open_it
        self.clock = clock
        self.log = open_it()

    def reopen(self) -> None:
        """Close the log and open it again."""
        self.log.close()
        self.log = self._open()

    def put(self, topic: str, value: bytes = b"x", key: str | None = None, partition: int = 0) -> int:
        """Append one message; returns its offset."""
        return self.log.append([Append(topic, value, key, partition)])[0]

    def read(self, topic: str, partition: int = 0) -> list[Message]:
        """All that is kept of a partition."""
        return self.log.read(topic, partition, 0)

    def values(self, topic: str, partition: int = 0) -> list[bytes]:
        """The values of all that is kept of a partition."""
        return [message.value for message in self.read(topic, partition)]


def memory(_directory: Path) -> Subject:
    """A memory log; it lives as long as its object, so reopening gives the same one."""
    clock = FixedClock()
    log = MemoryLog(partitions=4, now_ms=clock)
    return Subject(lambda: log, clock)


def sqlite(directory: Path) -> Subject:
    """A SQLite log in a directory of its own."""
    clock = FixedClock()
    path = directory / "log" / "log.db"
    return Subject(lambda: SqliteLog.open(path, partitions=4, now_ms=clock), clock)


SUBJECTS: Final[dict[str, Callable[[Path], Subject]]] = {"memory": memory, "sqlite": sqlite}
