"""Where the stages are connected: settings in, a producer, a decider and an enforcer on one log out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from logging import getLogger
from typing import Final

from banstream.account import Account
from banstream.config import Settings
from banstream.enforcer_config import enforcer_config
from banstream.healing import keeping_rules
from banstream.lists.in_log import bans_in
from banstream.lists.keeper import Keeper
from banstream.reading import rules_in_force
from banstream.sinking import Crew
from banstream.telling import Telling
from banstream.waiting import status_of
from banstream.watches import watches
from enforcers.backends import open_backend
from enforcers.contract import Backend
from enforcers.enforcer import Enforcer
from enforcers.machine import own_addresses
from eventlog.contract import EventLog
from producers.atlas import Atlas
from producers.producer import Producer
from schemas.errors import ConfigError
from streams.embedded import EmbeddedDecider

SENT_AGAIN: Final = (
    "events were passed over as counted before: two sources name one file in two ways, or another log's were "
    "written into this one"
)

STEPPED_BACK: Final = (
    "times the machine's clock stepped back by more than five minutes; bans go by the clock as it is now"
)

GATHER_S: Final = 10.0
"""So long nothing is read, where a list is not known that jails name."""

log = getLogger("banstream")


@dataclass(slots=True)
class Stages:
    """The three stages and what they were made from.

    Attributes:
        observing: why nothing is enforced, and what to do about it; None when the firewall is in use.
    """

    settings: Settings
    event_log: EventLog
    now_ms: Callable[[], int]
    backend: Backend
    observing: str | None
    decider: EmbeddedDecider
    producer: Producer
    enforcer: Enforcer
    telling: Telling
    keeper: Keeper
    crew: Crew

    @classmethod
    def connect(cls, settings: Settings, event_log: EventLog, now_ms: Callable[[], int]) -> Stages:
        """Put the lists and the rules in force, then open the firewall, then the sources."""
        telling = Telling(now_ms)
        decider = EmbeddedDecider(event_log, now_ms=now_ms, hear=telling.hear)
        decider.catch_up()
        settings = keeping_rules(settings, rules_in_force(event_log))
        keeper = _keeper(settings, event_log, decider, now_ms)
        decider.govern(settings.rules())
        decider.catch_up()
        crew = Crew(settings, now_ms)
        backend, observing = open_backend(settings.enforcer.backend)
        enforcer = Enforcer(
            event_log,
            backend,
            enforcer_config(settings.enforcer, telling.tell),
            observing=observing,
            now_ms=now_ms,
        )
        enforcer.start()
        watched = watches(settings.jails, settings.ship.labels, settings.intakes)
        producer = Producer(event_log, watched, now_ms=now_ms, atlas=Atlas(settings.places))
        return cls(
            settings=settings,
            event_log=event_log,
            now_ms=now_ms,
            backend=backend,
            observing=observing,
            decider=decider,
            producer=producer,
            enforcer=enforcer,
            telling=telling,
            keeper=keeper,
            crew=crew,
        )

    def renewed(self, settings: Settings) -> Stages:
        """The same log and decider under new settings; ConfigError for what only a restart can change.

        All that is new starts on a side that fences nobody, and the rules come into force last: whatever
        fails (Transient, EnforcementFailed), these stages go on as they were; then nothing can fail. The
        enforcer stays where nobody has read the configuration again: what an operator flushed is his.
        """
        old = self.settings
        if _fixed(settings) != _fixed(old):
            raise ConfigError(
                "log.url, enforcer.backend, enforcer.host and metrics.listen change only with a restart"
            )
        read_again = settings.configuration is None or settings.configuration is not old.configuration
        enforcer = self._next_enforcer(settings) if read_again else self.enforcer
        sinks = self.crew.prepared(settings)
        producer = self.producer.prepared(
            watches(settings.jails, settings.ship.labels, settings.intakes), settings.places
        )
        try:
            self.decider.catch_up()
            keeper = _keeper(settings, self.event_log, self.decider, self.now_ms)
            self.decider.govern(settings.rules())
        except BaseException:
            producer.release()
            raise
        self.crew.succeed(sinks)
        self.producer.release()
        if enforcer is not self.enforcer:
            enforcer.succeed(self.enforcer)
        return replace(self, settings=settings, producer=producer, enforcer=enforcer, keeper=keeper)

    def _next_enforcer(self, settings: Settings) -> Enforcer:
        enforcer = Enforcer(
            self.event_log,
            self.backend,
            enforcer_config(settings.enforcer, self.telling.tell),
            observing=self.observing,
            now_ms=self.now_ms,
        )
        enforcer.load()
        return enforcer

    def account(self) -> Account:
        """How each stage is."""
        decider = self.decider.status()
        notices = {**self.producer.notices(), **self.keeper.notices(), **self.crew.notices()}
        if decider.sent_again:
            notices[SENT_AGAIN] = decider.sent_again
        if decider.stepped_back:
            notices[STEPPED_BACK] = decider.stepped_back
        enforcer = self.enforcer.status()
        notices |= dict.fromkeys(enforcer.lists.problems, 1)
        version = self.settings.rules().version
        return Account(
            rules=version,
            waiting_jails=tuple(status_of(each, version) for each in self.settings.waiting),
            files=self.settings.files,
            notices=notices,
            producer=self.producer.status(),
            decider=decider,
            enforcer=enforcer,
            sinks=self.crew.status(),
        )


def _keeper(
    settings: Settings, event_log: EventLog, decider: EmbeddedDecider, now_ms: Callable[[], int]
) -> Keeper:
    """What keeps the lists that jails name; those that the log has not are in it, or it is said."""
    bans = bans_in(event_log)

    def digests() -> list[dict[str, str]]:
        return [{**spared, **banned} for spared, banned in zip(decider.digests(), bans, strict=True)]

    keeper = Keeper(event_log, settings.wanted(), digests, now_ms, own=own_addresses)
    for name in keeper.gather(GATHER_S):
        log.warning("A list is not known yet, and spares nobody until it is name=%s", name)
    keeper.push()
    return keeper


def _fixed(settings: Settings) -> tuple[object, ...]:
    return settings.log_url, settings.metrics, settings.enforcer.backend, settings.enforcer.host
