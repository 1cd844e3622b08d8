"""A replay: rules on trial over raw files or over the event log, without touching anything.

Over files, the log is the files themselves: an event's place is its file's number and the byte at which its
line starts, so nothing depends on how they are read. Several files are one stream, merged by the events'
times. Jails see every file, whatever sources they are configured to read.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter
from typing import Any, Final

from banstream.reading import messages
from eventlog.contract import EventLog
from producers.filters import Filter
from producers.offline import Batch
from schemas.records import Ban, Decision, Prolong, Unban
from schemas.topics import EVENTS
from streams.decider import Decider, Row
from streams.fold import Fold
from streams.routes import SEPARATOR
from streams.rules import Rules

FILE_BITS: Final = 44
ROWS_A_FOLD: Final = 8_192


@dataclass(slots=True)
class Counts:
    """What a replay has gone through."""

    lines: int = 0
    events: int = 0
    decisions: int = 0


def anywhere(rules: Rules) -> Rules:
    """The same rules for files that no jail names as its source."""
    return replace(rules, jails=tuple(replace(jail, sources=()) for jail in rules.jails))


def over_files(
    rules: Sequence[Rules], filters: Sequence[Filter], streams: Sequence[Iterator[Batch]], counts: Counts
) -> Iterator[list[list[Decision]]]:
    """Fold the events of files, one stream each, under each of several rules: the decisions of each."""
    deciders = [Decider(anywhere(each)) for each in rules]
    selective = any(decider.routes.selective for decider in deciders)
    rows_of = [
        _rows(number, stream, filters, counts, selective=selective) for number, stream in enumerate(streams)
    ]
    for rows in rows_of[0] if len(rows_of) == 1 else _merged(rows_of):
        counts.events += len(rows)
        decided = [decider.fold(0, rows, _no_line) for decider in deciders]
        counts.decisions += len(decided[0])
        yield decided


def over_log(
    rules: Sequence[Rules], log: EventLog, since_ms: int, until_ms: int, counts: Counts
) -> Iterator[list[list[Decision]]]:
    """Fold what was appended within a stretch of time, under each of several rules.

    The operators' commands of that time are obeyed again; the rules that held then are not.
    """
    for partition in range(log.partitions):
        folds = [
            Fold(Decider(each, partition=partition), partitions=log.partitions, governed=False)
            for each in rules
        ]
        start = log.offset_at(EVENTS.name, partition, since_ms)
        for message in messages(log, EVENTS.name, partition, start):
            if message.at_ms >= until_ms:
                break
            decided = [fold.take(message)[0] for fold in folds]
            counts.lines += message.value.count(b"\n") + 1
            counts.decisions += len(decided[0])
            yield decided
        counts.events += folds[0].events


def wire(decision: Decision) -> dict[str, Any]:
    """A decision as `replay` prints it."""
    facts: dict[str, Any] = {
        "kind": decision.TYPE,
        "prefix": decision.prefix,
        "jail": decision.jail,
        "at_ms": decision.at_ms,
    }
    match decision:
        case Ban():
            facts |= {
                "until_ms": decision.until_ms,
                "count": decision.count,
                "ban_count": decision.ban_count,
            }
        case Unban():
            facts |= {"reason": decision.reason, "while_banned": decision.while_banned}
        case Prolong():
            facts |= {"until_ms": decision.until_ms}
    return facts


def _rows(
    number: int, batches: Iterator[Batch], filters: Sequence[Filter], counts: Counts, *, selective: bool
) -> Iterator[list[Row]]:
    names = [each.name for each in filters]
    for batch in batches:
        counts.lines += batch.data.count(b"\n")
        base = number << FILE_BITS | batch.base
        if len(names) == 1 and not selective:
            name = names[0]
            yield [(row[0], row[1], row[2], base + row[3], name) for row in batch.rows[0]]
            continue
        found = [
            (kind, at_ms, ip, base + start, _route(name, batch.path, host, selective=selective))
            for name, rows in zip(names, batch.rows, strict=True)
            for kind, at_ms, ip, start, _, _, _, host, *_ in rows
        ]
        found.sort(key=itemgetter(3))
        yield found


def _route(name: str, path: str, host: str | None, *, selective: bool) -> str:
    return SEPARATOR.join((name, f"file:{path}", host or "")) if selective else name


def _merged(streams: Sequence[Iterator[list[Row]]]) -> Iterator[list[Row]]:
    each = [(row for rows in stream for row in rows) for stream in streams]
    merged = heapq.merge(*each, key=itemgetter(1))
    while rows := list(islice(merged, ROWS_A_FOLD)):
        yield rows


def _no_line(_index: int) -> str | None:
    return None
