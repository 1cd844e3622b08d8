"""The one order in which a partition takes its inputs: events, what else it is told, and time that passes.

Live they interleave as they come. What took effect between two messages of events is a step; the steps of a
commit are its first record, `Obeyed`. Whoever folds the log again, after a crash or years later, takes the
inputs in the order that the steps tell, and a digest over all of them tells whether he did.

| at hand | is folded |
|---|---|
| a step of commands, subjects or verdicts | after the events up to its own, with all of these up to its own |
| a step of time | after the events up to its own |
| no step | events |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol
from zlib import crc32

from eventlog.contract import Append, EventLog, Message
from schemas.codec import decode, encode
from schemas.deciding import Obeyed, OrderStep
from schemas.errors import InvalidMessage, LogError
from schemas.topics import COMMANDS, DECISIONS, EVENTS, SUBJECTS, VERDICTS

OBEYED: Final = b'{"type":"obeyed"'
"""How a message that holds the steps of a commit begins; it holds nothing else."""
PAGE: Final = 256
TOLD: Final[Mapping[str, str]] = {
    COMMANDS.name: "commands",
    SUBJECTS.name: "subjects",
    VERDICTS.name: "verdicts",
}
"""The inputs besides events, and what each is called in a step and in a position."""
INPUTS: Final = (EVENTS.name, *TOLD)
"""The topics that a partition is decided from: whoever owns a number has it of each."""
INITIALS: Final[Mapping[str, bytes]] = {
    EVENTS.name: b"e",
    **{topic: name[:1].encode() for topic, name in TOLD.items()},
}


class Steps:
    """The steps of a partition: how many there were, and those that no commit has told yet."""

    def __init__(self, count: int = 0) -> None:
        self._first = count
        self._untold: list[OrderStep] = []

    @property
    def count(self) -> int:
        """How many there are in all."""
        return self._first + len(self._untold)

    def __bool__(self) -> bool:
        """Whether there are any to tell."""
        return bool(self._untold)

    def obeyed(self, events: int, topic: str, offset: int) -> None:
        """What another input tells, up to an offset, was taken after the events up to theirs."""
        name = TOLD[topic]
        last = self._untold[-1] if self._untold else None
        if last is not None and last.events == events and getattr(last, name) is not None:
            self._untold.pop()
        self._untold.append(OrderStep(events=events, **{name: offset}))

    def passed(self, events: int, at_ms: int) -> None:
        """Time passed to an instant after the events up to an offset."""
        self._untold.append(OrderStep(events=events, at_ms=at_ms))

    def take(self, partition: int) -> list[Append]:
        """The message that tells them, if there are any; they are told then."""
        if not self._untold:
            return []
        record = Obeyed(first=self._first, steps=tuple(self._untold))
        self._first += len(self._untold)
        self._untold = []
        return [Append(DECISIONS.name, encode(record), partition=partition)]


def digest_of(before: int, topic: str, message: Message) -> int:
    """The digest of all inputs in order, with one more: CRC-32 of its place, its instant, and its length."""
    facts = b"%b%d:%d:%d" % (INITIALS[topic], message.offset, message.at_ms, len(message.value))
    return crc32(facts, before)


def digest_of_time(before: int, at_ms: int) -> int:
    """The same, where time passed."""
    return crc32(b"t%d" % at_ms, before)


def steps_in(messages: Iterable[Message], count: int) -> list[OrderStep]:
    """The steps that messages of the decisions tell, from the `count`th on; LogError where one is missing."""
    found: list[OrderStep] = []
    for message in messages:
        record = _obeyed(message)
        if record is None:
            continue
        known = count + len(found)
        if record.first > known:
            raise LogError(
                f"the decisions of partition {message.partition} lack the steps {known} to "
                f"{record.first - 1} before offset {message.offset}: the log was changed, or it is not whole"
            )
        found += record.steps[known - record.first :]
    return found


def steps_of(message: Message) -> Sequence[OrderStep]:
    """The steps that a message of the decisions tells; most tell none."""
    record = _obeyed(message)
    return () if record is None else record.steps


def _obeyed(message: Message) -> Obeyed | None:
    if not message.value.startswith(OBEYED):
        return None
    place = f"partition {message.partition} of the decisions, offset {message.offset}"
    try:
        record = decode(message.value)
    except InvalidMessage as error:
        raise LogError(f"{place}: not as it was written: {error}") from error
    if not isinstance(record, Obeyed):
        raise LogError(f"{place}: not as it was written, but of type {record.TYPE}")
    return record


class Folding(Protocol):
    """What is folded into: a partition."""

    def decide(self, messages: Iterable[Message]) -> list[Append]:
        """Fold messages of the events."""
        ...

    def obey(self, topic: str, messages: Iterable[Message]) -> list[Append]:
        """Fold messages of another input."""
        ...

    def pass_time(self, at_ms: int) -> list[Append]:
        """Let time pass."""
        ...


class Goal(NamedTuple):
    """Where folding again ends.

    Attributes:
        events: the offset of the last message of events; `steps`: how many steps there are by then.
        digest: of all inputs by then; None where it cannot be compared.
    """

    events: int
    steps: int
    digest: int | None


class Want(NamedTuple):
    """What is to be read next: a topic from one offset to before another (None: its end)."""

    topic: str
    begin: int
    end: int | None


class Again:
    """Folds again what was decided already, in the order in which it was. `want` says what to read for it.

    Attributes:
        goal: where it ends.
    """

    def __init__(self, folding: Folding, goal: Goal, steps: int, reached: Mapping[str, int]) -> None:
        """Fold into what stands behind `steps` steps; `reached`: from where each topic is to be read."""
        self.goal = goal
        self._folding = folding
        self._known = steps
        self._steps: list[OrderStep] = []
        self._reached = dict(reached)
        self._wanted = 0

    def want(self) -> Want | None:
        """What to read next; None when all is folded. Lets time pass where that is next."""
        if self._known < self.goal.steps:
            return Want(DECISIONS.name, self._reached[DECISIONS.name], None)
        while self._steps:
            step = self._steps[0]
            if want := self._up_to(EVENTS.name, step.events):
                return want
            for topic, name in TOLD.items():
                last = getattr(step, name)
                if last is not None and (want := self._up_to(topic, last)):
                    return want
            if step.at_ms is not None:
                self._folding.pass_time(step.at_ms)
            del self._steps[0]
        return self._up_to(EVENTS.name, self.goal.events)

    def take(self, topic: str, messages: Sequence[Message], reached: int, end: int) -> None:
        """Fold what was read: all before `reached`, of a topic that was wanted, or ends, up to `end`.

        Raises:
            LogError: what was decided is not in the log any more.
        """
        if topic != DECISIONS.name and reached >= end and end < self._wanted:
            raise LogError(
                f"{topic} ends at {end}, and was decided up to {self._wanted - 1}: its end is lost"
            )
        self._reached[topic] = max(reached, self._reached[topic])
        match topic:
            case DECISIONS.name:
                self._take_steps(messages, reached, end)
            case EVENTS.name:
                self._folding.decide(messages)
            case _:
                self._folding.obey(topic, messages)

    def _take_steps(self, messages: Sequence[Message], reached: int, end: int) -> None:
        found = steps_in(messages, self._known)
        self._steps += found[: self.goal.steps - self._known]
        self._known += len(found)
        if reached >= end and self._known < self.goal.steps:
            raise LogError(f"the decisions tell {self._known} steps of {self.goal.steps}: they are not whole")

    def _up_to(self, topic: str, last: int) -> Want | None:
        begin = self._reached[topic]
        self._wanted = last + 1
        return Want(topic, begin, last + 1) if begin <= last else None


def read_again(log: EventLog, number: int, again: Again) -> None:
    """Fold again one partition of a log, whatever it wants; raises what the log does, and LogError."""
    while want := again.want():
        read_page(log, number, again, want)


def read_page(log: EventLog, number: int, again: Again, want: Want) -> None:
    """Fold again some of what is wanted."""
    end = log.end(want.topic, number)
    end = end if want.end is None else min(want.end, end)
    found = log.read(want.topic, number, want.begin, limit=PAGE)
    messages = [message for message in found if message.offset < end]
    again.take(want.topic, messages, messages[-1].offset + 1 if messages else end, end)


def first_step(log: EventLog, number: int) -> int:
    """The number of the first step that a partition's decisions still tell; 0 where they tell none."""
    offset = log.begin(DECISIONS.name, number)
    while messages := log.read(DECISIONS.name, number, offset, limit=PAGE):
        for message in messages:
            record = _obeyed(message)
            if record is not None:
                return record.first
        offset = messages[-1].offset + 1
    return 0
