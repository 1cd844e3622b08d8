"""The commands of the partitions that are open here, as they come: each from where its partition stands.

They are read beside the group. So no command waits behind the events that came before it, and what a group
shares out is one topic, of which no member can have one partition and another member its twin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from logging import getLogger
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from eventlog.contract import Message
from schemas.errors import LogError
from schemas.topics import COMMANDS
from streams.worker.connection import Cluster, closed, opened
from streams.worker.history import message_of

POLL_MS: Final = 500
AGAIN_S: Final = 0.5

log = getLogger("banstream.streams")


class CommandReader:
    """Hands over every message from where `go_on` said, until `stop`. All methods are for the event loop."""

    def __init__(self, cluster: Cluster, receive: Callable[[str, Message], None]) -> None:
        """Hand messages to `receive`, with their topic; nothing connects before `run`."""
        self._cluster = cluster
        self._receive = receive
        self._next: dict[int, int] = {}
        self._changed = asyncio.Event()

    def go_on(self, number: int, offset: int) -> None:
        """Hand over a partition's commands from an offset on."""
        self._next[number] = offset
        self._changed.set()

    def stop(self, number: int) -> None:
        """Hand over none of a partition's."""
        if self._next.pop(number, None) is not None:
            self._changed.set()

    async def run(self) -> None:
        """Read until cancelled; where the broker is away it goes on when it is back. Raises LogError."""
        consumer: AIOKafkaConsumer | None = None
        try:
            while True:
                if not self._next:
                    await self._changed.wait()
                try:
                    if consumer is None:
                        consumer = await opened(self._consumer())
                        self._changed.set()
                    await self._read(consumer)
                except (KafkaError, OSError) as error:
                    if isinstance(error, KafkaError) and not error.retriable:
                        raise LogError(
                            f"commands cannot be read: {error!r}; docs/kafka.md has what is needed"
                        ) from error
                    log.debug("Commands wait for the broker reason=%r", error)
                    await closed(consumer)
                    consumer = None
                    await asyncio.sleep(AGAIN_S)
        finally:
            await closed(consumer)

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **self._cluster.client(),
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        """Put the consumer where it is wanted, and hand over what comes, until that changes."""
        if self._changed.is_set():
            self._changed.clear()
            places = {self._place(number): offset for number, offset in self._next.items()}
            consumer.assign(list(places))
            for place, offset in places.items():
                consumer.seek(place, offset)
        if not self._next:
            return
        waiting = asyncio.ensure_future(consumer.getmany(timeout_ms=POLL_MS))
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({waiting, changed}, return_when=asyncio.FIRST_COMPLETED)
            found = waiting.result() if waiting.done() else {}
        finally:
            waiting.cancel()
            changed.cancel()
            await asyncio.wait({waiting, changed})
        for place, records in found.items():
            for record in records:
                if record.offset >= self._next.get(place.partition, record.offset + 1):
                    self._next[place.partition] = record.offset + 1
                    self._receive(COMMANDS.name, message_of(record))

    def _place(self, number: int) -> TopicPartition:
        return TopicPartition(self._cluster.topic(COMMANDS.name), number)
