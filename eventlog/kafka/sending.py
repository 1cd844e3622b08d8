"""Handing messages to a producer and waiting for all of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from kafka.errors import KafkaError, KafkaTimeoutError

from eventlog.contract import Append
from eventlog.kafka.errors import too_large
from eventlog.kafka.layout import MESSAGE_BYTES
from eventlog.kafka.options import KafkaOptions
from schemas.topics import BY_NAME

OVERHEAD_BYTES: Final = 128
"""What a message alone in its batch takes besides key and value: at most this."""


def check_sizes(options: KafkaOptions, appends: Sequence[Append]) -> None:
    """Raise LogError for a message that the topics do not take, before any is sent."""
    for append in appends:
        size = len(append.value) + len(append.key or "") * 4
        if size > MESSAGE_BYTES - OVERHEAD_BYTES:
            raise too_large(options.place, append.topic, size, MESSAGE_BYTES - OVERHEAD_BYTES)


def send_all(producer: Any, options: KafkaOptions, appends: Sequence[Append]) -> list[int]:
    """Send messages and wait until the broker has all; returns their offsets. Raises what the client raises.

    When it raises, some of them may have been written.
    """
    deadline = time.monotonic() + options.timeout_ms / 1_000
    try:
        futures = [_sent(producer, options.prefix, append) for append in appends]
    except KafkaError as error:
        # Where an earlier message has failed already, a transaction takes no more, and wraps the reason.
        reasons = [reason for reason in error.args[1:] if isinstance(reason, KafkaError)]
        raise (reasons or [error])[0] from error
    producer.flush(timeout=max(0.0, deadline - time.monotonic()))
    return [_offset(future) for future in futures]


def _sent(producer: Any, prefix: str, append: Append) -> Any:
    key = None if append.key is None else append.key.encode()
    return producer.send(prefix + append.topic, value=_value(append), key=key, partition=append.partition)


def _value(append: Append) -> bytes | None:
    """In a compacted topic an empty value is a tombstone, which Kafka wants as no value at all."""
    topic = BY_NAME.get(append.topic)
    return None if topic is not None and topic.compacted and not append.value else append.value


def _offset(future: Any) -> int:
    if not future.is_done:
        raise KafkaTimeoutError("no acknowledgement in time")
    if future.exception is not None:
        raise future.exception
    return int(future.value.offset)
