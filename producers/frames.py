"""Rows to frames: NDJSON lines equal to what schemas.codec writes for an AuthEvent, without the objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, Final, cast

import orjson

from eventlog.contract import Append
from producers.filters import Filter
from producers.filters.rows import Row
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


def appends(events: Sequence[dict[str, Any]], partitions: int) -> list[Append]:
    """The messages that hold events as `wires` writes them, each in the partition of its address."""
    by_partition: dict[int, Sequence[dict[str, Any]]] = {0: events}
    if partitions > 1:
        by_partition = {number: [] for number in range(partitions)}
        for wire in events:
            part = by_partition[partition_of_address(wire["ip"], partitions)]
            cast("list[dict[str, Any]]", part).append(wire)
    return [
        Append(EVENTS.name, packed(frame), partition=partition)
        for partition, part in by_partition.items()
        for frame in _cut(part)
    ]


def in_line_order(found: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What several filters found in one piece of data, as a replay folds it: line by line.

    However the lines are cut into pieces, the order is the same; and where one line has events of several
    filters, theirs is.
    """
    if len(found) == 1:
        return list(found[0])
    return sorted(chain.from_iterable(found), key=itemgetter("position"))


def _cut(events: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    """Events in frames of EVENTS_PER_FRAME; those of one line stay together, as they may share a position."""
    start = 0
    while start < len(events):
        end = min(start + EVENTS_PER_FRAME, len(events))
        while end < len(events) and events[end]["position"] == events[end - 1]["position"]:
            end += 1
        yield events[start:end]
        start = end


def packed(events: Sequence[dict[str, Any]]) -> bytes:
    """Events as a frame.

    All are written at once, as an array, and cut apart where one object ends and the next begins: orjson's
    results take a page each while they live. Inside a string the quote of `},{"type"` would be escaped, and
    one that ends a string is followed by a comma, a colon or a brace, so no text can forge a cut.
    """
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
