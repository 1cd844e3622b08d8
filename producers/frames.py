"""Rows to frames: an event's line is made from its row at once, without a record between them.

What a client or a log can make long is cut here to what readers take (schemas.bounds).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Final

from eventlog.contract import Append
from producers.filters import Filter
from producers.filters.rows import EventRow
from producers.requests import NO_FIELDS, PATH, REQUEST, TIMES
from schemas.bounds import MOST_PORT, MOST_TIMES, NAME_CHARACTERS, TEXT_CHARACTERS
from schemas.codec import NO_LABELS, AuthLine, encode_lines
from schemas.topics import EVENTS, partition_of_address

EVENTS_PER_FRAME: Final = 512
TEXT: Final = slice(TEXT_CHARACTERS)
NAME: Final = slice(NAME_CHARACTERS)
"""Made once: one for each row would cost more than the cut."""
LARGE_BYTES: Final = 1 << 20
EVENTS_PER_LARGE_FRAME: Final = 32
"""Events as large as they come (20 KB of escaped control characters) are as few in a frame."""


@dataclass(frozen=True, slots=True)
class EventOrigin:
    """What all events of one piece of data share. `base` is the position of the data's first byte."""

    filter: Filter
    source: str
    incarnation: str
    base: int
    seen_at_ms: int
    labels: Mapping[str, str]


def appends(events: Sequence[AuthLine], partitions: int) -> list[Append]:
    """The messages that hold events, each in the partition of its address."""
    by_partition: list[list[AuthLine]] = [[] for _ in range(partitions)]
    for event in events if partitions > 1 else ():
        by_partition[partition_of_address(event.ip, partitions)].append(event)
    return [
        Append(EVENTS.name, frame, partition=partition)
        for partition, part in enumerate(by_partition if partitions > 1 else [events])
        for frame in _frames(part)
    ]


def in_line_order(found: Sequence[Sequence[AuthLine]]) -> list[AuthLine]:
    """What several filters found in one piece of data, as a replay folds it: line by line.

    However the lines are cut into pieces, the order is the same; and where one line has events of several
    filters, theirs is.
    """
    if len(found) == 1:
        return list(found[0])
    return sorted(chain.from_iterable(found), key=attrgetter("position"))


def _frames(events: Sequence[AuthLine]) -> Iterator[bytes]:
    """Events as frames that any reader takes."""
    for part in _cut(events, EVENTS_PER_FRAME):
        frame = encode_lines(part)
        if len(frame) <= LARGE_BYTES:
            yield frame
        else:
            yield from map(encode_lines, _cut(part, EVENTS_PER_LARGE_FRAME))


def _cut(events: Sequence[AuthLine], most: int) -> Iterator[Sequence[AuthLine]]:
    """Events in stretches of `most`; those of one line stay together, as they may share a position."""
    start = 0
    while start < len(events):
        end = min(start + most, len(events))
        while end < len(events) and events[end].position == events[end - 1].position:
            end += 1
        yield events[start:end]
        start = end


def auth_lines(data: bytes, rows: Sequence[EventRow], origin: EventOrigin) -> list[AuthLine]:
    """The events of rows."""
    name, version, service = origin.filter.name, origin.filter.version, origin.filter.service[NAME]
    source, incarnation, base, seen_at_ms = origin.source, origin.incarnation, origin.base, origin.seen_at_ms
    labels = dict(origin.labels) or NO_LABELS
    lines = [
        AuthLine(
            "auth",
            1,
            kind,  # type: ignore[arg-type]  # a filter knows no others
            at_ms,
            seen_at_ms,
            name,
            version,
            ip,
            source,
            incarnation,
            base + start + nth,
            data[start:end].rstrip(b"\r\n").decode("utf-8", "replace")[TEXT],
            user and user[TEXT],
            port if (port or 0) <= MOST_PORT else None,
            service,
            host and host[NAME],
            labels,
            skewed,
        )
        for kind, at_ms, ip, start, end, user, port, host, skewed, nth, _ in rows
    ]
    if rows and rows[0][0] == REQUEST:
        for line, row in zip(lines, rows, strict=True):
            asked = row[10] or NO_FIELDS
            line.path, line.times = asked.get(PATH, "")[TEXT], min(int(asked.get(TIMES, 1)), MOST_TIMES)
    return lines
