"""A worker: the group says which partitions are its own, an owner decides each, and time passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from logging import getLogger
from time import monotonic
from typing import Any, Final

from aiokafka.errors import KafkaError

from schemas.errors import Transient
from streams.worker.connection import Cluster
from streams.worker.history import History, message_of
from streams.worker.membership import Group
from streams.worker.notices import Notices
from streams.worker.owner import Owner, Shared
from streams.worker.ticking import Ticking

LOOK_S: Final = 0.2
BEHIND_S: Final = 2.0
HINT_S: Final = 3.0
ANSWER_S: Final = 3.0
STOP_S: Final = 10.0
NOTICE_S: Final = 5.0
ALARM_S: Final = 60.0
"""A partition that is stopped is spoken of as often."""

log = getLogger("banstream")


class Worker:
    """One worker of the group. `run` is its life; make a new one for another."""

    def __init__(
        self,
        cluster: Cluster,
        partitions: int,
        *,
        now_ms: Callable[[], int],
        rules: str,
        draining: bool = False,
    ) -> None:
        """Own what the group gives, of a log of so many partitions.

        Args:
            cluster: where the log is.
            partitions: how many it has.
            now_ms: the clock, for the ends of bans.
            rules: the version of the rules in this host's configuration.
            draining: however much cannot be read goes to the dead letters.
        """
        self._rules = rules
        self._history = History(cluster)
        self._ticking = Ticking(cluster, now_ms)
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._shared = Shared(cluster, self._history, partitions, self._failed, draining)
        self._owners: dict[int, Owner] = {}
        self._mine: set[int] = set()
        self._told: set[str] = set()
        self._notices = Notices()
        self._away = False
        self._hinted: dict[int, int] = {}
        self._group = Group(cluster, partitions)
        self._group.agent(self._group.events)(self._follow)
        # Faust's types of its own signals do not fit how it calls them.
        self._group.on_partitions_revoked.connect(self._on_revoked)  # pyright: ignore[reportArgumentType]
        self._group.on_partitions_assigned.connect(self._on_assigned)  # pyright: ignore[reportArgumentType]

    async def run(self, stopped: asyncio.Event) -> None:
        """Decide until stopped. Raises Transient when the broker is lost, and what else made it stop."""
        looking = asyncio.create_task(self._look_after())
        ends: list[asyncio.Future[Any]] = [asyncio.create_task(stopped.wait()), looking, self._failed]
        try:
            await self._group.start()
            ends.append(asyncio.create_task(self._group.wait_until_stopped()))
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except (KafkaError, OSError) as error:
            raise Transient(f"no connection to the broker: {error!r}") from error
        finally:
            for task in ends:
                if task is not self._failed:
                    task.cancel()
            await self._close()
        self._raise_for(stopped, looking)

    def _raise_for(self, stopped: asyncio.Event, looking: asyncio.Task[None]) -> None:
        if self._failed.done():
            self._failed.result()
        if looking.done() and not looking.cancelled():
            looking.result()
        if not stopped.is_set():
            raise Transient(f"the group was lost: {self._group.crash_reason!r}")

    async def _close(self) -> None:
        answered = await asyncio.gather(*(owner.close() for owner in self._owners.values()))
        stop_s = STOP_S if all(answered) and not self._away else ANSWER_S
        await asyncio.wait({asyncio.create_task(self._leave())}, timeout=stop_s)

    async def _leave(self) -> None:
        await self._hint()
        await self._group.stop()
        await self._ticking.close()
        await self._history.close()

    async def _follow(self, stream: Any) -> None:
        async for event in stream.noack().events():
            message = message_of(event.message)
            if message.partition in self._mine:
                try:
                    await self._owners[message.partition].take(message)
                except Exception as error:  # noqa: BLE001 - Faust would go on with the next message
                    self._fail(error)
                    return

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    async def _on_revoked(self, _group: Any, revoked: Iterable[Any], **_: Any) -> None:
        gone = {place.partition for place in revoked}
        self._mine -= gone
        await asyncio.gather(*(self._owners[each].park() for each in gone if each in self._owners))

    async def _on_assigned(self, _group: Any, assigned: Iterable[Any], **_: Any) -> None:
        now = {place.partition for place in assigned}
        for number in self._owners.keys() - now:
            await self._owners.pop(number).park()
        for number in sorted(now - self._mine):
            if number not in self._owners:
                self._owners[number] = Owner(self._shared, number)
            self._owners[number].start()
        self._mine = now

    async def _look_after(self) -> None:
        """What has to happen when no message comes."""
        behind_at = hint_at = monotonic()
        alarm_at, notice_at = monotonic() + ALARM_S, monotonic()
        while True:
            owners = list(self._owners.values())
            await asyncio.sleep(self._ticking.wait_s(owners, LOOK_S))
            await self._ticking.tick(owners)
            for owner in owners:
                owner.look()
                self._compare_rules(owner)
            if monotonic() >= behind_at:
                await self._catch_up(owners)
                behind_at = monotonic() + BEHIND_S
            if monotonic() >= hint_at:
                await self._hint()
                hint_at = monotonic() + HINT_S
            if monotonic() >= notice_at:
                for owner in owners:
                    self._notices.tell(owner.partition.fold.witness)
                notice_at = monotonic() + NOTICE_S
            alarm_at = self._alarm(owners, alarm_at)

    def _alarm(self, owners: list[Owner], at: float) -> float:
        """Speak of partitions that are stopped, and end when there is no other in the log; when again."""
        alarms = [owner.alarm for owner in owners if owner.alarm is not None]
        if alarms and len(alarms) == self._shared.partitions:
            self._fail(alarms[0])
        if monotonic() < at:
            return at
        for alarm in alarms:
            log.error("%s", alarm)
        return monotonic() + ALARM_S

    async def _catch_up(self, owners: list[Owner]) -> None:
        """Read what is in the log and has not come: see Owner.take."""
        before = {owner.number: owner.partition.next_offset for owner in owners if owner.ready}
        if not before or self._history.busy:
            return
        try:
            ends = await asyncio.wait_for(self._history.ends(list(before)), ANSWER_S)
        except (KafkaError, OSError) as error:
            self._say(away=True, reason=repr(error))
            return
        self._say(away=False)
        await asyncio.sleep(LOOK_S)  # what is on its way may come
        for owner in owners:
            if before.get(owner.number) == owner.partition.next_offset:
                await owner.catch_up(ends[owner.number])

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
            owner.number: owner.committed
            for owner in self._owners.values()
            if owner.committed is not None and self._hinted.get(owner.number) != owner.committed
        }
        if offsets:
            await self._group.hint(offsets)
            self._hinted |= offsets

    def _compare_rules(self, owner: Owner) -> None:
        rules, version = owner.partition.decider.rules, owner.partition.decider.version
        if not owner.ready or not rules.jails or version in self._told:
            return
        self._told = {version}
        if version != self._rules:
            log.warning(
                "This host's configuration has other rules than those in force, which hold; give every "
                "worker the same file, and put it in force with `banstream rules push` own=%s in_force=%s",
                self._rules,
                version,
            )
