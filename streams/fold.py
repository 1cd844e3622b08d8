"""The fold over messages of the events topic: frames in, decisions out. Pure, for live and replay alike."""

from __future__ import annotations

from dataclasses import dataclass, field

from eventlog.contract import Message
from schemas.errors import InvalidMessage
from schemas.records import Command, Decision, RulesChanged, Tick
from schemas.topics import partition_of
from streams.commands import obey
from streams.decider import Decider, Run
from streams.inputs import Frame, Mark, Other, read_frame
from streams.rules import Rules
from streams.window import reference

SKEW_MS = 60_000
MOST_MARKS = 10_000


@dataclass(slots=True)
class Fold:
    """A decider, and what it has seen of each source.

    Attributes:
        partitions: how many partitions the log has.
        governed: the rules change with the log's RulesChanged records; a replay under rules of its own
            ignores them.
        marks: the highest position folded, by source and incarnation.
        events, repeated: events folded, and dropped as seen before.
    """

    decider: Decider
    partitions: int = 1
    governed: bool = True
    marks: dict[Mark, int] = field(default_factory=dict)
    events: int = 0
    repeated: int = 0

    def take(self, message: Message) -> tuple[list[Decision], Frame]:
        """Fold one message; the decisions, and the frame with what it refused."""
        frame = read_frame(
            message, self.marks, selective=self.decider.routes.selective, not_after_ms=message.at_ms + SKEW_MS
        )
        self.marks.update(frame.marks)
        while len(self.marks) > MOST_MARKS:
            del self.marks[next(iter(self.marks))]
        self.repeated += frame.repeated
        decisions: list[Decision] = []
        for run in frame.runs:
            if isinstance(run, Run):
                self.events += len(run.rows)
                decisions += self.decider.fold(run, frame.line_of)
            else:
                decisions += self._one(message.offset, *run, frame)
        return decisions, frame

    def _one(self, offset: int, index: int, record: Other, frame: Frame) -> list[Decision]:
        self.decider.begin(reference(offset, index))
        try:
            self._obey(record)
        except InvalidMessage as error:
            frame.refused.append((index, error))
        return self.decider.taken()

    def _obey(self, record: Other) -> None:
        match record:
            case Command():
                prefix, number = record.prefix, self.decider.partition
                owned = prefix is None or partition_of(prefix, self.partitions) == number
                obey(self.decider, record, owned=owned)
            case Tick():
                self.decider.advance(record.at_ms)
            case RulesChanged():
                if self.governed:
                    self.decider.adopt(Rules.from_wire(record.rules))
