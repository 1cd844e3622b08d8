"""Reading what was committed before: a partition's state, and stretches of its events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from eventlog.contract import Message
from schemas.topics import EVENTS, STATE
from streams.worker.connection import Cluster, closed, opened

FETCH_BYTES: Final = 8 * 1024 * 1024
POLL_MS: Final = 25
"""Short: what ends with a marker gives nothing more, and a poll would wait for it to its end."""
FETCH_WAIT_MS: Final = 20
"""Short: while a fetch waits at the broker, the connection's other questions wait behind it."""


class History:
    """One consumer of committed messages, put wherever it is asked to read. Tasks share it in turns.

    Every call raises KafkaError or OSError while the broker cannot be reached; the next one connects anew.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = asyncio.Lock()
        self._consumer: AIOKafkaConsumer | None = None

    @property
    def busy(self) -> bool:
        """Whether somebody reads now."""
        return self._lock.locked()

    async def state(self, partition: int, begin: int = 0) -> tuple[dict[str, bytes], int]:
        """The newest value of every key written from an offset on, without tombstones; and the end."""
        place = self._place(STATE.name, partition)
        values: dict[str, bytes] = {}
        async with self._lock:
            end = await self._end(place)
            async for message in self._read(place, begin, end):
                if message.value:
                    values[message.key or ""] = message.value
                else:
                    values.pop(message.key or "", None)
        return values, end

    async def events(
        self, partition: int, begin: int, end: int | None = None
    ) -> AsyncIterator[list[Message]]:
        """The events from one offset to before another (None: the end now), in order, some at a time.

        What retention has dropped is passed over.
        """
        place = self._place(EVENTS.name, partition)
        async with self._lock:
            if end is None:
                end = await self._end(place)
        while begin < end:
            async with self._lock:
                begin = max(begin, (await (await self._open()).beginning_offsets([place]))[place])
                page = [message async for message in self._read(place, begin, end, once=True)]
            if not page:
                return
            yield page
            begin = page[-1].offset + 1

    async def first_event(self, partition: int) -> int:
        """The offset of the oldest event kept."""
        place = self._place(EVENTS.name, partition)
        async with self._lock:
            return int((await (await self._open()).beginning_offsets([place]))[place])

    async def ends(self, partitions: list[int]) -> dict[int, int]:
        """The offset after the last committed event, by partition."""
        places = [self._place(EVENTS.name, partition) for partition in partitions]
        async with self._lock:
            found = await (await self._open()).end_offsets(places)
        return {place.partition: int(offset) for place, offset in found.items()}

    async def close(self) -> None:
        """Let go. Idempotent."""
        consumer, self._consumer = self._consumer, None
        await closed(consumer)

    def _place(self, topic: str, partition: int) -> TopicPartition:
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

    async def _end(self, place: TopicPartition) -> int:
        """The offset after the last committed message: of a transaction that is open nothing is seen."""
        found = await (await self._open()).end_offsets([place])
        return int(found[place])

    async def _read(
        self, place: TopicPartition, begin: int, end: int, *, once: bool = False
    ) -> AsyncIterator[Message]:
        """Messages from one offset to before another; with `once` those of one fetch that gives any."""
        consumer = await self._open()
        consumer.assign([place])
        consumer.seek(place, begin)
        try:
            while await consumer.position(place) < end:
                records = (await consumer.getmany(place, timeout_ms=POLL_MS)).get(place, [])
                for record in records:
                    if record.offset < end:
                        yield message_of(record)
                if records and once:
                    return
        finally:
            consumer.pause(place)  # or else it would fetch on, for nobody


def message_of(record: Any) -> Message:
    """A record of aiokafka or Faust as the contract has it."""
    key = None if record.key is None else record.key.decode("utf-8", "backslashreplace")
    at_ms = record.timestamp
    if isinstance(at_ms, float):  # Faust has it in seconds
        at_ms = round(at_ms * 1_000)
    return Message(record.partition, record.offset, key, record.value or b"", at_ms)
