"""Rows to frames: NDJSON lines equal to what schemas.codec writes for an AuthEvent, without the objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from eventlog.contract import Append
from producers.filters import Filter
from producers.filters.rows import Row
from schemas.codec import VERSION
from schemas.records import LINE_BYTES, AuthEvent
from schemas.topics import EVENTS, partition_of

EVENTS_PER_FRAME: Final = 512


@dataclass(frozen=True, slots=True)
class Origin:
    """What all events of one piece of data share. `base` is the position of the data's first byte."""

    filter: Filter
    source: str
    incarnation: str
    base: int
    seen_at_ms: int
    labels: Mapping[str, str]


def event_lines(data: bytes, rows: Sequence[Row], origin: Origin) -> list[bytes]:
    """The event of each row as JSON, in order: fields at their default are left out, as in the codec."""
    dumps = orjson.dumps
    head = {"type": AuthEvent.TYPE, "v": VERSION}
    tail: dict[str, Any] = {"service": origin.filter.service}
    lines: list[bytes] = []
    for kind, at_ms, ip, start, end, user, port, host, skewed, nth in rows:
        wire = {
            **head,
            "kind": kind,
            "at_ms": at_ms,
            "seen_at_ms": origin.seen_at_ms,
            "filter": origin.filter.name,
            "filter_version": origin.filter.version,
            "ip": ip,
            "source": origin.source,
            "incarnation": origin.incarnation,
            "position": origin.base + start + nth,
            "line": data[start:end].rstrip(b"\r\n").decode("utf-8", "replace")[:LINE_BYTES],
        }
        if user is not None:
            wire["user"] = user
        if port is not None:
            wire["port"] = port
        wire.update(tail)
        if host is not None:
            wire["host"] = host
        if origin.labels:
            wire["labels"] = origin.labels
        if skewed:
            wire["skewed"] = True
        lines.append(dumps(wire))
    return lines


def appends(data: bytes, rows: Sequence[Row], origin: Origin, partitions: int) -> list[Append]:
    """The messages that hold the events of rows, each in the partition of its address."""
    lines = event_lines(data, rows, origin)
    by_partition: dict[int, list[bytes]] = {}
    if partitions == 1:
        by_partition[0] = lines
    else:
        for row, line in zip(rows, lines, strict=True):
            by_partition.setdefault(partition_of(row[2], partitions), []).append(line)
    return [
        Append(EVENTS.name, b"\n".join(part[at : at + EVENTS_PER_FRAME]), partition=partition)
        for partition, part in sorted(by_partition.items())
        for at in range(0, len(part), EVENTS_PER_FRAME)
    ]
