"""A worker's core driven by hand: inputs in, actions out, without a broker and without waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from eventlog.contract import Append, Message
from schemas.codec import encode, encode_frame
from schemas.records import Command, RulesChanged
from schemas.topics import COMMANDS, DECISIONS, EVENTS, STATE
from streams.worker import actions, inputs
from streams.worker.core import Core
from streams.worker.states import FENCED_S, LEAVE_S, RETRY_S, State
from tests.streams.folding import ALICE, BOB, T0, failure, rules

TOPIC: Final = EVENTS.name
ACTIONS = TypeVar("ACTIONS", bound=actions.Action)


def governed(offset: int = 0) -> Message:
    """A message of the commands that puts rules in force."""
    in_force = rules()
    record = RulesChanged(version=in_force.version, at_ms=T0, rules=in_force.to_wire())
    return Message(0, offset, None, encode(record), T0)


def forgiving(offset: int, ip: str) -> Message:
    """A message of the commands that forgives an address."""
    record = Command(id=str(offset), verb="forgive", at_ms=T0, who="root", prefix=ip)
    return Message(0, offset, None, encode(record), T0)


def failing(offset: int, ip: str = BOB, times: int = 1) -> Message:
    """So many failed logins of an address, in one message."""
    frame = [failure(ip, T0, 100 * offset + nth) for nth in range(times)]
    return Message(0, offset, None, encode_frame(frame), T0)


def banning(offset: int) -> Message:
    """A message that a ban follows from."""
    return failing(offset, ALICE, 3)


def garbage(offset: int) -> Message:
    """A hundred lines that cannot be read: ten such messages are a flood."""
    return Message(0, offset, None, b"\n".join([b"garbage"] * 100), T0)


def came(message: Message) -> inputs.MessageCame:
    """The message of the events is delivered."""
    return inputs.MessageCame(TOPIC, message)


def ruled(offset: int = 0) -> inputs.MessageCame:
    """The command that puts rules in force is delivered."""
    return inputs.MessageCame(COMMANDS.name, governed(offset))


def state_read(values: Mapping[str, bytes], end: int = 1_000_000, commands: int = 0) -> inputs.StateRead:
    """The state was read, of a log that has so many events, and commands."""
    return inputs.StateRead(values, {TOPIC: 0, COMMANDS.name: 0}, {TOPIC: end, COMMANDS.name: commands})


NOTHING: Final = state_read({}, 0)


def end_seen(end: int) -> inputs.EndSeen:
    """The log ends there, and the clock shows that anything may have happened."""
    return inputs.EndSeen(TOPIC, end, 2 * T0)


def page(messages: Iterable[Message], reached: int, end: int) -> inputs.PageRead:
    """The messages were read."""
    return inputs.PageRead(TOPIC, tuple(messages), reached, end)


@dataclass
class Driven:
    """A core, its clock, and what it asked for so far.

    Attributes:
        state: what its commits wrote among the state, by key.
        log: what was delivered or written, by topic, as far as it is to be read again.
    """

    core: Core = field(default_factory=lambda: Core(0, 1))
    now: float = 1_000.0
    done: list[actions.Action] = field(default_factory=list)
    state: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0
    log: dict[str, list[Message]] = field(
        default_factory=lambda: {DECISIONS.name: [], COMMANDS.name: [], TOPIC: []}
    )

    def at(self, state: State) -> bool:
        """Whether it is in a state."""
        return self.core.state is state

    def feed(self, *given: inputs.Input) -> list[actions.Action]:
        """Feed inputs at this instant; what was asked for by all of them."""
        for each in given:
            if isinstance(each, inputs.MessageCame) and each.message not in self.log[each.topic]:
                self.log[each.topic].append(each.message)
        asked = [action for each in given for action in self.core.feed(each, self.now)]
        self.done += asked
        return asked

    def later(self, seconds: float) -> list[actions.Action]:
        """Let time pass, and the timer ring if it would."""
        self.now += seconds
        return self.feed(inputs.Timer()) if self.core.wake_at <= self.now else []

    def committed(self) -> list[actions.Action]:
        """Answer the last commit: it is in the log."""
        commit = next(action for action in reversed(self.done) if isinstance(action, actions.Commit))
        decisions = self.log[DECISIONS.name]
        for append in commit.appends:
            if append.topic == STATE.name:
                self.state[str(append.key)] = append.value
            if append.topic == DECISIONS.name:
                decisions.append(Message(0, len(decisions), None, append.value, T0))
        self.commits += 1
        return self.feed(inputs.Committed(10 * self.commits, len(decisions) - 1 if decisions else None))

    def answered(self, log: Mapping[str, list[Message]]) -> list[actions.Action]:
        """Answer what it asked to read, from a log, until it asks no more; what it asked for meanwhile."""
        asked: list[actions.Action] = []
        while self.done and isinstance(read := self.done[-1], actions.Read):
            there = log[read.topic]
            end = there[-1].offset + 1 if read.end is None and there else read.end or 0
            found = [message for message in there if read.begin <= message.offset < end]
            asked += self.feed(inputs.PageRead(read.topic, tuple(found), end, end))
        return asked

    def opened(self, state: Mapping[str, bytes] | None = None) -> list[actions.Action]:
        """Give it the partition, and open that with a state in the log."""
        return self.feed(inputs.Assigned(), inputs.Opened(), state_read(dict(state or {})))

    def level(self) -> None:
        """Open, with an empty log; the first rules, and a message at 0, are delivered and committed."""
        self.opened()
        self.feed(ruled())
        self.committed()
        self.feed(page([], 0, 0), came(failing(0, "198.51.100.9")))
        self.later(1)
        self.committed()


def of(kind: type[ACTIONS], asked: Iterable[actions.Action]) -> list[ACTIONS]:
    """The actions of one kind."""
    return [action for action in asked if isinstance(action, kind)]


def appended(asked: Iterable[actions.Action], topic: str) -> list[Append]:
    """What commits write into a topic."""
    return [
        append for commit in of(actions.Commit, asked) for append in commit.appends if append.topic == topic
    ]


def _parked(_: Driven) -> None:
    pass


def _opening(driven: Driven) -> None:
    driven.feed(inputs.Assigned())


def _loading(driven: Driven) -> None:
    driven.feed(inputs.Assigned(), inputs.Opened())


def _refolding(driven: Driven) -> None:
    """Another worker has decided up to 4, and its last checkpoint is from before."""
    driven.feed(inputs.Assigned(), inputs.Opened(), state_read({"position": b'{"offset":4}'}))


def _open(driven: Driven) -> None:
    driven.level()


def _committing(driven: Driven) -> None:
    driven.level()
    driven.feed(came(banning(1)))


def _stopped(driven: Driven) -> None:
    """The log was decided further than it reaches."""
    driven.feed(inputs.Assigned(), inputs.Opened(), state_read({"position": b'{"offset":4}'}, 3))


def _away(driven: Driven) -> None:
    driven.feed(inputs.Assigned(), inputs.Failed("no broker"))


def _fenced(driven: Driven) -> None:
    driven.feed(inputs.Assigned(), inputs.TakenOver())


def _parting(driven: Driven) -> None:
    _committing(driven)
    driven.feed(inputs.Parked())


def _closing(driven: Driven) -> None:
    _committing(driven)
    driven.feed(inputs.Closing())


def _closing_last(driven: Driven) -> None:
    _closing(driven)
    driven.committed()


def _closed(driven: Driven) -> None:
    driven.feed(inputs.Closing())


def _waited(reach: Callable[[Driven], None], seconds: float) -> Callable[[Driven], None]:
    def do(driven: Driven) -> None:
        reach(driven)
        driven.now += seconds

    return do


WAYS: Final[Mapping[str, tuple[State, Callable[[Driven], None]]]] = {
    "parked": (State.PARKED, _parked),
    "opening": (State.OPENING, _opening),
    "loading": (State.LOADING, _loading),
    "refolding": (State.REFOLDING, _refolding),
    "open": (State.OPEN, _open),
    "committing": (State.OPEN, _committing),
    "stopped": (State.STOPPED, _stopped),
    "away": (State.AWAY, _away),
    "away long enough": (State.AWAY, _waited(_away, RETRY_S)),
    "fenced": (State.FENCED, _fenced),
    "fenced long enough": (State.FENCED, _waited(_fenced, FENCED_S)),
    "parting": (State.PARTING, _parting),
    "parting for too long": (State.PARTING, _waited(_parting, LEAVE_S)),
    "closing": (State.CLOSING, _closing),
    "closing, the last commit": (State.CLOSING, _closing_last),
    "closing for too long": (State.CLOSING, _waited(_closing, LEAVE_S)),
    "closed": (State.CLOSED, _closed),
}
"""Ways into every state, by what they are called."""


def driven(way: str) -> Driven:
    """A core brought into a state."""
    state, reach = WAYS[way]
    made = Driven()
    reach(made)
    assert made.core.state is state, made.core.state
    return made
