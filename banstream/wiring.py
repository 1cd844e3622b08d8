"""Where the stages are connected: settings in, a producer, a decider and an enforcer on one log out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from logging import getLogger
from typing import Any, Final

from banstream.config import Settings
from banstream.enforcing import enforcer_config
from banstream.shipping import watches
from enforcers.backends import open_backend
from enforcers.contract import Backend
from enforcers.enforcer import Enforcer
from eventlog.contract import EventLog
from producers.producer import Producer
from schemas.errors import ConfigError, Transient
from streams.embedded import EmbeddedDecider

SENT_AGAIN: Final = (
    "events were passed over as counted before: two sources name one file in two ways, or another log's were "
    "written into this one"
)

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

    @classmethod
    def connect(cls, settings: Settings, event_log: EventLog, now_ms: Callable[[], int]) -> Stages:
        """Put the rules in force, then open the firewall, then the sources."""
        decider = EmbeddedDecider(event_log, now_ms=now_ms)
        decider.catch_up()
        decider.govern(settings.rules())
        decider.catch_up()
        backend, observing = open_backend(settings.enforcer.backend)
        enforcer = Enforcer(
            event_log, backend, enforcer_config(settings.enforcer), observing=observing, now_ms=now_ms
        )
        enforcer.start()
        producer = Producer(event_log, watches(settings.jails, settings.ship.labels), now_ms=now_ms)
        return cls(
            settings=settings,
            event_log=event_log,
            now_ms=now_ms,
            backend=backend,
            observing=observing,
            decider=decider,
            producer=producer,
            enforcer=enforcer,
        )

    def renewed(self, settings: Settings) -> Stages:
        """The same log and decider under new settings; ConfigError for what only a restart can change.

        Raises Transient while the log cannot take the new rules; the old stages are as they were then.
        """
        old = self.settings
        if settings.log_url != old.log_url or settings.enforcer.backend != old.enforcer.backend:
            raise ConfigError("log.url and enforcer.backend change only with a restart")
        self.decider.catch_up()
        self.decider.govern(settings.rules())
        enforcer = Enforcer(
            self.event_log,
            self.backend,
            enforcer_config(settings.enforcer),
            observing=self.observing,
            now_ms=self.now_ms,
        )
        enforcer.start()
        with suppress(Transient):  # what could not be stored is read again
            self.producer.close()
        producer = Producer(self.event_log, watches(settings.jails, settings.ship.labels), now_ms=self.now_ms)
        return replace(self, settings=settings, producer=producer, enforcer=enforcer)

    def _notices(self) -> dict[str, int]:
        passed_over = self.decider.sent_again
        return {**self.producer.notices(), **({SENT_AGAIN: passed_over} if passed_over else {})}

    def status(self) -> dict[str, Any]:
        """What `banstream status` shows of each stage."""
        return {
            "observing": self.observing,
            "sources": self.producer.describe(),
            "notices": self._notices(),
            "decider": self.decider.status(),
            "decided": [partition.next_offset for partition in self.decider.partitions],
            "enforcer": self.enforcer.status(),
            "rules": self.settings.rules().version,
            "files": self.settings.files,
        }
