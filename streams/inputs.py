"""A frame of an input, read for the decider: runs of authentication events, and the rest one by one.

Authority follows the topic: events hold authentication events and commands hold what operators say, whatever
a record calls itself. What stands where it has no business is refused.

Nearly every frame holds events of one source and filter alone; they are taken as columns, all kinds, all
instants, all addresses, since a row or a record for each would cost more than folding it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, cast

from eventlog.contract import Message
from schemas import codec
from schemas.codec import AuthLine, read_events
from schemas.deciding import Dispatch, Pardon, Sighting, Verdict
from schemas.errors import InvalidMessage
from schemas.records import (
    AuthEvent,
    Command,
    ListChanged,
    Record,
    RulesChanged,
    Tick,
)
from streams.routes import Regions, route_to
from streams.runs import NO_DECOY, Columns, Routed, Run, runs_of
from streams.window import reference

Event = AuthLine | AuthEvent
Line = AuthLine | Record | InvalidMessage
Other = Command | Tick | RulesChanged | ListChanged | Dispatch
BELONGS: Final[Mapping[str, tuple[type[Record], ...]]] = {
    "commands": (Command, RulesChanged, ListChanged),
    "subjects": (Sighting, Pardon),
    "verdicts": (Verdict,),
    "events": (),
    "": (Command, RulesChanged, ListChanged, Tick),
}
"""What counts besides authentication events, by topic; "": among events, as in logs of before."""
Mark = tuple[str, str, str, str]
"""A source id, an incarnation of it, the filter, and who signed: each filter's events of a source come in
their order, and what one host says of a source is nothing to another's."""
NOBODY: Final = ""
"""Who signed what nobody did."""
ANY_FILTER: Final = ""
"""In marks of before, when there was one for all filters of a source: the least that each has seen."""
Sender = tuple[str, str]
"""A source id and an incarnation of it."""
Named = tuple[str, str, str]
NAMED: Final = attrgetter("source", "incarnation", "filter")
"""What an event says of a mark."""
EVENTS: Final = (AuthLine, AuthEvent)
NONE: Final[AbstractSet[str]] = frozenset()
NO_REGIONS: Final = Regions()


@dataclass(slots=True)
class Frame:
    """What a frame holds.

    Attributes:
        lines: what each line holds; a frame that is refused as a whole is one line.
        runs: in order; events that take one route, or the index and the record of anything else.
        refused: the index and the reason of each line that cannot be read.
        marks: the highest position of each source, incarnation and filter among its events.
        sent_again: events dropped because an earlier frame held them already, by source and incarnation.
    """

    lines: Sequence[Line]
    runs: list[Run | tuple[int, Other]] = field(default_factory=list)
    refused: list[tuple[int, InvalidMessage]] = field(default_factory=list)
    marks: dict[Mark, int] = field(default_factory=dict)
    sent_again: Counter[Sender] = field(default_factory=Counter)

    def line_of(self, index: int) -> str | None:
        """The log line of an authentication event."""
        event = self.event_of(index)
        return None if event is None else event.line

    def event_of(self, index: int) -> Event | None:
        """An authentication event."""
        event = self.lines[index]
        return event if isinstance(event, EVENTS) else None

    def take(
        self, mark: Mark, events: Sequence[Event], first: int, seen: int
    ) -> tuple[Sequence[Event], Sequence[int]]:
        """Move a mark past events, whose first index is given; those not seen before, and their indexes."""
        positions = [event.position for event in events]
        indexes: Sequence[int] = range(first, first + len(events))
        if min(positions) <= seen:
            new = [place for place, position in enumerate(positions) if position > seen]
            self.sent_again[mark[:2]] += len(events) - len(new)
            events, indexes = [events[place] for place in new], [indexes[place] for place in new]
        if events:
            self.marks[mark] = max(self.marks.get(mark, -1), *positions)
        return events, indexes

    def take_other(self, index: int, other: Record | InvalidMessage, topic: str) -> None:
        """Take what is no authentication event, if it may stand among these; "": as in logs of before."""
        if isinstance(other, InvalidMessage):
            self.refused.append((index, other))
        elif isinstance(other, BELONGS[topic]):
            self.runs.append((index, cast("Other", other)))
        else:
            reason = f"a record of type {other.TYPE} does not belong among the {topic or 'events'}"
            self.refused.append((index, InvalidMessage(reason, field="type")))


def read_told(topic: str, message: Message) -> Frame:
    """Read the frame of a message of an input besides events."""
    frame = Frame(_lines(codec.read_told, message.value))
    for index, line in enumerate(frame.lines):
        frame.take_other(index, cast("Record | InvalidMessage", line), topic)
    return frame


def refused_whole(reason: str) -> Frame:
    """What stands for the frame of a message that does not count: one refusal for all of it."""
    error = InvalidMessage(reason)
    return Frame([error], refused=[(0, error)])


def read_frame(  # noqa: PLR0913 - what differs from one message to the next
    message: Message,
    marks: Mapping[Mark, int],
    *,
    selective: bool,
    not_after_ms: int,
    behind_ms: int = 0,
    mixed: bool = False,
    host: str = NOBODY,
    decoys: AbstractSet[str] = NONE,
    valued: bool = False,
    regions: Regions = NO_REGIONS,
) -> Frame:
    """Read the frame of a message.

    Args:
        message: of the events topic.
        marks: the highest position folded so far; events at or below their own are dropped.
        selective: whether routes name source, host and labels (streams.routes).
        not_after_ms: a later time is that of a wrong clock, and is taken for this instant.
        behind_ms: how much the sender's clock is behind the log's; its events are put right by it.
        host: who signed it.
        mixed: it is of before there was a topic for commands: they count where they stand.
        decoys: the users that are decoys of some jail.
        valued: rows are to have users, ports, and what is asked for.
        regions: what jails name of where addresses are.
    """
    topic = "" if mixed else "events"
    frame = Frame(_lines(read_events, message.value))
    base = reference(message.offset)
    for index, named, group in _stretches(frame.lines):
        if named is None:
            frame.take_other(index, cast("Record | InvalidMessage", group[0]), topic)
            continue
        mark = (*named, host)
        events, indexes = frame.take(mark, cast("Sequence[Event]", group), index, seen_of(marks, mark))
        if not events:
            continue
        at_ms = [event.at_ms for event in events]
        if behind_ms or max(at_ms) > not_after_ms:
            at_ms = [max(0, min(not_after_ms, each + behind_ms)) for each in at_ms]
        rows = Columns([event.kind for event in events], at_ms, [event.ip for event in events], indexes)
        if valued:
            rows.values = _values(events)
        met = decoys & {event.user or NO_DECOY for event in events} if decoys else decoys
        if selective or met:
            routed = _routed(events, rows, met, regions if selective else None)
            frame.runs += (run._replace(event_of=frame.event_of) for run in runs_of(base, routed))
        else:
            frame.runs.append(Run(base, mark[2], rows, event_of=frame.event_of))
    return frame


def _values(events: Sequence[Event]) -> tuple[Sequence[str | int | None], ...]:
    """What rows do not always have (streams.runs)."""
    return (
        [event.user for event in events],
        [event.port for event in events],
        [event.times for event in events],
        [event.path for event in events],
    )


def seen_of(marks: Mapping[Mark, int], mark: Mark) -> int:
    """Up to which position the events of a mark are folded; -1: none is."""
    seen = marks.get(mark)
    return marks.get((mark[0], mark[1], ANY_FILTER, NOBODY), -1) if seen is None else seen


def _lines(read: Callable[[bytes], Sequence[Line]], value: bytes) -> Sequence[Line]:
    """What the lines of a frame hold; one refusal for all where it is too large to be taken apart."""
    try:
        return read(value)
    except InvalidMessage as error:
        return [error]


def _stretches(lines: Sequence[Line]) -> Iterator[tuple[int, Named | None, Sequence[Line]]]:
    """Events of one mark that follow each other, with the index of the first; all else singly, without."""
    first = lines[0]
    if isinstance(first, AuthLine) and _all_like(first, lines):
        yield 0, NAMED(first), lines
        return
    index = 0
    for mark, group in groupby(lines, lambda line: NAMED(line) if isinstance(line, EVENTS) else None):
        same = list(group)
        if mark is not None:
            yield index, mark, same
        else:
            yield from ((place, None, [other]) for place, other in enumerate(same, index))
        index += len(same)


def _all_like(first: AuthLine, lines: Sequence[Any]) -> bool:
    """Whether every line is an event of the first one's mark, as in nearly every frame."""
    try:
        return (
            [line.source for line in lines].count(first.source)
            == [line.incarnation for line in lines].count(first.incarnation)
            == [line.filter for line in lines].count(first.filter)
            == len(lines)
        )
    except AttributeError:  # there is something else among them
        return False


def _routed(
    events: Sequence[Event], rows: Columns, decoys: AbstractSet[str], regions: Regions | None
) -> Iterator[Routed]:
    """Rows, each with its route and the decoy that it names; `regions`: None where filters are routes."""
    for event, row in zip(events, rows, strict=True):
        if regions is None:
            route = event.filter
        else:
            whereabouts = regions.of(event.country, event.asn, event.spared)
            route = route_to(event.filter, event.source, event.host, event.labels, whereabouts)
        user = event.user or NO_DECOY
        yield route, user if user in decoys else NO_DECOY, row
