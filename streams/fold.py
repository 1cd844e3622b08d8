"""The fold over a partition's inputs: frames in, decisions out. Pure, for live and replay alike."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, cast

from eventlog.contract import Message
from schemas.errors import InvalidMessage
from schemas.records import Command, Decision, ListChanged, RulesChanged, Tick
from schemas.rules import Rules
from schemas.shipments import shipment_of
from schemas.topics import COMMANDS, SUBJECTS, VERDICTS, partition_of
from streams.decider import Decider
from streams.floods import Author, Floods
from streams.hosts import REASONS, Admission, Hosts
from streams.inputs import NOBODY, Frame, Other, read_frame, read_told, refused_whole
from streams.marks import Marks
from streams.order import TOLD
from streams.runs import Run
from streams.verdicts import COMMAND, EVENT, SUBJECT, TIME, VERDICT
from streams.window import reference
from streams.witness import Witness

KINDS: Final = {COMMANDS.name: COMMAND, SUBJECTS.name: SUBJECT, VERDICTS.name: VERDICT}
"""What an input besides events is called in a decision's identity."""
TOPICS: Final = {kind: topic for topic, kind in KINDS.items()}
TIMED: Final = (Command, Tick, ListChanged)
"""What brings an instant of its own, of whatever clock."""
SKEW_MS = 60_000
WRONG_MS = 300_000
"""A clock that is off by more is put right: so long no message is under way to the log."""
STEP_MS = WRONG_MS
"""A log whose clock is more than that behind what was folded has stepped back, for the same reason."""

PUT_ASIDE = (
    "put aside: most of what its sender sent lately cannot be read; he counts again when no line of his was "
    "unreadable for ten minutes"
)


@dataclass(slots=True)
class Fold:
    """A decider, and what it has seen of each source.

    Attributes:
        partitions: how many partitions the log has.
        governed: the rules change with the log's RulesChanged records; a replay under rules of its own
            ignores them.
        authority_from: the offset of the events from which on they hold events alone; in a log of before,
            operators' records stand among those before it, and count.
        shared: others than this machine write the log, so that one's flood is put aside for the others' sake.
        hosts: who may ship.
        floods: whose lines cannot be read.
        marks: how far each source is folded.
        sent_again: events passed over because they were folded before, in all.
        put_aside: messages put aside, in all.
        events: events folded.
        witness: what there is to tell about those who send.
    """

    decider: Decider
    partitions: int = 1
    governed: bool = True
    authority_from: int = 0
    shared: bool = True
    hosts: Hosts = field(default_factory=Hosts)
    floods: Floods = field(default_factory=Floods)
    marks: Marks = field(default_factory=Marks)
    events: int = 0
    sent_again: int = 0
    put_aside: int = 0
    witness: Witness = field(default_factory=Witness)

    def __post_init__(self) -> None:
        self.govern(self.decider)

    def govern(self, decider: Decider) -> None:
        """Fold into this decider from now on."""
        self.decider = decider
        decider.partitions = self.partitions

    def take(self, message: Message) -> tuple[list[Decision], Frame]:
        """Fold a message of the events; the decisions, and the frame with what it refused."""
        frame = self.read(message)
        return self.fold_frame(message, frame), frame

    def read(self, message: Message) -> Frame:
        """Read a message of the events that is folded next: what counts of it, and what it refused."""
        self.witness.stepped_back += self._stepped_back(message)
        admission = self.hosts.admit(message)
        if admission.refusal is not None:
            self.witness.refused[admission.refusal] += 1
            return refused_whole(REASONS[admission.refusal])
        frame = read_frame(
            message,
            self.marks,
            selective=self.decider.routes.selective,
            not_after_ms=message.at_ms + SKEW_MS,
            behind_ms=self._behind_ms(message),
            mixed=message.offset < self.authority_from,
            host=admission.host or NOBODY,
            decoys=self.decider.routes.decoys,
            valued=self.decider.routes.valued,
            regions=self.decider.routes.regions,
        )
        if self._puts_aside(message, admission, frame):
            return refused_whole(PUT_ASIDE)
        for mark, position in frame.marks.items():
            self.marks.move(mark, position)
        self.sent_again += frame.sent_again.total()
        self.witness.see(frame.marks, frame.sent_again)
        return frame

    def fold_frame(self, message: Message, frame: Frame) -> list[Decision]:
        """Fold what was read of a message of the events; the decisions."""
        self.decider.log_ms = message.at_ms
        if self._stepped_back(message):
            self.decider.step_back(message.at_ms, SKEW_MS)
        decisions: list[Decision] = []
        for run in frame.runs:
            if isinstance(run, Run):
                self.events += len(run.rows)
                decisions += self.decider.fold(run, frame.line_of)
            else:
                decisions += self._one(message, *run, frame, EVENT)
        return decisions

    def obey(self, topic: str, message: Message) -> tuple[list[Decision], Frame]:
        """Fold a message of an input besides events; the decisions, and the frame with what it refused."""
        self.decider.log_ms = message.at_ms
        frame = read_told(TOLD[topic], message)
        decisions: list[Decision] = []
        for index, record in cast("list[tuple[int, Other]]", frame.runs):
            decisions += self._one(message, index, record, frame, KINDS[topic])
        return decisions, frame

    def pass_time(self, at_ms: int) -> list[Decision]:
        """Let time pass to an instant; the decisions."""
        self.decider.log_ms = at_ms
        return self.decider.apply(reference(at_ms), Tick(at_ms=at_ms), kind=TIME)

    def _stepped_back(self, message: Message) -> bool:
        """Whether the log's clock has stepped back before a message."""
        return self.decider.now_ms - message.at_ms > STEP_MS

    def _puts_aside(self, message: Message, admission: Admission, frame: Frame) -> bool:
        """Whether a message counts for nothing, because most of what its sender sent cannot be read."""
        if not self.shared or message.offset < self.authority_from:
            return False
        author = _author(message, admission)
        if not self.floods.put_aside(author, message.at_ms, len(frame.lines), len(frame.refused)):
            return False
        self.put_aside += 1
        self.witness.put_aside[author] += 1
        return True

    def _behind_ms(self, message: Message) -> int:
        """How much the clock of a message's sender is behind the log's; 0 unless it is wrong."""
        shipment = shipment_of(message.key)
        if shipment is None:
            return 0
        behind_ms = message.at_ms - shipment.sent_at_ms
        if abs(behind_ms) <= WRONG_MS:
            return 0
        self.witness.wrong_clocks[shipment.host] = behind_ms
        return behind_ms

    def _one(self, message: Message, index: int, record: Other, frame: Frame, kind: str) -> list[Decision]:
        if isinstance(record, TIMED) and record.at_ms > message.at_ms + SKEW_MS:
            # Nobody's wrong clock may end the bans of all.
            record = replace(record, at_ms=message.at_ms + SKEW_MS)
        try:
            return self._applied(reference(message.offset, index), message.at_ms, record, kind)
        except InvalidMessage as error:
            frame.refused.append((index, error))
            return []

    def _applied(self, place: int, at_ms: int, record: Other, kind: str) -> list[Decision]:
        decider = self.decider
        match record:
            case RulesChanged():
                rules = Rules.from_wire(record.rules)
                self.hosts.require = rules.require_enrolled
                return decider.apply(place, rules, kind=kind) if self.governed else []
            case Command(verb="enroll" | "revoke"):
                self.hosts.obey(record, at_ms)
                return []
            case Command(prefix=str(prefix)):
                owned = partition_of(prefix, self.partitions) == decider.partition
                return decider.apply(place, record, kind=kind, owned=owned)
            case _:
                return decider.apply(place, record, kind=kind)


def _author(message: Message, admission: Admission) -> Author:
    """Who sent a message that is admitted."""
    if admission.host is not None:
        return Author(admission.host, signed=True)
    shipment = shipment_of(message.key)
    return Author("" if shipment is None else shipment.host, signed=False)
