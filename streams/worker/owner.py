"""One partition while it is this worker's: opened, folded, committed, let go.

A task of its own opens it and writes its commits, so no two are ever under way. Folding runs ahead of what is
committed, by MOST_WAITING messages at most; a commit takes all there is. Whatever goes wrong in between, the
answer is the same: let go of the producer, open anew (which fences and undoes what was under way), and take
state and position from the log. Events folded before are then read again from the log.

| the task is | and messages | until |
|---|---|---|
| opening | wait | it has fenced its predecessor, read the state and folded what came after it |
| open | are folded | a commit fails, or it is let go |
| fenced | wait | FENCED_S have passed: another owner wrote, so most likely this one is let go first |
| stopped | are not taken | a worker that drains owns it: most of what came lately could not be read |
| parked | are not taken | it is this worker's again: nothing is read anew when no other wrote meanwhile |

The worker that meets a flood of unreadable lines writes into the log where it stopped, and ends with the
alarm. Whoever owns the partition next does not go on there, and decides its other partitions.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from logging import getLogger
from time import monotonic, perf_counter
from typing import Final

from aiokafka.errors import KafkaError, ProducerFenced

from eventlog.contract import Append, Message
from streams.partition import Partition
from streams.poison import Poison, Poisoned
from streams.worker.connection import SESSION_S, Cluster
from streams.worker.history import History
from streams.worker.transactions import Transactions

COMMIT_S: Final = 0.2
"""A position is committed at least so often while events come; a decision at once."""
MOST_WAITING: Final = 64
MOST_WAITING_BYTES: Final = 16 * 1024 * 1024
CHECKPOINT_S: Final = 5.0
CHECKPOINT_EVENTS: Final = 1_000_000
CHECKPOINT_SHARE: Final = 20
"""Checkpoints take at most this part of the time, one twentieth, but for one each CHECKPOINT_EVENTS: that is
what a restart has to fold again, some ten seconds' worth at most."""
RETRY_S: Final = 1.0
FENCED_S: Final = 2 * SESSION_S
CLOSE_S: Final = 3.0
CANCEL_S: Final = 0.5
SLOW_S: Final = 2.0

log = getLogger("banstream")


@dataclass(frozen=True, slots=True)
class Shared:
    """What the owners of one worker share.

    Attributes:
        history: what reads the log for all of them.
        partitions: how many the log has.
        failed: set to what makes the whole worker stop.
        draining: however much cannot be read goes to the dead letters.
    """

    cluster: Cluster
    history: History
    partitions: int
    failed: asyncio.Future[None]
    draining: bool = False


class Owner:
    """The owner of one partition. All methods are for the event loop's thread.

    Attributes:
        partition: the decider and where it stands; a new one after each failure.
        ready: whether it is open.
        alarm: why it is stopped; None where it is not.
        committed: the first offset that is not committed; None before the first commit.
    """

    def __init__(self, shared: Shared, number: int) -> None:
        """Own partition `number`; nothing happens before `start`."""
        self.number = number
        self.partition = Partition(number, partitions=shared.partitions)
        self.committed: int | None = None
        self.ready = False
        self.alarm: Poisoned | None = None
        self._shared = shared
        self._transactions: Transactions | None = None
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._folding = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._troubled = self._met = False
        self._closing = False
        self._state_end: int | None = None
        self._waiting: list[Append] = []
        self._uncommitted = False
        self._messages = self._bytes = self._filled = 0
        self._checkpoint_events = 0
        self._checkpoint_at = 0.0

    def start(self) -> None:
        """Open the partition, and commit whatever is folded until parked or closed."""
        self.alarm, self._met = None, False
        self._settled.clear()
        self._task = asyncio.create_task(self._run(), name=f"partition {self.number}")

    async def take(self, message: Message) -> None:
        """Fold a message of the events; waits until the partition is open and there is room.

        One seen before is passed over. When the one before it was not seen, the log is asked for what is
        missing: Faust drops messages while partitions move, and not all of them come again.
        """
        while self._task is not None:
            await self._settled.wait()
            if self.alarm is not None:
                return
            async with self._folding:
                if self.ready and message.offset > self.partition.next_offset:
                    await self._fill(message.offset)
                if self.ready:
                    await self._fold(message)
                    return

    async def catch_up(self, end: int) -> None:
        """Fold what the log has before this offset and nobody gave us."""
        if not self._folding.locked():
            async with self._folding:
                if self.ready and end > max(self.partition.next_offset, self._filled):
                    await self._fill(end)

    async def park(self) -> None:
        """The partition is not ours any more, and may be again soon: write nothing from here on."""
        await self._stop()

    async def close(self) -> bool:
        """Commit what is folded, with the state, and let go; whether the broker answered in time."""
        answered = True
        if self.ready and self._task is not None:
            self._closing = True
            self._wake.set()
            await asyncio.wait({self._task}, timeout=CLOSE_S)
            answered = self._task.done()
        await self._stop(patient=answered)
        return answered

    def next_expiry_ms(self) -> int | None:
        """When the next ban ends, or None."""
        return self.partition.decider.next_expiry_ms()

    def look(self) -> None:
        """Commit when a checkpoint is due."""
        if self.partition.dirty and monotonic() >= self._checkpoint_at:
            self._wake.set()

    async def _run(self) -> None:
        while not self._closing:
            try:
                await self._open()
                await self._commit_all()
                if self.alarm is not None:
                    await self._halt()
                    return
            except ProducerFenced:
                log.warning("Partition taken over by another worker partition=%d", self.number)
                await self._let_go()
                await asyncio.sleep(FENCED_S)
            except (KafkaError, OSError) as error:
                self._say_waiting(repr(error))
                await self._let_go()
                await asyncio.sleep(RETRY_S)
            except Exception as error:  # noqa: BLE001 - whatever it is, the worker must not go on without it
                self._fail(error)
                return

    def _say_waiting(self, reason: str) -> None:
        if not self._troubled:
            log.warning(
                "Waiting for the broker; deciding goes on by itself when it is back partition=%d reason=%s",
                self.number,
                reason,
            )
        self._troubled = True

    def _fail(self, error: Exception) -> None:
        if not self._shared.failed.done():
            self._shared.failed.set_exception(error)

    async def _open(self) -> None:
        """Fence, then read: nobody writes in between."""
        started = perf_counter()
        self._transactions = Transactions(self._shared.cluster, self.number)
        await self._transactions.open()
        async with self._folding:
            if self._state_end is None or not await self._is_untouched(self._state_end):
                await self._restore(self.partition.next_offset)
            if self.partition.stopped and not self._shared.draining:
                self.alarm = self.alarm or self._poisoned()
                self._wake.set()
                return
            self.partition.stopped = False
            self._checkpoint_at = monotonic() + CHECKPOINT_S
            self._troubled = False
            self.ready = True
        self._settled.set()
        self._wake.set()
        log.info(
            "Deciding partition=%d next_offset=%d rules=%s seconds=%.2f",
            self.number,
            self.partition.next_offset,
            self.partition.decider.version,
            perf_counter() - started,
        )

    async def _is_untouched(self, state_end: int) -> bool:
        """Whether nobody has committed since our last commit: the state in memory is still the truth."""
        values, _ = await self._shared.history.state(self.number, state_end)
        return not values

    async def _restore(self, seen: int) -> None:
        """Take the state from the log, and fold again what came after it, and what was folded here."""
        self._waiting, self._uncommitted = [], False
        self._messages = self._bytes = self._filled = self._checkpoint_events = 0
        state, _ = await self._shared.history.state(self.number)
        begin = await self._shared.history.first_event(self.number)
        partition = self.partition = Partition(self.number, partitions=self._shared.partitions, begin=begin)
        partition.restore(state)
        if partition.stopped and not self._shared.draining:
            return
        end = max(partition.decided_offset + 1, seen)
        async for page in self._shared.history.events(self.number, partition.next_offset, end):
            for message in page:
                if not self._decide(message):
                    return
                await asyncio.sleep(0)
            self._uncommitted = True

    async def _fill(self, end: int) -> None:
        try:
            async for page in self._shared.history.events(self.number, self.partition.next_offset, end):
                for message in page:
                    if not self.ready or self.alarm is not None:
                        return
                    await self._fold(message)
        except (KafkaError, OSError) as error:
            self._say_waiting(repr(error))
            self._reopen()
        else:
            self._filled = end

    async def _fold(self, message: Message) -> None:
        partition = self.partition
        if message.offset < partition.next_offset:
            return
        waiting = len(self._waiting)
        if not self._decide(message):
            self._wake.set()
            return
        self._messages += 1
        self._bytes += len(message.value)
        if len(self._waiting) > waiting:
            self._wake.set()
        elif not self._uncommitted:
            asyncio.get_running_loop().call_later(COMMIT_S, self._wake.set)
        self._uncommitted = True
        if self._messages >= MOST_WAITING or self._bytes >= MOST_WAITING_BYTES:
            self._room.clear()
            self._wake.set()
            await self._room.wait()

    def _decide(self, message: Message) -> bool:
        """Fold a message; False: it stops before this one, rather than fill the dead letters with all."""
        partition = self.partition
        appends = partition.decide([message])
        if self._shared.draining:
            partition.poison = Poison()
        elif partition.poison.alarming:
            partition.stop_before(message.offset)
            self.alarm = self._poisoned()
            self._met = self._uncommitted = True
            return False
        self._waiting += appends
        return True

    def _poisoned(self) -> Poisoned:
        return Poisoned(self.number, self.partition.next_offset, self.partition.poison)

    async def _halt(self) -> None:
        """Stop here: the first to meet the flood ends with the alarm, whoever comes later only says it."""
        log.error("%s", self.alarm)
        self._state_end = None
        await self._let_go()
        self._settled.set()
        if self._met and self.alarm is not None:
            self._fail(self.alarm)

    def _reopen(self) -> None:
        """Begin anew: what could not be read may not be passed over."""
        self.ready = False
        self._settled.clear()
        self._wake.set()

    async def _commit_all(self) -> None:
        while not self._closing:
            await self._wake.wait()
            self._wake.clear()
            if not self.ready and self.alarm is None:
                raise OSError("what is missing could not be read")
            async with self._writing:
                alarm = self.alarm  # a later one is for the next commit, with where it stopped
                await self._commit()
            self._room.set()
            if alarm is not None:
                return

    async def _commit(self) -> None:
        """Commit what there is; what is folded meanwhile is for the next commit."""
        appends = self._due()
        if not appends or self._transactions is None:
            return
        end = self.partition.next_offset
        self._state_end = None
        slow = asyncio.get_running_loop().call_later(SLOW_S, self._say_waiting, "no answer yet")
        try:
            self._state_end = 1 + await self._transactions.commit(appends)
        finally:
            slow.cancel()
        self._troubled = False
        self.committed = end

    def _due(self) -> list[Append]:
        """What is to be committed now, the position last."""
        if self._shared.failed.done() or not (self._uncommitted or self._checkpoint_due()):
            return []
        appends, self._waiting = self._waiting, []
        self._uncommitted = False
        self._messages = self._bytes = 0
        if self._checkpoint_due():
            appends += self._checkpoint()
        appends.append(self.partition.position_message())
        return appends

    def _checkpoint_due(self) -> bool:
        events = self.partition.fold.events - self._checkpoint_events
        return (self.partition.dirty and not self.partition.stopped) and (
            self._closing or events >= CHECKPOINT_EVENTS or monotonic() >= self._checkpoint_at
        )

    def _checkpoint(self) -> list[Append]:
        started = perf_counter()
        appends = self.partition.checkpoint()
        self._checkpoint_events = self.partition.fold.events
        cost = perf_counter() - started
        self._checkpoint_at = monotonic() + max(CHECKPOINT_S, CHECKPOINT_SHARE * cost)
        return appends

    async def _stop(self, *, patient: bool = True) -> None:
        """End the task; a commit under way is given some time if `patient`, and no other begins."""
        task, self._task = self._task, None
        self.ready = False
        self._settled.set()
        if task is not None:
            if patient:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._writing.acquire(), CLOSE_S)
                    self._writing.release()
            task.cancel()
            await asyncio.wait({task}, timeout=CLOSE_S if patient else CANCEL_S)
        await self._let_go()

    async def _let_go(self) -> None:
        self.ready = False
        if self._task is not None:
            self._settled.clear()
        self._room.set()
        if self._transactions is not None:
            transactions, self._transactions = self._transactions, None
            await transactions.close()
