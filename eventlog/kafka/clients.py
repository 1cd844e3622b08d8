"""Making the clients of kafka-python, so that one that cannot connect leaves nothing behind.

They are Any to the type checkers: the stubs there are describe another version of the library.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaTimeoutError

from eventlog.kafka.internals import NetClient
from eventlog.kafka.layout import MESSAGE_BYTES
from eventlog.kafka.options import KafkaOptions

FETCH_BYTES: Final = 4 * 1024 * 1024
BATCH_BYTES: Final = 512 * 1024
REQUEST_BYTES: Final = MESSAGE_BYTES + 65_536
NEVER_MS: Final = 2**31 - 1
RETRY_BACKOFF_MS: Final = 5
"""A transaction that follows the last one at once is told to try again; that may not take long."""


def consumer(
    options: KafkaOptions, fetch_wait_ms: int, timeout_ms: int, *, most_bytes: int | None = None
) -> Any:
    """A consumer of committed messages without a group.

    Args:
        options: the cluster.
        fetch_wait_ms: how long a fetch waits at the broker for something to come. One that waits fetches no
            more than a broker gives at least, a batch of messages: another reads them.
        timeout_ms: how long connecting may take.
        most_bytes: what a fetch brings at most, whether it waits or not.
    """
    size = most_bytes or (1 if fetch_wait_ms else FETCH_BYTES)
    return _made(
        KafkaConsumer,
        options.client()
        | {
            "bootstrap_timeout_ms": timeout_ms,
            "isolation_level": "read_committed",
            "auto_offset_reset": "none",
            "enable_auto_commit": False,
            "allow_auto_create_topics": False,
            "fetch_max_wait_ms": fetch_wait_ms,
            "fetch_max_bytes": size,
            "max_partition_fetch_bytes": size,
            "retry_backoff_ms": RETRY_BACKOFF_MS,
            "metrics_enabled": False,
        },
    )


def producer(options: KafkaOptions, transactional_id: str | None = None, open_ms: int = 0) -> Any:
    """An idempotent producer that waits for every replica in sync; transactional when it has an id.

    The broker aborts a transaction of it that is open for longer than `open_ms`.
    """
    settings = options.client() | {
        "enable_idempotence": True,
        "acks": "all",
        "compression_type": "lz4",
        "batch_size": BATCH_BYTES,
        "max_request_size": REQUEST_BYTES,
        "max_block_ms": options.timeout_ms,
        "delivery_timeout_ms": options.timeout_ms,
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
        "retry_backoff_ms": RETRY_BACKOFF_MS,
        "linger_ms": 5,  # an append flushes when it has handed over all it has
    }
    if transactional_id is not None:
        settings |= {"transactional_id": transactional_id, "transaction_timeout_ms": open_ms}
    else:
        # A batch that the library gives up would be overtaken by those behind it: all are given up at once
        # (`append` does), or none.
        settings |= {"max_in_flight_requests_per_connection": 1, "delivery_timeout_ms": NEVER_MS}
    return _made(KafkaProducer, settings)


def admin(options: KafkaOptions) -> Any:
    """A client for topics and settings; close it."""
    return _made(KafkaAdminClient, options.client())


def _made(kind: Callable[..., Any], settings: dict[str, Any]) -> Any:
    """A client; when it cannot be made, its thread and sockets are closed: it would leave them open."""
    opened: list[NetClient] = []

    def net_client(**configs: Any) -> NetClient:
        opened.append(NetClient(**configs))
        return opened[-1]

    try:
        return kind(kafka_client=net_client, **settings)
    except BaseException as error:
        for client in opened:
            with suppress(Exception):
                client.close()
            if isinstance(error, KafkaTimeoutError) and client.cause is not None:
                raise KafkaTimeoutError(str(client.cause)) from error
        raise
