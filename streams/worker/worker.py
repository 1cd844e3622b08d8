"""A worker: the group says which partitions are its own, an owner decides each, and time passes.

Nothing here waits for one partition: a message is handed to its owner, which takes it or passes it over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from logging import getLogger
from time import monotonic
from typing import Any, Final

from aiokafka.errors import InconsistentGroupProtocolError, KafkaError

from eventlog.contract import Message
from schemas.errors import Transient
from schemas.topics import EVENTS
from streams.hosts import ANYBODY
from streams.worker import inputs
from streams.worker.connection import Cluster
from streams.worker.history import History
from streams.worker.membership import Host, MembershipName, Receiver
from streams.worker.notices import Notices
from streams.worker.owner import Owner, Shared
from streams.worker.status import WorkerStatus
from streams.worker.told import ToldReader

LOOK_S: Final = 0.2
ENDS_S: Final = 2.0
HINT_S: Final = 3.0
ANSWER_S: Final = 3.0
STOP_S: Final = 10.0
NOTICE_S: Final = 5.0
ALARM_S: Final = 60.0
"""A partition that is stopped is spoken of as often."""
BREATH_S: Final = 0.005
"""Folding gives everything else its turn after so long at most, and a message."""

log = getLogger("banstream.streams")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """What a worker is to do.

    Attributes:
        cluster: where the log is; `partitions`: how many it has.
        now_ms: the clock, for the ends of bans.
        rules: the version of the rules in this host's configuration.
        membership: what joins the group.
        told: is given each frame of decisions once it is committed.
    """

    cluster: Cluster
    partitions: int
    now_ms: Callable[[], int]
    rules: str
    membership: MembershipName = "faust"
    told: Callable[[bytes], None] | None = None


class Worker:
    """One worker of the group. `run` is its life; make a new one for another."""

    def __init__(self, plan: WorkerPlan) -> None:
        """Own what the group gives. It must be made where it is to run: within an event loop."""
        self._plan = plan
        self._history = History(plan.cluster)
        self._reader = ToldReader(plan.cluster, self.take)
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._host = _host(plan, self)
        self._shared = Shared(plan.cluster, self._host, self._reader, plan.partitions, self._fail, plan.told)
        self._owners: dict[int, Owner] = {}
        self._mine: set[int] = set()
        self._told: set[str] = set()
        self._asking = asyncio.Lock()
        self._notices = Notices()
        self._away = False
        self._hinted: dict[int, int] = {}
        self._began_at = self._breathed_at = monotonic()

    async def run(self, stopped: asyncio.Event) -> None:
        """Decide until stopped. Raises Transient when the broker is lost, and what else made it stop."""
        looking = [
            asyncio.create_task(each) for each in (self._look_after(), self._ask_ends(), self._reader.run())
        ]
        ends: list[asyncio.Future[Any]] = [asyncio.create_task(stopped.wait()), *looking]
        try:
            await self._host.start()
            ends.append(asyncio.create_task(self._lost()))
            await asyncio.wait({*ends, self._failed}, return_when=asyncio.FIRST_COMPLETED)
        except InconsistentGroupProtocolError as error:
            raise Transient("other workers of this group have another [decider] membership") from error
        except (KafkaError, OSError) as error:
            raise Transient(f"no connection to the broker: {error!r}") from error
        finally:
            done = [task for task in ends if task.done()]
            for task in ends:
                task.cancel()
            await self._close()
        for ended in (self._failed, *done):
            if ended.done():
                ended.result()

    async def _lost(self) -> None:
        raise Transient(f"the group was lost: {await self._host.ended()}")

    def status(self) -> WorkerStatus:
        """How it is. Cheap: nothing is counted here."""
        now_ms = self._plan.now_ms()
        return WorkerStatus(
            membership=self._plan.membership,
            away=self._away,
            up_ms=round((monotonic() - self._began_at) * 1_000),
            partitions=tuple(self._owners[number].status(now_ms) for number in sorted(self._mine)),
        )

    def take(self, topic: str, message: Message) -> None:
        """A message came; its owner takes it, or passes it over."""
        owner = self._owners.get(message.partition)
        if owner is not None:
            owner.feed(inputs.MessageCame(topic, message))

    async def breathe(self) -> None:
        """Let everything else have its turn, if this one was long."""
        if monotonic() - self._breathed_at >= BREATH_S:
            await asyncio.sleep(0)
            self._breathed_at = monotonic()

    async def revoked(self, numbers: set[int]) -> None:
        """These are another's when this returns."""
        self._mine -= numbers
        await asyncio.gather(*(owner.park() for owner in self._owners.values() if owner.number in numbers))

    async def assigned(self, numbers: set[int]) -> None:
        """These, and no others, are this worker's now. What is not any more is parked, and forgotten."""
        gone = [self._owners.pop(number) for number in self._owners.keys() - numbers]
        self._mine = numbers
        for number in sorted(numbers):
            if number not in self._owners:
                self._owners[number] = Owner(self._shared, number)
            self._owners[number].feed(inputs.Assigned())
        await asyncio.gather(*(owner.park() for owner in gone))

    async def _close(self) -> None:
        answered = await asyncio.gather(*(owner.close() for owner in self._owners.values()))
        stop_s = STOP_S if all(answered) and not self._away else ANSWER_S
        await asyncio.wait({asyncio.create_task(self._leave())}, timeout=stop_s)

    async def _leave(self) -> None:
        await self._hint()
        await self._host.stop()
        await self._history.close()

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    async def _look_after(self) -> None:
        """What has to happen when no message comes."""
        hint_at = notice_at = monotonic()
        alarm_at = monotonic() + ALARM_S
        while True:
            owners = list(self._owners.values())
            await asyncio.sleep(self._until_expiry_s(owners))
            now_ms = self._plan.now_ms()
            due = {
                owner.number for owner in owners if (end_ms := owner.end_ms) is not None and end_ms <= now_ms
            }
            if due:
                await self._see_ends(due)
            for owner in owners:
                owner.feed(inputs.TimePassed(now_ms))
                self._compare_rules(owner)
            if monotonic() >= hint_at:
                await self._hint()
                hint_at = monotonic() + HINT_S
            if monotonic() >= notice_at:
                for owner in owners:
                    self._notices.tell(owner.core.partition.fold.witness)
                notice_at = monotonic() + NOTICE_S
            alarm_at = self._alarm(owners, alarm_at)

    def _until_expiry_s(self, owners: list[Owner]) -> float:
        """Until the next ban ends, LOOK_S at most."""
        now_ms = self._plan.now_ms()
        coming = [end_ms for owner in owners if (end_ms := owner.end_ms) is not None and end_ms > now_ms]
        return min(LOOK_S, max(0.01, (min(coming) - now_ms) / 1_000)) if coming else LOOK_S

    async def _ask_ends(self) -> None:
        """See now and then where the log ends: how far behind each is, and whether something did not come."""
        while True:
            await asyncio.sleep(ENDS_S)
            if self._mine:
                await self._see_ends(self._mine)

    async def _see_ends(self, numbers: set[int]) -> None:
        """See where the log ends in these partitions."""
        async with self._asking:
            asked_ms = self._plan.now_ms()
            try:
                ends = await asyncio.wait_for(self._history.ends(EVENTS.name, numbers), ANSWER_S)
            except (KafkaError, OSError) as error:
                self._say(away=True, reason=repr(error))
                return
        self._say(away=False)
        for number, end in ends.items():
            if number in self._owners:
                self._owners[number].feed(inputs.EndSeen(EVENTS.name, end, asked_ms))

    def _alarm(self, owners: list[Owner], at: float) -> float:
        """Speak of partitions that are stopped, and end when there is no other in the log; when again."""
        alarms = [owner.alarm for owner in owners if owner.alarm is not None]
        if alarms and len(alarms) == self._plan.partitions:
            self._fail(alarms[0])
        if monotonic() < at:
            return at
        for alarm in alarms:
            log.error("%s", alarm)
        return monotonic() + ALARM_S

    def _say(self, *, away: bool, reason: str = "") -> None:
        if away and not self._away:
            log.warning(
                "Waiting for the broker; deciding goes on by itself when it is back reason=%s", reason
            )
        elif self._away and not away:
            log.warning("The broker is back")
        self._away = away

    async def _hint(self) -> None:
        offsets = {
            owner.number: owner.core.committed
            for owner in self._owners.values()
            if owner.core.committed is not None and self._hinted.get(owner.number) != owner.core.committed
        }
        if offsets:
            await self._host.hint(offsets)
            self._hinted |= offsets

    def _compare_rules(self, owner: Owner) -> None:
        decider = owner.core.partition.decider
        rules, version = decider.rules, decider.version
        if not owner.ready or not rules.jails or version in self._told:
            return
        self._told = {version}
        if not rules.require_enrolled:
            log.warning("Not only enrolled hosts count reason=%s", ANYBODY)
        if version != self._plan.rules:
            log.warning(
                "This host's configuration has other rules than those in force, which hold; give every "
                "worker the same file, and put it in force with `banstream rules push` own=%s in_force=%s",
                self._plan.rules,
                version,
            )


def _host(plan: WorkerPlan, receiver: Receiver) -> Host:
    """What joins the group; of the two only the one that is wanted is imported."""
    match plan.membership:
        case "faust":
            from streams.worker.faust_group import FaustGroup  # noqa: PLC0415

            return FaustGroup(plan.cluster, plan.partitions, receiver)
        case "aiokafka":
            from streams.worker.aiokafka_group import AiokafkaGroup  # noqa: PLC0415

            return AiokafkaGroup(plan.cluster, plan.partitions, receiver)
