"""What a row of a log's file is."""

from __future__ import annotations

from collections.abc import Callable

from eventlog.contract import Message


def message_of(
    partition: int,
    low: int,
    row: tuple[int, str | None, bytes, int],
    unpack: Callable[[bytes], bytes] = bytes,
) -> Message:
    """The message of a row of a partition whose first id is `low`. Raises TypeError, ValueError: damage."""
    number, key, value, at_ms = row
    if type(value) is not bytes:  # SQLite keeps any type in any column
        raise TypeError(f"message {number - low} is {type(value).__name__}")
    return Message(partition, number - low, key, unpack(value), at_ms)
