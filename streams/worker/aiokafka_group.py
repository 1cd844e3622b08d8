"""Membership by plain aiokafka: a consumer with the range assignor, of whose public API nothing is missing.

Range gives each member the same numbers of every topic that has as many partitions; the default would not.
An assigned partition is paused until its owner says where to go on; no message can be missing then.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError

from streams.worker.connection import Cluster, closed
from streams.worker.history import message_of
from streams.worker.membership import DELIVERED, Receiver
from streams.worker.states import SESSION_S

FETCH_BYTES: Final = 2 * 1024 * 1024
MOST: Final = 16
"""Messages handed over at a time: what comes after a partition is full stays below this."""
POLL_MS: Final = 200
HELD_MS: Final = 10
"""As long as one is held it is asked for the others only, and may be released at any moment."""


class AiokafkaGroup(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is not checked
    """A worker's membership in the group. See streams.worker.membership.Host."""

    exact = True

    def __init__(self, cluster: Cluster, partitions: int, receiver: Receiver) -> None:
        """Nothing connects before `start`; how many partitions there are, the consumer learns itself."""
        del partitions
        self._receiver = receiver
        self._topics = {cluster.topic(name): name for name in DELIVERED}
        self._turns: Counter[int] = Counter()
        """By partition, how often it was put somewhere: what was fetched before that is not wanted."""
        self._held: set[int] = set()
        self._following: asyncio.Task[None] | None = None
        self._consumer = AIOKafkaConsumer(
            **cluster.client(),
            group_id=cluster.group,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=int(SESSION_S * 1_000),
            heartbeat_interval_ms=int(SESSION_S * 250),
            max_partition_fetch_bytes=FETCH_BYTES,
        )

    async def start(self) -> None:
        """Join. Raises KafkaError or OSError."""
        self._consumer.subscribe(list(self._topics), listener=self)
        await self._consumer.start()
        self._following = asyncio.create_task(self._follow())

    async def ended(self) -> str:
        """Wait until it ends by itself; why."""
        if self._following is None:
            return "it never began"
        await asyncio.wait({self._following})
        return repr(self._following.exception())

    def go_on(self, number: int, offsets: Mapping[str, int]) -> None:
        """Deliver a partition's messages, of each topic from an offset on."""
        self._turns[number] += 1
        self._held.discard(number)
        for place in self._places(number):
            self._consumer.seek(place, offsets[self._topics[place.topic]])
            self._consumer.resume(place)

    def hold(self, number: int) -> None:
        """Deliver none of a partition's before the next `go_on` or `release`, but what is in hand.

        It is not paused: what is fetched already would be thrown away, and fetched again.
        """
        self._held.add(number)

    def release(self, number: int) -> None:
        """Go on delivering a partition's messages from where it was held."""
        self._held.discard(number)

    async def hint(self, offsets: Mapping[int, int]) -> None:
        """Nobody needs one: whoever opens a partition knows where it stands."""

    async def stop(self) -> None:
        """Leave."""
        if self._following is not None:
            self._following.cancel()
        await closed(self._consumer)

    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride] # it may be either
        self, revoked: Iterable[TopicPartition]
    ) -> None:
        """Called before the group goes on: waits until nothing of these is written any more."""
        numbers = {place.partition for place in revoked}
        self._turns.update(numbers)
        await self._receiver.revoked(numbers)

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assigned: Iterable[TopicPartition]
    ) -> None:
        """Only partitions of which every input is ours are owned."""
        places = list(assigned)
        self._consumer.pause(*places)
        inputs = Counter(place.partition for place in places)
        await self._receiver.assigned({number for number, count in inputs.items() if count == len(DELIVERED)})

    def _places(self, number: int) -> list[TopicPartition]:
        return [place for place in self._consumer.assignment() if place.partition == number]

    async def _follow(self) -> None:
        while True:
            places = [place for place in self._consumer.assignment() if place.partition not in self._held]
            poll_ms = HELD_MS if self._held else POLL_MS
            if not places:
                await asyncio.sleep(HELD_MS / 1_000)
                continue
            try:
                found = await self._consumer.getmany(*places, timeout_ms=poll_ms, max_records=MOST)
            except KafkaError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(POLL_MS / 1_000)
                continue
            turns = self._turns.copy()
            for place, records in found.items():
                for record in records:
                    if self._turns[place.partition] != turns[place.partition]:
                        break
                    self._receiver.take(self._topics[place.topic], message_of(record))
                    await self._receiver.breathe()
