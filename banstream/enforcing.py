"""The enforcer's stage alone, on the log that all hosts share: what `banstream enforce` turns.

It starts while the broker is away, says so, and goes on when it is there. It imports no other stage.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from logging import getLogger
from typing import Final

from banstream.bell import Bell, Waits
from banstream.config import EnforcerSettings, Settings
from banstream.loop import Works
from enforcers.backends import open_backend
from enforcers.bans import Heeded
from enforcers.enforcer import Enforcer, EnforcerConfig
from enforcers.safety import BreakerLimits
from eventlog.contract import EventLog
from schemas.errors import ConfigError
from schemas.topics import BANS

HEARTBEAT_MS: Final = 10_000
LOOK_MS: Final = 200
"""How often a log that cannot wait is looked at."""
IDLE_MS: Final = 1_000
PATIENCE_MS: Final = 3_000
"""How long an enforcer waits for the brokers at most: meanwhile it sees to neither firewall nor signals."""

log = getLogger("banstream")


class Enforcing:
    """This host's enforcer, following the bans of the whole fleet."""

    def __init__(self, settings: Settings, event_log: EventLog, now_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._log = event_log
        self._now_ms = now_ms
        self._backend, self.observing = open_backend(settings.enforcer.backend)
        self._enforcer: Enforcer | None = None
        self._bell: Bell | None = None
        self._started = False

    def works(self) -> Works:
        """The one stage."""
        return {"enforcer": self._turn}

    def endings(self) -> Works:
        """Stop listening, let go of the firewall and the log; bans stay, as configured."""
        return {"stopping the enforcer": self._stop}

    def filenos(self) -> Iterable[int]:
        """The firewall's descriptors, and the log's."""
        bell = [self._bell.fileno] if self._bell is not None else []
        return (*self._backend.filenos(), *bell)

    def idle_ms(self) -> int:
        """Short where nothing wakes it."""
        return LOOK_MS if self._bell is None else IDLE_MS

    def renew(self, settings: Settings) -> None:
        """Start anew under these settings, on the same firewall. Raises ConfigError."""
        old = self._settings
        if _fixed(settings) != _fixed(old):
            raise ConfigError("log.url, enforcer.backend and enforcer.host change only with a restart")
        self._settings = settings
        if self._enforcer is not None:
            self._enforcer.hand_over()
        self._enforcer, self._started = None, False

    def _turn(self) -> bool:
        enforcer = self._start()
        more = enforcer.poll()
        if self._bell is not None:
            self._bell.answer()
        return more

    def _start(self) -> Enforcer:
        """The enforcer, started when the log is there. Raises Transient, EnforcementFailed and LogError."""
        if self._enforcer is None:
            config = enforcer_config(self._settings.enforcer, HEARTBEAT_MS)
            self._enforcer = Enforcer(
                self._log, self._backend, config, observing=self.observing, now_ms=self._now_ms
            )
        if not self._started:
            with _uncollected():
                self._enforcer.start()
            self._started = True
            self._announce(self._enforcer)
        if self._bell is None and isinstance(self._log, Waits):
            self._bell = Bell(self._log, BANS.name, self._next_offset)
        return self._enforcer

    def _next_offset(self) -> int:
        return self._enforcer.next_offset if self._enforcer is not None else 0

    def _announce(self, enforcer: Enforcer) -> None:
        status = enforcer.status()
        jails = ",".join(self._settings.enforcer.jails) or "all"
        log.info("Never banned prefixes=%s", ",".join(status["never_ban"]))
        if self.observing:
            log.warning("OBSERVING ONLY, nothing is enforced reason=%s", self.observing)
        else:
            labels = ",".join(f"{name}={value}" for name, value in self._settings.enforcer.labels.items())
            facts = (status["host"], status["backend"], jails, labels or "none", status["in_force"])
            log.info("Enforcing host=%s backend=%s jails=%s labels=%s in_force=%d", *facts)

    def _stop(self) -> None:
        if self._bell is not None:
            self._bell.close()
            self._bell = None
        if self._enforcer is not None:
            self._enforcer.close()
        else:
            self._backend.close()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without a search for cycles: a hundred thousand bans hold none, and it is an eighth of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _fixed(settings: Settings) -> tuple[str, str, str]:
    return settings.log_url, settings.enforcer.backend, settings.enforcer.host


def enforcer_config(settings: EnforcerSettings, heartbeat_ms: int | None = None) -> EnforcerConfig:
    """The enforcer's configuration on this host; `heartbeat_ms`: as EnforcerConfig says."""
    return EnforcerConfig(
        host=settings.host,
        never_ban=settings.never_ban,
        protect_ssh_peers=settings.protect_ssh_peers,
        keep_on_stop=settings.keep_on_stop,
        breaker=BreakerLimits(bans_per_minute=settings.most_per_minute),
        heeded=Heeded(frozenset(settings.jails) or None, settings.labels),
        heartbeat_ms=heartbeat_ms,
    )
