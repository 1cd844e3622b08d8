"""One stage a process, on the log that all hosts share: what `banstream ship` and `banstream enforce` turn.

Both start while the broker is away, say so, and go on when it is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from logging import getLogger
from typing import Any, Final

import orjson

from banstream.bell import Bell, Waits
from banstream.config import Settings
from banstream.loop import Works
from banstream.wiring import enforcer_config, watches
from enforcers.backends import open_backend
from enforcers.enforcer import Enforcer
from eventlog.contract import EventLog
from producers.producer import Producer
from producers.spool import Spool
from producers.uplink import Uplink
from schemas.errors import ConfigError, Transient
from schemas.topics import BANS

HEARTBEAT_MS: Final = 10_000
LOOK_MS: Final = 200
"""How often a log that cannot wait is looked at."""
IDLE_MS: Final = 1_000
PATIENCE_MS: Final = 3_000
"""How long an enforcer waits for the brokers at most: meanwhile it sees to neither firewall nor signals."""
SHIPPER: Final = "ship/heartbeat"
"""The name under which a shipper keeps what it says of itself in its spool."""
SAY_MS: Final = 1_000
SEND_MS: Final = 20_000
"""How long a shipper waits for an acknowledgement at most: what is under way for longer looks like a clock
that is wrong (streams.fold)."""
PAUSE_SHARE: Final = 0.9
RESUME_SHARE: Final = 0.5
"""Reading waits from the first share of a full spool on until the second, rather than at every step."""

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


class Shipping:
    """This host's producer: sources into the spool, and the spool's content into the log by a thread."""

    def __init__(
        self, settings: Settings, spool: Spool, event_log: EventLog, now_ms: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._now_ms = now_ms
        self._producer: Producer | None = None
        self._uplink = Uplink(spool, event_log, settings.ship.host, now_ms)
        self._full = self._told_full = False
        self._said_at_ms = 0
        self._started_at_ms = now_ms()

    @property
    def ended(self) -> bool:
        """Whether its thread has ended, so that the log and the spool may be closed."""
        return self._uplink.ended

    def works(self) -> Works:
        """Read, see to the thread, and say how it is."""
        return {"producer": self._read, "log": self._uplink.check, "status": self._say}

    def endings(self) -> Works:
        """Store where it stands, send what can be sent soon, and leave a last word."""
        return {
            "stopping the producer": self._close_producer,
            "stopping the uplink": self._uplink.close,
            "status": lambda: self._write_status(stopped=True),
        }

    def filenos(self) -> Iterable[int]:
        """The sources' descriptors."""
        return () if self._producer is None else self._producer.filenos()

    def idle_ms(self) -> int:
        """Sources that cannot wake it are looked at as often."""
        return LOOK_MS

    def renew(self, settings: Settings) -> None:
        """Go on under new settings. Raises ConfigError, and Transient while the spool is full."""
        old = self._settings
        if (settings.log_url, settings.ship) != (old.log_url, old.ship):
            raise ConfigError("log.url and the keys of [ship] change only with a restart")
        self._close_producer()
        self._settings = settings

    def _read(self) -> bool:
        if self._spool.known_partitions is None and not self._uplink.away:
            return False
        if self._spool.known_partitions is None:
            raise Transient(
                "the first start needs the broker once, to learn the number of partitions; "
                "lines wait in their files until then"
            )
        if self._producer is None:
            settings = self._settings
            self._producer = Producer(
                self._spool,
                watches(settings.jails, settings.ship.labels),
                now_ms=self._now_ms,
                host=settings.ship.host,
            )
            for source in self._producer.describe():
                log.info("Shipping source=%s", source)
        return not self._is_full() and self._producer.poll()

    def _is_full(self) -> bool:
        """Whether reading waits until the spool is emptier; told while nothing leaves it."""
        self._full = self._spool.filled() > (RESUME_SHARE if self._full else PAUSE_SHARE)
        if self._full and self._uplink.away and not self._told_full:
            log.error(
                "THE SPOOL IS FULL, lines wait in their files limit_bytes=%d", self._settings.ship.spool_bytes
            )
        elif self._told_full and not self._full:
            log.warning("The spool has room again, reading goes on")
        self._told_full = self._full and (self._told_full or self._uplink.away)
        return self._full

    def _close_producer(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            producer.close()

    def _say(self) -> None:
        if self._now_ms() - self._said_at_ms >= SAY_MS:
            self._said_at_ms = self._now_ms()
            self._write_status(stopped=False)

    def _write_status(self, *, stopped: bool) -> None:
        producer = self._producer
        facts: dict[str, Any] = {
            "pid": os.getpid(),
            "host": self._settings.ship.host,
            "started_at_ms": self._started_at_ms,
            "at_ms": self._now_ms(),
            "stopped": stopped,
            "sources": producer.describe() if producer is not None else [],
            "notices": producer.notices() if producer is not None else {},
            **self._spool.status(),
            **self._uplink.status(),
        }
        self._spool.keep(SHIPPER, orjson.dumps(facts, default=str))


def _fixed(settings: Settings) -> tuple[str, str, str]:
    return settings.log_url, settings.enforcer.backend, settings.enforcer.host
