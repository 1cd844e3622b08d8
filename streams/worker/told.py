"""What the partitions that are open here are told besides events, as it comes: from where each stands.

It is read beside the group. So no command waits behind the events that came before it, and what a group
shares out is one topic, of which no member can have one partition and another member its twin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from logging import getLogger
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from eventlog.contract import Message
from schemas.errors import LogError
from streams.order import TOLD
from streams.worker.connection import Cluster, closed, opened
from streams.worker.history import message_of

POLL_MS: Final = 500
AGAIN_S: Final = 0.5

log = getLogger("banstream.streams")


class ToldReader:
    """Hands over every message from where `go_on` said, until `stop`. All methods are for the event loop."""

    def __init__(self, cluster: Cluster, receive: Callable[[str, Message], None]) -> None:
        """Hand messages to `receive`, with their topic; nothing connects before `run`."""
        self._cluster = cluster
        self._receive = receive
        self._next: dict[tuple[str, int], int] = {}
        self._changed = asyncio.Event()

    def go_on(self, number: int, offsets: Mapping[str, int]) -> None:
        """Hand over what a partition is told, of each topic from an offset on."""
        self._next |= {(topic, number): offsets[topic] for topic in TOLD}
        self._changed.set()

    def stop(self, number: int) -> None:
        """Hand over none of a partition's."""
        for topic in TOLD:
            if self._next.pop((topic, number), None) is not None:
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
                            f"commands cannot be read, or what partitions tell each other: {error!r}; "
                            "docs/kafka.md has what is needed"
                        ) from error
                    log.debug("What partitions are told waits for the broker reason=%r", error)
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
            places = {self._place(*place): offset for place, offset in self._next.items()}
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
        for place in sorted(found, key=self._named):
            topic, number = self._named(place)
            for record in found[place]:
                if record.offset >= self._next.get((topic, number), record.offset + 1):
                    self._next[topic, number] = record.offset + 1
                    self._receive(topic, message_of(record))

    def _place(self, topic: str, number: int) -> TopicPartition:
        return TopicPartition(self._cluster.topic(topic), number)

    def _named(self, place: TopicPartition) -> tuple[str, int]:
        """A place by its topic's name in every log; commands come first in order."""
        return str(place.topic.removeprefix(self._cluster.topic(""))), int(place.partition)
