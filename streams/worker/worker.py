"""A worker: the group says which partitions are its own, an owner decides each, and time passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from logging import getLogger
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.codec import encode
from schemas.records import Tick
from schemas.topics import EVENTS
from streams.worker.connection import Cluster
from streams.worker.history import History, message_of
from streams.worker.membership import Group
from streams.worker.owner import Owner

LOOK_S: Final = 0.2
TICK_AGAIN_S: Final = 5.0
BEHIND_S: Final = 2.0
HINT_S: Final = 3.0

log = getLogger("banstream")


class Worker:
    """One worker of the group. `run` is its life."""

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
        self._cluster = cluster
        self._partitions = partitions
        self._now_ms = now_ms
        self._rules = rules
        self._draining = draining
        self._owners: dict[int, Owner] = {}
        self._mine: set[int] = set()
        self._ticked: dict[int, tuple[int, float]] = {}
        self._history = History(cluster)
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, stopped: asyncio.Event) -> None:
        """Decide until stopped; raises what made it stop by itself."""
        group = self._group = Group(self._cluster)
        group.agent(group.events)(self._follow)
        group.on_partitions_revoked.connect(self._on_revoked)
        group.on_partitions_assigned.connect(self._on_assigned)
        background = [asyncio.create_task(each()) for each in (self._pass_time, self._look_after)]
        try:
            await group.start()
            waiting = [asyncio.create_task(stopped.wait()), asyncio.create_task(group.wait_until_stopped())]
            await asyncio.wait({*waiting, *background, self._failed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*(owner.close() for owner in self._owners.values()))
            await group.stop()
            await self._history.close()

    async def _follow(self, stream: Any) -> None:
        async for event in stream.noack().events():
            message = message_of(event.message)
            if message.partition in self._mine:
                await self._owners[message.partition].take(message)

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
                self._owners[number] = Owner(
                    self._cluster, self._history, number, self._partitions, draining=self._draining
                )
            self._owners[number].start()
        self._mine = now

    async def _pass_time(self) -> None:
        await asyncio.sleep(1e9)

    async def _look_after(self) -> None:
        await asyncio.sleep(1e9)
