"""The producer's stage alone, on the log that all hosts share: what `banstream ship` turns.

It starts while the broker is away, says so, and goes on when it is there. It imports no other stage.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from logging import getLogger
from typing import Any, Final

import orjson

from banstream.config import JailSettings, Settings, Start
from banstream.loop import Works
from eventlog.contract import EventLog
from producers.producer import Producer, WatchedSource
from producers.spool import Spool
from producers.uplink import Uplink
from schemas.errors import ConfigError, Transient

LOOK_MS: Final = 200
"""How often sources that cannot wake it are looked at."""
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


def watches(jails: tuple[JailSettings, ...], labels: Mapping[str, str]) -> list[WatchedSource]:
    """Each source once, with every filter that some jail wants on it; `labels` are put on every event."""
    found: dict[str, WatchedSource] = {}
    for jail in jails:
        for spec in jail.sources:
            old = found.get(spec)
            found[spec] = WatchedSource(
                source=spec,
                filters=tuple(dict.fromkeys((*(old.filters if old else ()), *_named(jail)))),
                auto=jail.auto or (old is not None and old.auto),
                start=jail.start if old is None else _earlier(old.start, jail.start),
                labels=labels,
                recent_ms=max(jail.rules.findtime_ms, old.recent_ms if old else 0),
            )
    return list(found.values())


def _named(jail: JailSettings) -> tuple[str, ...]:
    return () if jail.auto else jail.rules.filters


def _earlier(one: Start, other: Start) -> Start:
    """Where two jails' sources begin: at the earlier of both places."""
    return "beginning" if "beginning" in {one, other} else "recent" if "recent" in {one, other} else "end"
