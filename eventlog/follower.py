"""A follower: reads topics from a place of its own, sleeps until there is more, and hands out what came.

Whoever follows the log is one of these: an enforcer, `watch`, a command that waits for its answer, what sends
records elsewhere. Nobody polls, and nobody keeps a copy of the loop.

| a follower | stands at first | keeps its place |
|---|---|---|
| with a name | where it last committed, else at `start` | in the log, in one commit with what it appends |
| without | at `start` | in memory |
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Final, Literal

import orjson

from eventlog.contract import Append, EventLog, Message, Place, Writer
from schemas.codec import decode, lines_of
from schemas.errors import InvalidMessage, LogError, Transient
from schemas.records import Record
from schemas.topics import Topic

WAIT_MS: Final = 1_000
BATCH: Final = 1_000

Edge = Literal["begin", "end"]


@dataclass(frozen=True, slots=True)
class Located:
    """A record and where it stands in the log."""

    topic: str
    partition: int
    offset: int
    index: int
    record: Record


class Follower:
    """Follows topics of one log, every partition of each.

    Attributes:
        offsets: by topic and partition, the offset of the next message to be handed out.
    """

    def __init__(
        self, log: EventLog, topics: Sequence[Topic], *, name: str | None = None, start: Edge = "begin"
    ) -> None:
        """Stand at a place. `name`: keep the place in the log; then only one follower of a name goes on.

        Raises LogError and Transient.
        """
        self._log = log
        self._name = name
        self._writer: Writer | None = None
        stored = self._stored()
        ask = log.begin if start == "begin" else log.end
        self.offsets: dict[Place, int] = {
            place: stored[place] if place in stored else ask(*place)
            for topic in topics
            for place in places_of(topic, log.partitions)
        }

    def read(self, limit: int = BATCH) -> list[tuple[str, Message]]:
        """The next messages with their topics, `limit` of each partition at most; empty at the end.

        They count as handed out: a follower with a name has them again after a restart unless it commits.
        Raises LogError and Transient.
        """
        found: list[tuple[str, Message]] = []
        for place, offset in self.offsets.items():
            messages = self._log.read(*place, offset, limit=limit)
            if messages:
                found += ((place[0], message) for message in messages)
                self.offsets[place] = messages[-1].offset + 1
        return found

    def records(self, *, containing: bytes = b"", limit: int = BATCH) -> list[Located]:
        """The records of the next messages, as `read` gives those; of lines with these bytes alone."""
        return [each for topic, message in self.read(limit) for each in located(topic, message, containing)]

    def wait(self, timeout_ms: int) -> bool:
        """Whether there is more; sleeps until there is, `timeout_ms` at most. Raises LogError, Transient."""
        return self._log.wait(self.offsets, timeout_ms=timeout_ms)

    def commit(self, appends: Sequence[Append] = (), beside: Mapping[str, bytes] | None = None) -> list[int]:
        """Append messages and keep the place, all or nothing; only for one with a name.

        `beside`: positions of other readers that belong to it, and are kept with it.

        Raises:
            Fenced: another follower of this name goes on; this one must stop.
            Transient, LogError: nothing was written.
        """
        if self._name is None:
            raise LogError("a follower without a name keeps no place in the log")
        if self._writer is None:
            self._writer = self._log.writer(self.reader)
        value = orjson.dumps([[*place, offset] for place, offset in self.offsets.items()])
        return self._writer.commit(appends, {self.reader: value, **(beside or {})})

    @property
    def reader(self) -> str:
        """The name under which the log keeps its place."""
        return f"follower/{self._name}"

    def close(self) -> None:
        """Let go of the log, which stays open. Idempotent."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _stored(self) -> Mapping[Place, int]:
        value = self._log.position(self.reader) if self._name is not None else None
        return {} if value is None else {(topic, part): at for topic, part, at in orjson.loads(value)}


def places_of(topic: Topic, partitions: int) -> list[Place]:
    """The partitions of a topic that may hold messages, in a log of so many partitions."""
    return [(topic.name, number) for number in range(partitions if topic.partitioned else 1)]


def located(topic: str, message: Message, containing: bytes = b"") -> Iterator[Located]:
    """The records of a message; a line that holds none is passed over: it is in the dead letters.

    So is a frame that is too large to be taken apart.
    """
    if containing not in message.value:
        return
    with suppress(InvalidMessage):
        for index, line in enumerate(lines_of(message.value)):
            if containing in line:
                with suppress(InvalidMessage):
                    yield Located(topic, message.partition, message.offset, index, decode(line))


class Wakeup:
    """A descriptor that becomes readable when there is more in the log: for loops that select.

    A thread waits at the log, and goes on only after `clear`: who is busy reading costs it nothing.

    Attributes:
        fileno: readable until `clear`.
    """

    def __init__(self, wait: Callable[[int], bool]) -> None:
        """`wait`: as Follower.wait, from wherever its reader stands; called from the thread."""
        self._wait = wait
        self._stopping = False
        self._cleared = Event()
        self.fileno = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = Thread(target=self._watch, name="wakeup", daemon=True)
        self._thread.start()

    def clear(self) -> None:
        """The follower has read on."""
        if not self._stopping:
            with suppress(BlockingIOError):
                os.eventfd_read(self.fileno)
                self._cleared.set()

    def close(self) -> None:
        """Ring no more; nobody may select on it any longer. Its thread ends with its wait, or the log."""
        self._stopping = True
        self._cleared.set()

    def _watch(self) -> None:
        try:
            self._ring()
        finally:
            os.close(self.fileno)

    def _ring(self) -> None:
        while not self._stopping:
            try:
                come = self._wait(WAIT_MS)
            except (Transient, LogError):  # the reader meets the same, and says so
                come = False
                self._cleared.wait(WAIT_MS / 1_000)
            if come and not self._stopping:
                self._cleared.clear()
                os.eventfd_write(self.fileno, 1)
                self._cleared.wait(WAIT_MS / 1_000)
