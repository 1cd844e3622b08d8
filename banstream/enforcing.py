"""The enforcer's stage alone, on the log that all hosts share: what `banstream enforce` turns.

It starts while the broker is away, says so, and goes on when it is there. It imports no other stage.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from logging import getLogger
from typing import TYPE_CHECKING, Final

from banstream.account import Account, RoleStatus
from banstream.config import Settings
from banstream.enforcer_config import enforcer_config
from banstream.loop import Works
from banstream.serving import say_never_banned
from banstream.telling import Telling
from enforcers.backends import open_backend
from enforcers.enforcer import Enforcer
from eventlog.contract import EventLog
from eventlog.follower import Wakeup
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HEARTBEAT_MS: Final = 10_000
IDLE_MS: Final = 1_000
PATIENCE_MS: Final = 3_000
"""How long an enforcer waits for the brokers at most: meanwhile it sees to neither firewall nor signals."""

log = getLogger("banstream")


class Enforcing:
    """This host's enforcer, following the bans of the whole fleet."""

    def __init__(
        self,
        settings: Settings,
        event_log: EventLog,
        now_ms: Callable[[], int],
        private: Ed25519PrivateKey | None = None,
    ) -> None:
        """Enforce what `settings` say; what it tells the log is signed with `private`, where there is one."""
        self._settings = settings
        self._private = private
        self._log = event_log
        self._now_ms = now_ms
        self._backend, self.observing = open_backend(settings.enforcer.backend)
        self._telling = Telling(now_ms)
        self._enforcer: Enforcer | None = None
        self._flushed = False
        self._wakeup: Wakeup | None = None

    @property
    def settings(self) -> Settings:
        """What it goes by now."""
        return self._settings

    def works(self) -> Works:
        """The one stage, and what is said of it."""
        return {"enforcer": self._turn, "telling": self._telling.turn}

    def endings(self) -> Works:
        """Stop listening, let go of the firewall and the log; bans stay, as configured."""
        return {"stopping the enforcer": self._stop, "telling": self._telling.close}

    def filenos(self) -> Iterable[int]:
        """The firewall's descriptors, and the log's."""
        wakeup = [self._wakeup.fileno] if self._wakeup is not None else []
        return (*self._backend.filenos(), *wakeup)

    def idle_ms(self) -> int:
        """Until the next heartbeat; from here on the log may wake it again."""
        if self._wakeup is not None:
            self._wakeup.clear()
        return IDLE_MS

    def renew(self, settings: Settings) -> None:
        """Go on under these settings, on the same firewall. Whatever it raises, the old enforcer goes on."""
        if _fixed(settings) != _fixed(self._settings):
            raise ConfigError(
                "log.url, metrics.listen, enforcer.backend, enforcer.host and enforcer.key_file change only "
                "with a restart"
            )
        if self._enforcer is not None:
            new = self._made(settings)
            new.load()
            new.succeed(self._enforcer)
            self._enforcer = new
        self._settings = settings
        self._flushed = False

    def account(self) -> Account:
        """How the enforcer is; nothing before it has started."""
        status = None if self._enforcer is None else self._enforcer.status()
        return Account(
            files=self._settings.files,
            notices={} if status is None else dict.fromkeys(status.lists.problems, 1),
            enforcer=status,
        )

    def tell(self, status: RoleStatus) -> None:
        """The enforcer's own heartbeats in the log say it."""

    def reset_breaker(self) -> None:
        """Let new bans through again; nothing where the enforcer has not started."""
        if self._enforcer is not None:
            self._enforcer.reset_breaker()

    def flush(self) -> None:
        """Take every ban out of the firewall, until `renew`, whether or not the log is there."""
        self._flushed = True
        if self._enforcer is None:
            self._backend.flush()
        else:
            self._enforcer.flush()

    def _turn(self) -> bool:
        if self._flushed and self._enforcer is None:
            return False
        return self._started().poll()

    def _started(self) -> Enforcer:
        """The enforcer, started when the log is there. Raises Transient, EnforcementFailed and LogError."""
        if self._enforcer is None:
            new = self._made(self._settings)
            new.start()
            self._enforcer = new
            self._wakeup = Wakeup(self._wait)
            self._announce(new)
        return self._enforcer

    def _made(self, settings: Settings) -> Enforcer:
        config = enforcer_config(settings.enforcer, self._telling.tell, HEARTBEAT_MS, self._private)
        return Enforcer(
            self._log,
            self._backend,
            config,
            observing=self.observing,
            now_ms=self._now_ms,
        )

    def _wait(self, timeout_ms: int) -> bool:
        if self._flushed:  # nobody reads on
            time.sleep(timeout_ms / 1_000)
            return False
        return self._enforcer is not None and self._enforcer.follower.wait(timeout_ms)

    def _announce(self, enforcer: Enforcer) -> None:
        status = enforcer.status()
        jails = ",".join(self._settings.enforcer.jails) or "all"
        say_never_banned(status.never_ban)
        if self.observing:
            log.warning("OBSERVING ONLY, nothing is enforced reason=%s", self.observing)
        else:
            labels = ",".join(f"{name}={value}" for name, value in self._settings.enforcer.labels.items())
            facts = (status.host, status.backend, jails, labels or "none", status.in_force)
            log.info("Enforcing host=%s backend=%s jails=%s labels=%s in_force=%d", *facts)

    def _stop(self) -> None:
        if self._wakeup is not None:
            self._wakeup.close()
            self._wakeup = None
        if self._enforcer is not None:
            self._enforcer.close()
        else:
            self._backend.close()


def _fixed(settings: Settings) -> tuple[object, ...]:
    enforcer = settings.enforcer
    return settings.log_url, settings.metrics, enforcer.backend, enforcer.host, enforcer.key_file
