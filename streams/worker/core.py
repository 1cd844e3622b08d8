"""One partition of a worker, without I/O: inputs in, actions out, as `streams.worker.states` has them.

`feed` takes what happened and when, and returns what is to be done, in order. Whoever does it answers Open,
ReadState, Read and Commit each with one input, or with none if LetGo came first. At most one reading and one
commit are under way at a time. Which state follows which, TABLE says; `feed` raises where it says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventlog.contract import Message
from schemas.errors import BanstreamError, LogError
from schemas.topics import COMMANDS, EVENTS
from streams.barrier import Unfoldable
from streams.order import Again
from streams.partition import Partition
from streams.worker import actions, inputs, sayings
from streams.worker.batch import MOST_MESSAGES, NEVER, Batch, BatchTally
from streams.worker.inlet import Inlet
from streams.worker.membership import DELIVERED, TOLD
from streams.worker.states import (
    FENCED_S,
    LEAVE_S,
    RETRY_S,
    SLOW_S,
    TABLE,
    Impossible,
    State,
)


class Core:
    """One partition.

    Attributes:
        state: where it is in TABLE.
        alarm: why it is stopped; None where it is not.
        committed: the first offset that is not committed; None before the first commit.
        in_time: False when the last commit was not answered before the partition was let go.
    """

    def __init__(self, number: int, partitions: int, *, exact: bool = False) -> None:
        """Partition `number` of `partitions`; it is parked. `exact`: see Inlet."""
        self.state = State.PARKED
        self.alarm: BanstreamError | None = None
        self.committed: int | None = None
        self.in_time = True
        self._number = number
        self._exact = exact
        self._inlets = {topic: Inlet(topic, exact=False, settled=True) for topic in TOLD}
        self._inlets |= {topic: Inlet(topic, exact=exact) for topic in DELIVERED}
        self._again: Again | None = None
        self._batch = Batch(number, partitions)
        self._actions: list[actions.Action] = []
        self._now = 0.0
        self._opened_at = 0.0
        self._wait_until = NEVER
        self._slow_at = NEVER
        self._committing: int | None = None
        self._reading = self._held = self._troubled = False
        self._state_end: int | None = None
        self._commands_end = 0
        self._handlers: dict[type[inputs.Input], Callable[[Any], None]] = {
            inputs.Assigned: self._assigned,
            inputs.Parked: self._parked,
            inputs.Closing: self._closing,
            inputs.Timer: self._timer,
            inputs.Opened: self._opened,
            inputs.StateRead: self._state_read,
            inputs.PageRead: self._page_read,
            inputs.MessageCame: self._message_came,
            inputs.EndSeen: self._end_seen,
            inputs.Committed: self._committed,
            inputs.Failed: self._failed,
            inputs.TakenOver: self._taken_over,
            inputs.TimePassed: self._time_passed,
        }

    @property
    def partition(self) -> Partition:
        """The decider and where it stands; a new one whenever the state is taken from the log."""
        return self._batch.partition

    @property
    def tally(self) -> BatchTally:
        """What was done."""
        return self._batch.tally

    @property
    def end(self) -> int | None:
        """The end of the committed events when the log was last asked; None before."""
        return self._inlets[EVENTS.name].end

    @property
    def wake_at(self) -> float:
        """When Timer is to be fed; infinity for never. Another input may change it."""
        match self.state:
            case State.OPEN:
                return self._batch.wake_at if self._committing is None else self._slow_at
            case State.AWAY | State.FENCED | State.PARTING | State.CLOSING:
                return self._wait_until
            case _:
                return NEVER

    def feed(self, given: inputs.Input, now: float) -> list[actions.Action]:
        """Take what happened at an instant (seconds of one clock); what is to be done.

        Raises:
            Impossible: TABLE does not have this input in this state.
        """
        row = TABLE[self.state]
        allowed = row.get(type(given))
        if allowed is None:
            raise Impossible(f"partition {self._number} is {self.state.value}, and got {given!r:.200}")
        self._now, self._actions = now, []
        self._handlers[type(given)](given)
        if self.state not in allowed:
            raise Impossible(f"partition {self._number} became {self.state.value} by {given!r:.200}")
        return self._actions

    # What the group and the worker say

    def _assigned(self, _: inputs.Assigned) -> None:
        if self.state is State.PARTING:
            self._let_go()
        if self.state in {State.PARTING, State.PARKED}:
            self.alarm = None
            self._open()
        elif self.state is State.OPEN:
            self._do(self._from_here())

    def _parked(self, _: inputs.Parked) -> None:
        if self.state is State.CLOSING:
            self._leave(State.CLOSED)
        elif self._committing is not None and self.state is not State.PARTING:
            self._wait(State.PARTING, LEAVE_S)
        elif self.state not in {State.PARTING, State.CLOSED}:
            self._leave(State.PARKED)

    def _closing(self, _: inputs.Closing) -> None:
        if self.state is State.OPEN:
            self._wait(State.CLOSING, LEAVE_S)
            self._close_or_commit()
        elif self.state not in {State.CLOSING, State.CLOSED}:
            self._leave(State.CLOSED)

    def _timer(self, _: inputs.Timer) -> None:
        match self.state:
            case State.AWAY | State.FENCED if self._now >= self._wait_until:
                self._open()
            case State.PARTING | State.CLOSING if self._now >= self._wait_until:
                self._leaving()
            case State.OPEN:
                if self._now >= self._slow_at:
                    self._slow_at = NEVER
                    self._say_waiting("no answer yet")
                self._go_on()
            case _:
                pass

    # Opening

    def _open(self) -> None:
        self.state = State.OPENING
        self._opened_at = self._now
        self._do(actions.Open())

    def _opened(self, _: inputs.Opened) -> None:
        self.state = State.LOADING
        self._do(actions.ReadState(self._state_end or 0))

    def _state_read(self, given: inputs.StateRead) -> None:
        """Nobody has committed since our last commit: the state in memory is the truth. Else the log's is."""
        self._commands_end = given.ends[COMMANDS.name]
        if self._state_end is None:
            self._restore(given)
        elif given.values:
            self._state_end = None
            self._do(actions.ReadState(0))
        else:
            self._obey_first()

    def _restore(self, given: inputs.StateRead) -> None:
        """Take the state from the log, and fold again what is decided already and came after it."""
        try:
            self._again = self._batch.restore(given.values, given.begins, given.ends[EVENTS.name])
        except LogError as error:
            self._differ(error)
        else:
            self._fold_again()

    def _fold_again(self) -> None:
        """Read what is to be folded again; open when nothing is."""
        if self._again is None:
            return
        try:
            want = self._again.want()
            if want is None:
                self.partition.resumed(self._again)
        except LogError as error:
            self._differ(error)
        else:
            if want is not None:
                self.state = State.REFOLDING
                self._read(want.topic, want.begin, want.end)
                return
            self._again = None
            self._obey_first()

    def _obey_first(self) -> None:
        """Commands that stand in the log come before any event: read them, then it is open."""
        begin = self._batch.next_offset(COMMANDS.name)
        if begin < self._commands_end:
            self.state = State.REFOLDING
            self._read(COMMANDS.name, begin, self._commands_end)
        else:
            self._do(actions.DoneReading())
            self._ready()

    def _differ(self, error: LogError) -> None:
        """The log is not what was decided from: nobody goes on before a person has looked."""
        self.alarm = error
        self._state_end = None
        self._do(sayings.alarm(error))
        self._leave(State.STOPPED)

    def _ready(self) -> None:
        self.state = State.OPEN
        self._troubled = self._held = False
        self._batch.opened(self._now)
        for inlet in self._inlets.values():
            inlet.opened(self._now)
        self._do(
            sayings.deciding(self.partition, self._now - self._opened_at),
            self._from_here(),
        )
        self._go_on()

    # Messages

    def _message_came(self, given: inputs.MessageCame) -> None:
        if given.topic == COMMANDS.name:
            self._command_came(given.message)
            return
        inlet, next_offset = self._inlets[given.topic], self._batch.next_offset(given.topic)
        passed_over = self._batch.holds(given.topic) and (not inlet.exact or not self.partition.takes_events)
        if self.state is not State.OPEN or passed_over:
            inlet.passes(given.message.offset, next_offset)
        elif inlet.takes(given.message.offset, next_offset, self._now):
            self._fold(inlet, given.message)
        self._go_on()

    def _command_came(self, message: Message) -> None:
        """Commands come before events, whatever waits. Where it is not open, they come again."""
        if self.state is not State.OPEN:
            return
        ruled, version = self.partition.takes_events, self.partition.decider.version
        try:
            self._batch.obey(message, self._now)
        except Unfoldable as error:
            self._pass_over(error)
            return
        if self.partition.decider.version != version:
            self._do(sayings.ruled(self.partition))
        if self.partition.takes_events and not ruled:
            self._do(self._from_here())
        self._go_on()

    def _time_passed(self, given: inputs.TimePassed) -> None:
        """While events wait, time passes with them; it comes no further than to where none was known to."""
        inlet = self._inlets[EVENTS.name]
        if self.state is State.OPEN and inlet.level(self.partition.next_offset):
            self._batch.pass_time(min(given.at_ms, inlet.asked_ms), self._now)
            self._go_on()

    def _page_read(self, given: inputs.PageRead) -> None:
        self._reading = False
        match self.state:
            case State.REFOLDING:
                self._refold(given)
            case State.OPEN:
                self._catch_up(given)
            case _:
                pass

    def _refold(self, given: inputs.PageRead) -> None:
        try:
            if self._again is None:
                for message in given.messages:
                    self._batch.obey(message, self._now)
                self._commands_end = 0 if given.reached >= given.end else self._commands_end
                self._obey_first()
                return
            self._again.take(given.topic, given.messages, given.reached, given.end)
        except Unfoldable as error:
            self._pass_over(error)
        except LogError as error:
            self._differ(error)
        else:
            self._fold_again()

    def _catch_up(self, given: inputs.PageRead) -> None:
        inlet = self._inlets[given.topic]
        for message in given.messages:
            if not self._fold(inlet, message):
                break
        else:
            inlet.read(given.reached, given.end)
            if not inlet.wants(self._batch.next_offset(given.topic)):
                self._do(actions.DoneReading())
        self._go_on()

    def _end_seen(self, given: inputs.EndSeen) -> None:
        next_offset = self._batch.next_offset(given.topic)
        self._inlets[given.topic].ended(given.end, next_offset, given.asked_ms)
        self._go_on()

    def _fold(self, inlet: Inlet, message: Message) -> bool:
        """Fold a message; False: it cannot be folded."""
        urgent = inlet.end is None or message.offset > inlet.end - MOST_MESSAGES
        try:
            if inlet.topic == EVENTS.name:
                self._batch.fold(message, self._now, urgent=urgent)
            else:
                self._batch.hear(inlet.topic, message, self._now)
        except Unfoldable as error:
            self._pass_over(error)
            return False
        return True

    def _pass_over(self, error: Unfoldable) -> None:
        """The state is half of something: it is taken from the log again, and this message passed over."""
        self._do(sayings.passed_over(error))
        self.partition.passed_over.add(error.topic, error.offset, error.reason)
        self._let_go()
        self._state_end = None
        self._wait(State.AWAY, 0.0)

    # Reading and committing

    def _go_on(self) -> None:
        """Commit what is due, and read what is missing, where nothing of the kind is under way."""
        if self.state is not State.OPEN:
            return
        if self._committing is None and self._batch.due(self._now):
            self._commit()
        full = self._batch.full
        for topic, inlet in self._inlets.items():
            next_offset = self._batch.next_offset(topic)
            if not self._reading and not self._batch.holds(topic) and inlet.wants(next_offset):
                self._read(topic, inlet.begin(next_offset), None)
        if self._exact and full is not self._held:
            self._held = full
            self._do(actions.HoldBack() if full else actions.Room())

    def _from_here(self) -> actions.GoOn:
        return actions.GoOn(dict(self.partition.next_offsets))

    def _read(self, topic: str, begin: int, end: int | None) -> None:
        self._reading = True
        self._do(actions.Read(topic, begin, end))

    def _commit(self, *, last: bool = False) -> None:
        self._committing = self.partition.next_offset
        self._slow_at = self._now + SLOW_S
        self._do(actions.Commit(self._batch.take(self._now, last=last)))

    def _committed(self, given: inputs.Committed) -> None:
        self.committed, self._committing = self._committing, None
        self._slow_at = NEVER
        self._state_end = given.offset + 1
        if given.decisions is not None:
            self.partition.told(given.decisions)
        self._troubled = False
        self.tally.commits += 1
        self.tally.committed_at = self._now
        match self.state:
            case State.PARTING:
                self._leaving()
            case State.CLOSING:
                self._close_or_commit()
            case _:
                self._go_on()

    def _close_or_commit(self) -> None:
        if self._committing is not None:
            return
        if self._batch.due(self._now, last=True):
            self._commit(last=True)
        else:
            self._leave(State.CLOSED)

    # What goes wrong

    def _failed(self, given: inputs.Failed) -> None:
        if not self._leaving():
            self._say_waiting(given.reason)
            self._let_go()
            self._wait(State.AWAY, RETRY_S)

    def _taken_over(self, _: inputs.TakenOver) -> None:
        if not self._leaving():
            self._do(sayings.taken_over(self._number))
            self._let_go()
            self._wait(State.FENCED, FENCED_S)

    def _leaving(self) -> bool:
        """Whether it is to be let go anyway; then it is at once."""
        after = {State.PARTING: State.PARKED, State.CLOSING: State.CLOSED}.get(self.state)
        if after is not None:
            self._leave(after)
        return after is not None

    def _leave(self, state: State) -> None:
        self.in_time = self._committing is None
        self._let_go()
        self.state = state

    def _let_go(self) -> None:
        """The state in memory is kept, but after a commit of unknown end or a message half taken."""
        if self._committing is not None:
            self._state_end = None
        self._committing = None
        self._reading = False
        self._slow_at = NEVER
        self._do(actions.HoldBack(), actions.LetGo())

    def _wait(self, state: State, seconds: float) -> None:
        self.state = state
        self._wait_until = self._now + seconds

    def _say_waiting(self, reason: str) -> None:
        if not self._troubled:
            self._do(sayings.waiting(self._number, reason))
        self._troubled = True

    def _do(self, *actions: actions.Action) -> None:
        self._actions += actions
