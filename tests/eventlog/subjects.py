"""The logs under test, each behind the same few words, and the clock that the embedded ones are given."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eventlog.clock import wall_clock_ms
from eventlog.contract import Append, EventLog, Message
from eventlog.memory import MemoryLog
from eventlog.sqlite import SqliteLog
from eventlog.sqlite_held import HoldingLog

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
    """A log under test: `log` is open, `reopen` closes it and opens it again, as a restart does.

    `clock` is the log's own; only that of an embedded log can be set.
    """

    def __init__(self, open_it: Callable[[], EventLog], clock: FixedClock | None) -> None:
        self._open = open_it
        self._clock = clock
        self.log = open_it()

    @property
    def clock(self) -> FixedClock:
        """The clock of an embedded log."""
        if self._clock is None:
            raise RuntimeError("this log has a clock of its own")
        return self._clock

    def now_ms(self) -> int:
        """The instant by the log's clock."""
        return wall_clock_ms() if self._clock is None else self._clock.now_ms

    def tick(self) -> None:
        """Let some milliseconds pass."""
        if self._clock is None:
            time.sleep(0.005)
        else:
            self._clock.now_ms += 100

    def reopen(self) -> None:
        """Close the log and open it again."""
        self.log.close()
        self.log = self._open()

    def put(self, topic: str, value: bytes = b"x", key: str | None = None, partition: int = 0) -> int:
        """Append one message; returns its offset."""
        return self.log.append([Append(topic, value, key, partition)])[0]

    def read(self, topic: str, partition: int = 0) -> list[Message]:
        """All that is kept of a partition."""
        kept: list[Message] = []
        while messages := self.log.read(topic, partition, kept[-1].offset + 1 if kept else 0):
            kept += messages
        return kept

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


def held(directory: Path) -> Subject:
    """A SQLite log that can go on in memory, and need not."""
    clock = FixedClock()
    path = directory / "log" / "log.db"
    return Subject(lambda: HoldingLog(SqliteLog.open(path, partitions=4, now_ms=clock), clock), clock)


def kafka(url: str) -> Subject:
    """A Kafka log; its broker has a clock of its own."""
    from eventlog.kafka.log import KafkaLog  # noqa: PLC0415 - the embedded logs do without the extra

    return Subject(lambda: KafkaLog.open(url), None)


EMBEDDED: Final[dict[str, Callable[[Path], Subject]]] = {"memory": memory, "sqlite": sqlite, "held": held}
