"""Rows to frames: NDJSON lines equal to what schemas.codec writes for an AuthEvent, without the objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

from eventlog.contract import Append
from producers.filters import Filter
from producers.filters.rows import EventRow as Row
from schemas.codec import VERSION
from schemas.records import LINE_BYTES, AuthEvent
from schemas.topics import EVENTS, partition_of_address

EVENTS_PER_FRAME: Final = 512
BETWEEN: Final = b'},{"type":"auth","v":'


@dataclass(frozen=True, slots=True)
class Origin:
    """What all events of one piece of data share. `base` is the position of the data's first byte."""

    filter: Filter
    source: str
    incarnation: str
    base: int
    seen_at_ms: int
    labels: Mapping[str, str]


def frame(data: bytes, rows: Sequence[Row], origin: Origin) -> bytes:
    """The events of rows as one frame: NDJSON; fields at their default are left out, as in the codec.

    All are written at once, as an array, and cut apart where one object ends and the next begins: orjson's
    results take a page each while they live. Inside a string the quote of `},{"type"` would be escaped, and
    one that ends a string is followed by a comma, a colon or a brace, so no text can forge a cut.
    """
    return _packed(list(wires(data, rows, origin)))


def late_appends(events: Sequence[dict[str, Any]], partitions: int) -> list[Append]:
    """The messages that hold events as `wires` writes them, each in the partition of its address."""
    by_partition: dict[int, list[dict[str, Any]]] = {}
    for wire in events:
        by_partition.setdefault(partition_of_address(wire["ip"], partitions), []).append(wire)
    return [Append(EVENTS.name, _packed(part), partition=number) for number, part in by_partition.items()]


def appends(data: bytes, rows: Sequence[Row], origin: Origin, partitions: int) -> list[Append]:
    """The messages that hold the events of rows, each in the partition of its address."""
    by_partition: dict[int, Sequence[Row]] = {0: rows}
    if partitions > 1:
        by_partition = {number: [] for number in range(partitions)}
        for row in rows:
            cast("list[Row]", by_partition[partition_of_address(row[2], partitions)]).append(row)
    return [
        Append(EVENTS.name, frame(data, part[at : at + EVENTS_PER_FRAME], origin), partition=partition)
        for partition, part in by_partition.items()
        for at in range(0, len(part), EVENTS_PER_FRAME)
    ]


def _packed(events: list[dict[str, Any]]) -> bytes:
    return orjson.dumps(events)[1:-1].replace(BETWEEN, b"}\n{" + BETWEEN[3:])


def wires(data: bytes, rows: Sequence[Row], origin: Origin) -> Iterator[dict[str, Any]]:
    """The events of rows as the codec writes them, as dicts."""
    name, version, service = origin.filter.name, origin.filter.version, origin.filter.service
    source, incarnation, base, seen_at_ms = origin.source, origin.incarnation, origin.base, origin.seen_at_ms
    labels = origin.labels
    for kind, at_ms, ip, start, end, user, port, host, skewed, nth, _ in rows:
        wire = {
            "type": AuthEvent.TYPE,
            "v": VERSION,
            "kind": kind,
            "at_ms": at_ms,
            "seen_at_ms": seen_at_ms,
            "filter": name,
            "filter_version": version,
            "ip": ip,
            "source": source,
            "incarnation": incarnation,
            "position": base + start + nth,
            "line": data[start:end].rstrip(b"\r\n").decode("utf-8", "replace")[:LINE_BYTES],
        }
        if user is not None:
            wire["user"] = user
        if port is not None:
            wire["port"] = port
        wire["service"] = service
        if host is not None:
            wire["host"] = host
        if labels:
            wire["labels"] = labels
        if skewed:
            wire["skewed"] = True
        yield wire
