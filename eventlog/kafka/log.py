"""The contract on a Kafka cluster: what shippers, enforcers and commands use. See eventlog.kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any, Final, Self

from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from eventlog.contract import Append, Message, Place, Shrunk, Writer
from eventlog.kafka import clients, internals
from eventlog.kafka.admin import DENIED, partition_counts
from eventlog.kafka.errors import denied, no_topic, told
from eventlog.kafka.layout import PARTITIONED, POSITIONS, TOPICS
from eventlog.kafka.options import KafkaOptions, parse_url
from eventlog.kafka.positions import Positions
from eventlog.kafka.reader import Reader
from eventlog.kafka.sending import check_sizes, send_all
from eventlog.kafka.writer import KafkaWriter
from eventlog.terms import admit, compacted_topic, topic_of
from schemas.errors import LogError
from schemas.topics import EVENTS

WAIT_FETCH_MS: Final = 500


class KafkaLog:
    """The contract, on Kafka. Threads may share it; a forked child must open its own.

    Partitions 1 and up of a topic that is not partitioned are always empty, and refuse messages.
    `append` waits for every replica in sync.
    """

    def __init__(self, options: KafkaOptions, *, read_only: bool = False) -> None:
        self._options = options
        self._read_only = read_only
        self._lock = Lock()
        self._counts: dict[str, int] = {}
        self._producer: Any = None
        self._reader = Reader(options)
        self._waiter = Reader(options, WAIT_FETCH_MS)
        self._positions = Positions(self._reader, TopicPartition(options.prefix + POSITIONS.name, 0))

    @classmethod
    def open(cls, url: str, *, read_only: bool = False, patience_ms: int | None = None) -> Self:
        """The log of a `kafka://` url; raises ConfigError. It connects with the first call.

        `patience_ms`: no call waits longer for the brokers, even where the url allows it.
        """
        options = parse_url(url)
        if patience_ms is not None:
            options = replace(options, timeout_ms=min(options.timeout_ms, patience_ms))
        return cls(options, read_only=read_only)

    @property
    def partitions(self) -> int:
        """How many partitions events, decisions and state have."""
        return self._count(EVENTS.name)

    def append(self, appends: Sequence[Append]) -> list[int]:
        """Append messages; returns their offsets. Where the broker goes away midway, some may be written."""
        self.check(appends)
        if not appends:
            return []
        with self._lock, told(self._options.place, f"appending to {appends[0].topic}"):
            if self._producer is None:
                self._producer = clients.producer(self._options)
            try:
                return send_all(self._producer, self._options, appends)
            except KafkaError:
                # What it has not sent yet would still be sent, in the midst of what comes next.
                producer, self._producer = self._producer, None
                internals.abandon(producer)
                raise

    def read(self, topic: str, partition: int, offset: int, *, limit: int = 1_000) -> list[Message]:
        """Up to `limit` committed messages from `offset` on; empty at the end."""
        place = self._place(topic, partition)
        return [] if place is None else self._reader.read(place, offset, limit)

    def wait(self, offsets: Mapping[Place, int], *, timeout_ms: int) -> bool:
        """Whether one of these places has a message at or after its offset; sleeps until one has.

        It costs the broker a request every half second, and sees a message within some milliseconds.
        """
        places = {self._place(*place): offset for place, offset in offsets.items()}
        places.pop(None, None)
        return self._waiter.wait({place: offset for place, offset in places.items() if place}, timeout_ms)

    def begin(self, topic: str, partition: int = 0) -> int:
        """The offset of the oldest message kept; `end` when there is none."""
        place = self._place(topic, partition)
        return 0 if place is None else self._reader.begin(place)

    def end(self, topic: str, partition: int = 0) -> int:
        """The offset from which on messages will come; the next one's, or before it where markers are."""
        place = self._place(topic, partition)
        return 0 if place is None else self._reader.end(place)

    def offset_at(self, topic: str, partition: int, at_ms: int) -> int:
        """The offset of the first message appended at or after an instant; `end` when there is none."""
        place = self._place(topic, partition)
        return 0 if place is None else self._reader.offset_at(place, at_ms)

    def latest(self, topic: str, partition: int = 0) -> Iterator[Message]:
        """The newest message of every key in force of a compacted topic, by offset, as of now."""
        compacted_topic(topic, partition, self._bound(topic, partition))
        place = self._place(topic, partition)
        newest: dict[str | None, Message] = {}
        for message in () if place is None else self._reader.all_from(place, 0):
            newest.pop(message.key, None)  # so that the order stays that of the offsets
            if message.value:
                newest[message.key] = message
        return iter(list(newest.values()))

    def position(self, reader: str) -> bytes | None:
        """The position a writer's commit last gave this reader; None when it never did."""
        self._count(POSITIONS.name)
        return self._positions.of(reader)

    def writer(self, name: str) -> Writer:
        """A writer of this name; from now on every older one, on whatever host, is fenced."""
        self._refuse_if_read_only()
        return KafkaWriter(self._options, name, self)

    def retain(self, now_ms: int) -> int:
        """Nothing to do: the broker drops and compacts by its own clock."""
        del now_ms
        return 0

    def shrink(self, max_bytes: int, needed: Callable[[], Mapping[Place, int]]) -> Shrunk:
        """Nothing to do: a topic's `retention.bytes` is the brokers'."""
        del max_bytes, needed
        return Shrunk()

    def check(self, appends: Sequence[Append]) -> None:
        """Raise LogError, before anything is sent, for a message that no topic takes."""
        self._refuse_if_read_only()
        for append in appends:
            admit(append, self._bound(append.topic, append.partition))
        check_sizes(self._options, appends)

    def committed(self, topic: str, partition: int, offset: int) -> None:
        """A message of ours is committed at this offset; what is read from now on includes it."""
        self._reader.expect(TopicPartition(self._options.prefix + topic, partition), offset + 1)

    def notices(self) -> Mapping[str, int]:
        """Nothing that goes wrong here is survived without a word."""
        return {}

    def close(self) -> None:
        """Let go. Idempotent."""
        with self._lock:
            if self._producer is not None:
                producer, self._producer = self._producer, None
                internals.abandon(producer)
        self._reader.close()
        self._waiter.close()

    def _refuse_if_read_only(self) -> None:
        if self._read_only:
            raise LogError(f"{self._options.place}: opened to read only")

    def _bound(self, topic: str, partition: int) -> int:
        """How many partitions a topic has; of an unknown one, enough for the caller's own complaint."""
        known = any(topic == each.name for each in TOPICS)
        return self._count(topic) if known else partition + 1

    def _place(self, topic: str, partition: int) -> TopicPartition | None:
        """Where a partition is on the cluster; None for one that is always empty."""
        bound = self._bound(topic, partition)
        if partition >= bound and topic not in PARTITIONED:
            topic_of(topic, partition, self.partitions)
            return None
        topic_of(topic, partition, bound)
        return TopicPartition(self._options.prefix + topic, partition)

    def _count(self, topic: str) -> int:
        count = self._counts.get(topic)
        if count is None:
            self._counts |= partition_counts(self._options, [each.name for each in TOPICS])
            count = self._counts.get(topic)
        if count is None:
            raise no_topic(self._options.place, self._options.prefix + topic)
        if count == DENIED:
            del self._counts[topic]  # it may be granted meanwhile
            raise denied(self._options.place, self._options.prefix + topic)
        return count
