"""What follows from a partition's inputs as messages, none so large that a log refuses it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from eventlog.contract import Append
from schemas.codec import encode, frame_of
from schemas.records import Record
from streams.verdicts import Sent

FRAME_BYTES: Final = 1 << 20
"""A message that follows from a frame is closed once it has grown to this size."""


def packed(topic: str, records: Iterable[Record], partition: int) -> list[Append]:
    """Records as messages of about FRAME_BYTES at most."""
    appends: list[Append] = []
    lines: list[bytes] = []
    size = 0
    for record in records:
        lines.append(encode(record))
        size += len(lines[-1])
        if size >= FRAME_BYTES:
            appends.append(Append(topic, frame_of(lines), partition=partition))
            lines, size = [], 0
    if lines:
        appends.append(Append(topic, frame_of(lines), partition=partition))
    return appends


def posted(sent: Sent) -> Iterator[Append]:
    """What is told to other partitions, as messages."""
    for (topic, number), records in sent.items():
        yield from packed(topic, records, number)
