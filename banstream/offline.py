"""Replaying: the same fold as live, over raw files or over the event log, without touching anything.

Over files, the log is the files themselves: an event's place is the byte at which its line starts, counted
over the files one after another. So nothing depends on how they are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from banstream.reading import messages
from eventlog.contract import EventLog
from schemas.records import Decision
from schemas.topics import EVENTS
from streams.decider import Decider
from streams.fold import Fold
from streams.rules import Rules


@dataclass(slots=True)
class Tally:
    """What a replay has gone through so far."""

    lines: int = 0
    events: int = 0
    decisions: int = 0


def replay_log(log: EventLog, rules: Rules, since_ms: int, until_ms: int, tally: Tally) -> Iterator[Decision]:
    """Fold what was appended within a stretch of time under these rules, whatever rules held then.

    The operators' commands of that time are obeyed again.
    """
    for partition in range(log.partitions):
        fold = Fold(Decider(rules, partition=partition), partitions=log.partitions, governed=False)
        start = log.offset_at(EVENTS.name, partition, since_ms)
        for message in messages(log, EVENTS.name, partition, start):
            if message.at_ms >= until_ms:
                break
            decisions, frame = fold.take(message)
            tally.lines += len(frame.wires)
            tally.decisions += len(decisions)
            yield from decisions
        tally.events += fold.events
