"""One partition's transactions: everything of a commit or nothing, and never after a newer owner came."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaProducer

from eventlog.contract import Append
from eventlog.kafka.layout import MESSAGE_BYTES
from schemas.topics import BY_NAME
from streams.worker.connection import Cluster

RETRY_BACKOFF_MS: Final = 3
"""A transaction that follows the last one at once is told to try again; that may not take long."""
TRANSACTION_TIMEOUT_MS: Final = 20_000
BATCH_BYTES: Final = 1 << 20
CLOSE_S: Final = 2.0


class PartitionTransactions:
    """A transactional producer. `open` fences every older one of the same partition."""

    def __init__(self, cluster: Cluster, partition: int) -> None:
        self._cluster = cluster
        self._producer = AIOKafkaProducer(
            **cluster.client(),
            transactional_id=f"{cluster.group}-{partition}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            compression_type="lz4",
            max_batch_size=BATCH_BYTES,
            max_request_size=MESSAGE_BYTES,
            retry_backoff_ms=RETRY_BACKOFF_MS,
        )

    async def open(self) -> None:
        """Fence; what an older owner had begun is aborted when this returns."""
        await self._producer.start()

    async def commit(self, appends: Sequence[Append]) -> list[int]:
        """Write messages in one transaction; returns their offsets.

        Raises what aiokafka raises; nobody knows then whether it was committed: close this and look.
        """
        producer = self._producer
        await producer.begin_transaction()
        sent = [
            await producer.send(
                self._cluster.topic(append.topic),
                value=None if BY_NAME[append.topic].compacted and not append.value else append.value,
                key=None if append.key is None else append.key.encode(),
                partition=append.partition,
            )
            for append in appends
        ]
        await producer.flush()
        offsets = [int(future.result().offset) for future in sent]
        await producer.commit_transaction()
        return offsets

    async def close(self) -> None:
        """Let go; what is not committed never will be. Where the broker is away, it ends on its own later."""
        stopping = asyncio.create_task(self._producer.stop())
        _stopping.add(stopping)
        stopping.add_done_callback(_stopped)
        await asyncio.wait({stopping}, timeout=CLOSE_S)


_stopping: set[asyncio.Task[None]] = set()
"""Producers on their way out: a task that nobody holds may vanish before it is done."""


def _stopped(task: asyncio.Task[None]) -> None:
    _stopping.discard(task)
    if not task.cancelled():
        task.exception()  # it had nothing left to say: what it was to write was given up before
