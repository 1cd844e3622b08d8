"""Making the clients of kafka-python, so that one that cannot connect leaves nothing behind.

They are Any to the type checkers: the stubs there are describe another version of the library.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient

from eventlog.kafka.layout import MESSAGE_BYTES
from eventlog.kafka.options import KafkaOptions

FETCH_BYTES: Final = 4 * 1024 * 1024
BATCH_BYTES: Final = 512 * 1024
REQUEST_BYTES: Final = MESSAGE_BYTES + 65_536
ABANDON_S: Final = 0.5
TRANSACTION_MS: Final = 60_000
"""The broker aborts a transaction open for longer; readers see nothing behind it until then."""

RETRY_BACKOFF_MS: Final = 5
"""A transaction that follows the last one at once is told to try again; that may not take long."""

# Whatever matters in what it logs, it raises as well, and then we say it in words of our own.
logging.getLogger("kafka").setLevel(logging.CRITICAL)


def consumer(options: KafkaOptions, fetch_wait_ms: int, timeout_ms: int) -> Any:
    """A consumer of committed messages without a group.

    Args:
        options: the cluster.
        fetch_wait_ms: how long a fetch waits at the broker for something to come.
        timeout_ms: how long connecting may take.
    """
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
            "fetch_max_bytes": FETCH_BYTES,
            "max_partition_fetch_bytes": FETCH_BYTES,
            "retry_backoff_ms": RETRY_BACKOFF_MS,
            "metrics_enabled": False,
        },
    )


def producer(options: KafkaOptions, transactional_id: str | None = None) -> Any:
    """An idempotent producer that waits for every replica in sync; transactional when it has an id."""
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
        settings |= {
            "transactional_id": transactional_id,
            "transaction_timeout_ms": max(TRANSACTION_MS, 3 * options.timeout_ms),
        }
    return _made(KafkaProducer, settings)


def abandon(producer: Any) -> None:
    """Let go of a producer without waiting for what it has not sent; it sends nothing more.

    `close` alone would raise while it has unsent messages, and its thread would go on sending them.
    """
    producer._sender.force_close()  # noqa: SLF001 - the library offers no other way
    with suppress(KafkaError):
        producer.close(timeout=ABANDON_S)


def admin(options: KafkaOptions) -> Any:
    """A client for topics and settings; close it."""
    return _made(KafkaAdminClient, options.client())


def _made(kind: Callable[..., Any], settings: dict[str, Any]) -> Any:
    """A client; when it cannot be made, its thread and sockets are closed: it would leave them open."""
    opened: list[Any] = []

    def net_client(**configs: Any) -> Any:
        opened.append(KafkaNetClient(**configs))
        return opened[-1]

    try:
        return kind(kafka_client=net_client, **settings)
    except BaseException:
        for client in opened:
            with suppress(Exception):
                client.close()
        raise
