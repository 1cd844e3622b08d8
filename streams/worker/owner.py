"""What carries out what a core asks for: one partition's producer, its reading of the log, and its timer.

Every answer is fed back on the event loop. After actions.LetGo nothing that was asked before is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from logging import getLogger
from typing import Any, assert_never

from aiokafka.errors import KafkaError, ProducerFenced

from eventlog.contract import Append
from schemas.errors import BanstreamError
from schemas.topics import DECISIONS
from streams.order import INPUTS
from streams.worker import actions, inputs
from streams.worker.batch import NEVER
from streams.worker.connection import Cluster
from streams.worker.core import Core
from streams.worker.history import History
from streams.worker.membership import Host
from streams.worker.states import State
from streams.worker.status import PartitionStatus
from streams.worker.told import ToldReader
from streams.worker.transactions import PartitionTransactions

log = getLogger("banstream.streams")


@dataclass(frozen=True, slots=True)
class Shared:
    """What the owners of one worker share.

    Attributes:
        host: delivers, or holds back, a partition's events.
        told: delivers its other inputs.
        partitions: how many the log has.
        fail: makes the whole worker end with an error.
        hear: is given each frame of decisions once it is committed.
    """

    cluster: Cluster
    host: Host
    told: ToldReader
    partitions: int
    fail: Callable[[Exception], None]
    hear: Callable[[bytes], None] | None = None


class Owner:
    """The owner of one partition. All methods are for the event loop's thread, and none but two wait.

    Attributes:
        core: what decides and what it stands at.
    """

    def __init__(self, shared: Shared, number: int) -> None:
        """Own partition `number`; nothing happens before Assigned is fed."""
        self.number = number
        self.core = Core(number, shared.partitions, exact=shared.host.exact)
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._history = History(shared.cluster)
        self._transactions: PartitionTransactions | None = None
        self._asked: set[asyncio.Task[None]] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._let_go = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._failed = False

    @property
    def alarm(self) -> BanstreamError | None:
        """Why it is stopped; None where it is not, or not yet."""
        return self.core.alarm if self.core.state is State.STOPPED else None

    @property
    def end_ms(self) -> int | None:
        """When the next ban ends; None where there is none, or it is not open."""
        return self.core.partition.decider.next_expiry_ms() if self.ready else None

    @property
    def ready(self) -> bool:
        """Whether it is open."""
        return self.core.state is State.OPEN

    def feed(self, given: inputs.Input) -> None:
        """Tell the core what happened, and do what it asks."""
        if self._failed:
            return
        try:
            for action in self.core.feed(given, self._loop.time()):
                self._do(action)
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker must not go on without it
            self._fail(error)
        else:
            self._set_timer()

    async def park(self) -> None:
        """The partition is not ours any more, and may be again soon: write nothing from here on."""
        self.feed(inputs.Parked())
        await self._left(State.PARTING)

    async def close(self) -> bool:
        """Commit what is folded, with the state, and let go; whether the broker answered in time."""
        self.feed(inputs.Closing())
        await self._left(State.CLOSING)
        return self.core.in_time

    def status(self, now_ms: int) -> PartitionStatus:
        """How it is, kept as things happened; `now_ms` is the clock's instant."""
        core, tally = self.core, self.core.tally
        committed_at_ms = None
        if tally.committed_at is not None:
            committed_at_ms = now_ms - round((self._loop.time() - tally.committed_at) * 1_000)
        return PartitionStatus(
            number=self.number,
            state=core.state.value,
            next_offset=core.partition.next_offset,
            end=core.end,
            events=tally.events,
            decisions=tally.decisions,
            refused=tally.refused,
            put_aside=core.partition.fold.put_aside,
            aside=sum(1 for _ in core.partition.fold.floods.aside(now_ms)),
            commits=tally.commits,
            committed_at_ms=committed_at_ms,
        )

    def _do(self, action: actions.Action) -> None:
        match action:
            case actions.Open():
                self._ask(self._open())
            case actions.ReadState(begin):
                self._ask(self._history.state(self.number, begin, INPUTS))
            case actions.Read(topic, begin, end):
                self._ask(self._history.page(topic, self.number, begin, end))
            case actions.Commit(appends):
                self._ask(self._commit(appends))
            case actions.DoneReading():
                self._later(self._history.close())
            case actions.LetGo():
                self._abandon()
            case _:
                self._tell(action)

    def _tell(self, action: actions.GoOn | actions.HoldBack | actions.Room | actions.Say) -> None:
        match action:
            case actions.GoOn(offsets):
                self._shared.host.go_on(self.number, offsets)
                self._shared.told.go_on(self.number, offsets)
            case actions.HoldBack():
                self._shared.host.hold(self.number)
            case actions.Room():
                self._shared.host.release(self.number)
            case actions.Say(level, sentence, facts):
                log.log(level, " ".join([sentence, *(f"{name}=%s" for name in facts)]), *facts.values())
            case _:
                assert_never(action)

    def _ask(self, asking: Coroutine[Any, Any, inputs.Input]) -> None:
        self._asked.add(self._loop.create_task(self._answered(asking), name=f"partition {self.number}"))

    async def _answered(self, asking: Coroutine[Any, Any, inputs.Input]) -> None:
        answer: inputs.Input
        try:
            answer = await asking
        except ProducerFenced:
            answer = inputs.TakenOver()
        except (KafkaError, OSError) as error:
            answer = inputs.Failed(repr(error))
        except Exception as error:  # noqa: BLE001 - as in `feed`
            self._fail(error)
            return
        task = asyncio.current_task()
        if task in self._asked:
            self._asked.discard(task)
            self.feed(answer)

    async def _open(self) -> inputs.Input:
        await self._gone()
        self._transactions = PartitionTransactions(self._shared.cluster, self.number)
        await self._transactions.open()
        return inputs.Opened()

    async def _commit(self, appends: Sequence[Append]) -> inputs.Input:
        if self._transactions is None:
            raise RuntimeError(f"partition {self.number} has no producer")
        offsets = await self._transactions.commit(appends)
        decisions = [
            offset for append, offset in zip(appends, offsets, strict=True) if append.topic == DECISIONS.name
        ]
        if self._shared.hear is not None:
            for append in appends:
                if append.topic == DECISIONS.name:
                    self._shared.hear(append.value)
        return inputs.Committed(offsets[-1], decisions[-1] if decisions else None)

    def _abandon(self) -> None:
        self._shared.told.stop(self.number)
        for task in self._asked:
            task.cancel()
        self._asked.clear()
        self._later(self._history.close())
        if self._transactions is not None:
            self._later(self._transactions.close())
            self._transactions = None
        self._let_go.set()

    def _later(self, doing: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(doing)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _gone(self) -> None:
        """Wait until what was let go is; each has a limit of its own."""
        if self._leaving:
            await asyncio.wait(set(self._leaving))

    async def _left(self, state: State) -> None:
        """Wait until it is let go; the core has a limit of its own for this state."""
        while self.core.state is state and not self._failed:
            self._let_go.clear()
            await self._let_go.wait()
        await self._gone()

    def _set_timer(self) -> None:
        wake_at = self.core.wake_at
        if self._timer is not None:
            if self._timer.when() == wake_at:
                return
            self._timer.cancel()
            self._timer = None
        if wake_at != NEVER:
            self._timer = self._loop.call_at(wake_at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.feed(inputs.Timer())

    def _fail(self, error: Exception) -> None:
        self._failed = True
        self._abandon()
        self._shared.fail(error)
