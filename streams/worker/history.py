"""Reading what was committed: the state of one partition, and its inputs from wherever they are wanted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from eventlog.contract import Message
from schemas.topics import STATE
from streams.worker import inputs
from streams.worker.connection import Cluster, closed, opened

PAGE: Final = 16
"""Messages read at a time: folding them is a step that nothing else comes between."""
FETCH_BYTES: Final = 8 * 1024 * 1024
POLL_MS: Final = 25
"""Short: what ends with a marker gives nothing more, and a poll would wait for it to its end."""
FETCH_WAIT_MS: Final = 20
"""Short: while a fetch waits at the broker, the connection's other questions wait behind it."""


class History:
    """A consumer of committed messages, of one owner or of one worker: who reads waits for nobody else.

    It connects when something is asked, and one thing is asked at a time. Every call raises KafkaError or
    OSError where the broker cannot be reached, or waits for it; the next one connects anew.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._consumer: AIOKafkaConsumer | None = None
        self._place: TopicPartition | None = None
        self._next = -1

    async def state(self, partition: int, begin: int, topics: Iterable[str]) -> inputs.StateRead:
        """The newest value of every key written from an offset on, without tombstones.

        `topics`: the inputs of which oldest offset and end are told along with it.
        """
        place = self._of(STATE.name, partition)
        consumer = await self._open()
        places = {topic: self._of(topic, partition) for topic in topics}
        begins = await consumer.beginning_offsets(list(places.values()))
        ends = await consumer.end_offsets([place, *places.values()])
        end = ends[place]
        values: dict[str, bytes] = {}
        while begin < end:
            records, begin = await self._fetch(place, begin, end, None)
            for message in map(message_of, records):
                if message.value:
                    values[message.key or ""] = message.value
                else:
                    values.pop(message.key or "", None)
        return inputs.StateRead(
            values,
            {topic: int(begins[each]) for topic, each in places.items()},
            {topic: int(ends[each]) for topic, each in places.items()},
        )

    async def page(self, topic: str, partition: int, begin: int, end: int | None) -> inputs.PageRead:
        """Some messages from one offset to before another (None: the end now), or the end, if that is first.

        What retention has dropped is passed over.
        """
        place = self._of(topic, partition)
        if end is None:
            end = await self._end(place)
        records: list[Any] = []
        reached = begin
        while reached < end and not records:
            before = reached
            records, reached = await self._fetch(place, reached, end, PAGE)
            if reached == before:
                end = min(end, await self._end(place))
        return inputs.PageRead(topic, tuple(map(message_of, records)), min(reached, end), end)

    async def _end(self, place: TopicPartition) -> int:
        return int((await (await self._open()).end_offsets([place]))[place])

    async def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """The offset after the last committed message, by partition."""
        consumer = await self._open()
        found = await consumer.end_offsets([self._of(topic, partition) for partition in partitions])
        return {place.partition: int(offset) for place, offset in found.items()}

    async def close(self) -> None:
        """Let go. Idempotent; what is asked later connects anew."""
        consumer, self._consumer, self._place = self._consumer, None, None
        await closed(consumer)

    def _of(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(self._cluster.topic(topic), partition)

    async def _open(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **self._cluster.client(),
                isolation_level="read_committed",
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                max_partition_fetch_bytes=FETCH_BYTES,
                fetch_max_wait_ms=FETCH_WAIT_MS,
                retry_backoff_ms=50,
            )
            self._consumer = await opened(consumer)
        return self._consumer

    async def _fetch(
        self, place: TopicPartition, begin: int, end: int, most: int | None
    ) -> tuple[list[Any], int]:
        """Records from one offset to before another, perhaps none yet; and where to go on."""
        consumer = await self._open()
        if place != self._place:
            consumer.assign([place])
        if (place, begin) != (self._place, self._next):
            consumer.seek(place, begin)
        self._place = place
        records = (await consumer.getmany(place, timeout_ms=POLL_MS, max_records=most)).get(place, [])
        self._next = int(await consumer.position(place))
        return [record for record in records if begin <= record.offset < end], self._next


def message_of(record: Any) -> Message:
    """A record of aiokafka or Faust as the contract has it."""
    key = None if record.key is None else record.key.decode("utf-8", "backslashreplace")
    at_ms = record.timestamp
    if isinstance(at_ms, float):  # Faust has it in seconds
        at_ms = round(at_ms * 1_000)
    return Message(record.partition, record.offset, key, record.value or b"", at_ms)
