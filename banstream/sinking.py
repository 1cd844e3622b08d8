"""The sinks of a process: each in a thread of its own, beside whatever else the process does.

`up` runs those of its configuration; `banstream sink` is a role that does nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from banstream.account import Account, RoleStatus
from banstream.config import Settings
from banstream.loop import Works
from banstream.overview import VERSION
from banstream.techniques import Techniques, own_filters
from eventlog.contract import EventLog
from eventlog.urls import open_log
from schemas.errors import ConfigError
from sinks.runner import SinkPlan
from sinks.settings import SinkSettings, plan_of
from sinks.status import SinkStatus
from sinks.thread import STOP_S, SinkThread

PATIENCE_MS: Final = 10_000
STANDING_S: Final = 5.0
"""So long `up` waits at its start for a sink's place in the log: what happens from then on is sent."""
IDLE_MS: Final = 1_000


class NextSinks(NamedTuple):
    """What a crew is to run from now on.

    Attributes:
        host: this machine's name.
        wanted: all of them; `plans`: of those that begin anew.
        filters: users' own, which say what their events are signs of.
    """

    host: str
    wanted: tuple[SinkSettings, ...]
    filters: tuple[str, ...]
    plans: Mapping[str, SinkPlan] = {}

    def plan(self, sink: SinkSettings) -> SinkPlan:
        """The plan of one. Raises ConfigError."""
        return replace(plan_of(sink, VERSION, self.host), technique_of=Techniques(self.filters))


class Crew:
    """The sinks that run in this process."""

    def __init__(self, settings: Settings, now_ms: Callable[[], int], names: Sequence[str] = ()) -> None:
        """Nothing runs yet. `names`: only these; ConfigError where there is one that is not configured."""
        self._now_ms = now_ms
        self._names = tuple(names)
        self._url = settings.log_url
        self._threads: dict[str, SinkThread] = {}
        self._leaving: list[SinkThread] = []
        self._started = False
        self._next = NextSinks(settings.enforcer.host, self._of(settings), own_filters(settings))

    @property
    def wanted(self) -> tuple[SinkSettings, ...]:
        """Those that it is to run."""
        return self._next.wanted

    def start(self) -> None:
        """Start all of them."""
        self._started = True
        for sink in self._next.wanted:
            self._begin(self._next.plan(sink))

    def prepared(self, settings: Settings) -> NextSinks:
        """What is to run under new settings. Raises ConfigError; nothing has changed yet."""
        made = NextSinks(settings.enforcer.host, self._of(settings), own_filters(settings))
        old = {each.name: each for each in self._next.wanted}
        changed = [each for each in made.wanted if old.get(each.name) != each]
        if made.filters != self._next.filters:
            changed = list(made.wanted)
        return made._replace(plans={each.name: made.plan(each) for each in changed})

    def succeed(self, prepared: NextSinks) -> None:
        """Go on as prepared: what has changed ends and begins anew. Waits for no receiver, cannot fail."""
        self._next = prepared
        if not self._started:
            return
        staying = {each.name for each in prepared.wanted} - prepared.plans.keys()
        self._leaving = [each for each in self._leaving if each.is_alive]
        for name in self._threads.keys() - staying:
            over = self._threads.pop(name)
            over.begin_end()
            self._leaving.append(over)
        for plan in prepared.plans.values():
            self._begin(plan)

    def status(self) -> tuple[SinkStatus, ...]:
        """How each is, in the order of the configuration."""
        return tuple(
            self._threads[each.name].status for each in self._next.wanted if each.name in self._threads
        )

    def notices(self) -> Mapping[str, int]:
        """What is wrong with some of them."""
        found: dict[str, int] = {}
        for each in self.status():
            if each.ended is not None:
                found[f"sink {each.name} has ended: {each.ended}"] = 1
            if each.refused:
                found[f"sink {each.name}: its receiver has refused what is in the dead letters now"] = (
                    each.refused
                )
            if each.missed:
                found[f"sink {each.name}: the log has dropped messages that it had not sent"] = each.missed
        return found

    def close(self) -> None:
        """End all of them; each keeps what it has sent."""
        _close([*self._threads.values(), *self._leaving])

    def _of(self, settings: Settings) -> tuple[SinkSettings, ...]:
        known = {each.name: each for each in settings.sinks}
        for name in self._names:
            if name not in known:
                there = ", ".join(known) or "none"
                raise ConfigError(f"there is no [sink.{name}] in {settings.origin}; there are {there}")
        return tuple(known[name] for name in dict.fromkeys(self._names or known))

    def _begin(self, plan: SinkPlan) -> None:
        before = [each for each in self._leaving if each.name == plan.name or each.to == plan.to]
        thread = self._threads[plan.name] = SinkThread(plan, self._opened, self._now_ms, before)
        thread.start(0 if before else STANDING_S)

    def _opened(self) -> EventLog:
        return open_log(self._url, now_ms=self._now_ms, patience_ms=PATIENCE_MS)


def _close(threads: Collection[SinkThread]) -> None:
    """End them at the same time: who waits for that waits for the slowest, not for one after the other."""
    for each in threads:
        each.begin_end()
    until_s = time.monotonic() + STOP_S
    for each in threads:
        each.close(max(0, until_s - time.monotonic()))


class Sinking:
    """The role: nothing but sinks."""

    def __init__(self, settings: Settings, now_ms: Callable[[], int], names: Sequence[str] = ()) -> None:
        """Nothing runs yet; raises ConfigError as Crew, and where there is no sink at all."""
        self._settings = settings
        self._crew = Crew(settings, now_ms, names)
        if not settings.sinks:
            raise ConfigError(f"{settings.origin}: no [sink.NAME] is configured, so there is nothing to do")
        self._started = False

    @property
    def settings(self) -> Settings:
        """What it goes by now."""
        return self._settings

    def works(self) -> Works:
        """They turn by themselves."""
        return {"sinks": self._turn}

    def endings(self) -> Works:
        """Let each end."""
        return {"stopping the sinks": self._crew.close}

    def filenos(self) -> Iterable[int]:
        """Nothing wakes this loop."""
        return ()

    def idle_ms(self) -> int:
        """Until the next heartbeat."""
        return IDLE_MS

    def renew(self, settings: Settings) -> None:
        """Go on under new settings. Raises ConfigError; then the old ones go on."""
        if (settings.log_url, settings.metrics) != (self._settings.log_url, self._settings.metrics):
            raise ConfigError("log.url and metrics.listen change only with a restart")
        self._crew.succeed(self._crew.prepared(settings))
        self._settings = settings

    def account(self) -> Account:
        """How the sinks are."""
        notices = self._crew.notices()
        return Account(files=self._settings.files, notices=notices, sinks=self._crew.status())

    def tell(self, status: RoleStatus) -> None:
        """Its file says it."""

    def reset_breaker(self) -> None:
        """It has none."""

    def flush(self) -> None:
        """It holds no bans."""

    def _turn(self) -> None:
        if not self._started:
            self._started = True
            self._crew.start()
