"""The passing of time as an input: when a ban's end has passed and nothing else happened, a Tick says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from logging import getLogger
from time import monotonic
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.codec import encode
from schemas.records import Tick
from schemas.topics import EVENTS
from streams.worker.connection import Cluster, closed, opened
from streams.worker.owner import Owner

AGAIN_S: Final = 5.0
"""A Tick that is not folded after so long was lost, and is appended again."""

log = getLogger("banstream.streams")


class Ticking:
    """Appends Ticks. One that somebody else appended too, or an old owner, does no harm: time did pass."""

    def __init__(self, cluster: Cluster, now_ms: Callable[[], int]) -> None:
        self._cluster = cluster
        self._now_ms = now_ms
        self._producer: AIOKafkaProducer | None = None
        self._last: dict[int, tuple[int, float]] = {}

    def wait_s(self, owners: Iterable[Owner], most_s: float) -> float:
        """Seconds until the next ban ends, `most_s` at most."""
        ends = [end_ms for owner in owners if (end_ms := _end_ms(owner)) is not None]
        return max(0.01, min(most_s, (min(ends) - self._now_ms()) / 1_000)) if ends else most_s

    async def tick(self, owners: Iterable[Owner]) -> None:
        """Append a Tick to each partition in which a ban's end has passed."""
        now_ms = self._now_ms()
        due = [owner for owner in owners if self._is_due(owner, now_ms)]
        if not due:
            return
        value = encode(Tick(at_ms=now_ms))
        try:
            producer = await self._open()
            for owner in due:
                await producer.send_and_wait(self._cluster.topic(EVENTS.name), value, partition=owner.number)
        except (KafkaError, OSError) as error:
            log.warning("Unbans wait for the broker reason=%r", error)
            await self.close()

    async def close(self) -> None:
        """Let go. Idempotent."""
        producer, self._producer = self._producer, None
        await closed(producer)

    def _is_due(self, owner: Owner, now_ms: int) -> bool:
        end_ms = _end_ms(owner)
        if end_ms is None or end_ms > now_ms:
            return False
        last_ms, at = self._last.get(owner.number, (-1, 0.0))
        if end_ms <= last_ms and monotonic() < at + AGAIN_S:
            return False  # on its way
        self._last[owner.number] = now_ms, monotonic()
        return True

    async def _open(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = await opened(AIOKafkaProducer(**self._cluster.client(), enable_idempotence=True))
        return self._producer


def _end_ms(owner: Owner) -> int | None:
    """When the next ban of a partition ends; None where there is none, or the partition is not open."""
    return owner.core.partition.decider.next_expiry_ms() if owner.ready else None
