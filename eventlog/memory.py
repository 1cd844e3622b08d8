"""The event log in memory: the contract without a file, for tests and offline runs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from threading import Condition

from eventlog.clock import wall_clock_ms
from eventlog.contract import Append, Message, Place, Shrunk
from eventlog.terms import FIRST_TO_GO, TOMBSTONE_KEPT_MS, Clock, admit, compacted_topic, topic_of
from eventlog.writer import LogWriter, fenced
from schemas.errors import Fenced
from schemas.topics import BY_NAME, Topic


@dataclass(slots=True)
class _Stream:
    """One partition of one topic: its messages by offset, and in a compacted topic the newest of each key."""

    messages: list[Message] = field(default_factory=list)
    newest: dict[str, Message] = field(default_factory=dict)
    end: int = 0

    def index_of(self, offset: int) -> int:
        return bisect_left(self.messages, offset, key=attrgetter("offset"))

    def add(self, append: Append, at_ms: int, *, compacted: bool) -> int:
        message = Message(append.partition, self.end, append.key, append.value, at_ms)
        if compacted and append.key is not None:
            previous = self.newest.get(append.key)
            if previous is not None:
                del self.messages[self.index_of(previous.offset)]
            self.newest[append.key] = message
        self.messages.append(message)
        self.end += 1
        return message.offset

    def drop_tombstones(self, cutoff_ms: int) -> int:
        old = [key for key, kept in self.newest.items() if not kept.value and kept.at_ms < cutoff_ms]
        for key in old:
            del self.messages[self.index_of(self.newest.pop(key).offset)]
        return len(old)

    def drop_oldest(self, cutoff_ms: int, now_ms: int) -> int:
        droppable = 0
        for index, message in enumerate(self.messages):
            if cutoff_ms <= message.at_ms <= now_ms:
                break
            if message.at_ms < cutoff_ms:
                droppable = index + 1
        del self.messages[:droppable]
        return droppable


class MemoryLog:
    """The contract, in memory. Threads may share it."""

    def __init__(self, partitions: int = 1, now_ms: Clock = wall_clock_ms) -> None:
        self._partitions = partitions
        self._now_ms = now_ms
        self._streams: dict[tuple[str, int], _Stream] = {}
        self._positions: dict[str, bytes] = {}
        self._epochs: dict[str, int] = {}
        self._lock = Condition()

    @property
    def partitions(self) -> int:
        """How many partitions every topic has."""
        return self._partitions

    def append(self, appends: Sequence[Append]) -> list[int]:
        """Append messages, all or nothing; returns their offsets."""
        with self._lock:
            return self._write(appends)

    def read(self, topic: str, partition: int, offset: int, *, limit: int = 1_000) -> list[Message]:
        """Up to `limit` messages from `offset` on; empty at the end."""
        stream = self._stream(topic, partition)
        with self._lock:
            first = stream.index_of(offset)
            return stream.messages[first : first + limit]

    def wait(self, offsets: Mapping[Place, int], *, timeout_ms: int) -> bool:
        """Whether one of these places has a message at or after its offset; sleeps until one has."""
        streams = [(self._stream(*place), offset) for place, offset in offsets.items()]

        def come() -> bool:
            return any(stream.index_of(offset) < len(stream.messages) for stream, offset in streams)

        with self._lock:
            return self._lock.wait_for(come, timeout_ms / 1_000)

    def begin(self, topic: str, partition: int = 0) -> int:
        """The offset of the oldest message kept; `end` when there is none."""
        stream = self._stream(topic, partition)
        with self._lock:
            return stream.messages[0].offset if stream.messages else stream.end

    def end(self, topic: str, partition: int = 0) -> int:
        """The offset that the next message will get."""
        return self._stream(topic, partition).end

    def offset_at(self, topic: str, partition: int, at_ms: int) -> int:
        """The offset of the first message appended at or after an instant; `end` when there is none."""
        stream = self._stream(topic, partition)
        with self._lock:
            return next((kept.offset for kept in stream.messages if kept.at_ms >= at_ms), stream.end)

    def latest(self, topic: str, partition: int = 0) -> Iterator[Message]:
        """The newest message of every key in force of a compacted topic, as of now, by offset."""
        compacted_topic(topic, partition, self._partitions)
        stream = self._stream(topic, partition)
        with self._lock:
            return iter([kept for kept in stream.messages if kept.value])

    def position(self, reader: str) -> bytes | None:
        """The position a writer's commit last gave this reader; None when it never did."""
        return self._positions.get(reader)

    def writer(self, name: str) -> LogWriter:
        """A writer of this name; from now on every older one of the same name is fenced."""
        with self._lock:
            epoch = self._epochs[name] = self._epochs.get(name, 0) + 1
        return LogWriter(name, partial(self._commit, name, epoch))

    def retain(self, now_ms: int) -> int:
        """Drop what is past its topic's retention, and old tombstones; returns how many."""
        with self._lock:
            return sum(_dropped(BY_NAME[name], stream, now_ms) for (name, _), stream in self._streams.items())

    def shrink(self, max_bytes: int, needed: Callable[[], Mapping[Place, int]]) -> Shrunk:
        """Where the values have more bytes than that, drop the oldest of what may go."""
        with self._lock:
            excess_bytes = sum(len(kept.value) for each in self._streams.values() for kept in each.messages)
            excess_bytes -= max_bytes
            ends, dropped = needed() if excess_bytes > 0 else {}, 0
            for topics in FIRST_TO_GO:
                while excess_bytes > 0 and (heads := self._heads(topics, ends)):
                    oldest = min(heads, key=lambda each: each.messages[0].at_ms)
                    excess_bytes -= len(oldest.messages.pop(0).value)
                    dropped += 1
            return Shrunk(dropped, max(excess_bytes, 0))

    def notices(self) -> Mapping[str, int]:
        """Nothing that goes wrong here is survived without a word."""
        return {}

    def close(self) -> None:
        """Nothing to let go: what was written stays readable while this object lives."""

    def _stream(self, topic: str, partition: int) -> _Stream:
        topic_of(topic, partition, self._partitions)
        return self._streams.setdefault((topic, partition), _Stream())

    def _heads(self, topics: Collection[str], ends: Mapping[Place, int]) -> list[_Stream]:
        """The streams of topics whose first message may go."""
        return [
            stream
            for place, stream in self._streams.items()
            if place[0] in topics
            and stream.messages
            and stream.messages[0].offset < ends.get(place, stream.end)
        ]

    def _commit(
        self, name: str, epoch: int, appends: Sequence[Append], positions: Mapping[str, bytes]
    ) -> list[int]:
        with self._lock:
            if self._epochs[name] != epoch:
                raise Fenced(fenced(name))
            offsets = self._write(appends)
            self._positions.update(positions)
            return offsets

    def _write(self, appends: Sequence[Append]) -> list[int]:
        topics = [admit(append, self._partitions) for append in appends]
        at_ms = self._now_ms()
        self._lock.notify_all()
        return [
            self._stream(append.topic, append.partition).add(append, at_ms, compacted=topic.compacted)
            for append, topic in zip(appends, topics, strict=True)
        ]


def _dropped(topic: Topic, stream: _Stream, now_ms: int) -> int:
    if topic.compacted:
        return stream.drop_tombstones(now_ms - TOMBSTONE_KEPT_MS)
    if topic.retention_ms is None:
        return 0
    return stream.drop_oldest(now_ms - topic.retention_ms, now_ms)
