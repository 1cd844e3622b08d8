"""The producer's stage alone, on the log that all hosts share: what `banstream ship` turns.

It starts while the broker is away, says so, and goes on when it is there. It imports no other stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from logging import getLogger
from typing import TYPE_CHECKING, Final

import orjson

from banstream.account import Account, RoleStatus
from banstream.config import Settings
from banstream.loop import Works
from banstream.serving import say_missing
from banstream.waiting import status_of
from banstream.watches import watches
from eventlog.contract import EventLog
from producers.atlas import Atlas
from producers.producer import Producer, WatchedSource
from producers.seals import Signing, unsigned
from producers.spool import Spool
from producers.status import UplinkStatus
from producers.uplink import Uplink
from schemas.errors import ConfigError, Transient

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LOOK_MS: Final = 200
"""How often sources that cannot wake it are looked at."""
SHIPPER: Final = "ship/heartbeat"
"""The name under which a shipper keeps what it says of itself in its spool."""
SEND_MS: Final = 20_000
"""How long a shipper waits for an acknowledgement at most: what is under way for longer looks like a clock
that is wrong (streams.fold)."""
PAUSE_SHARE: Final = 0.9
RESUME_SHARE: Final = 0.5
"""Reading waits from the first share of a full spool on until the second, rather than at every step."""

log = getLogger("banstream")


class Shipping:
    """This host's producer: sources into the spool, and the spool's content into the log by a thread."""

    def __init__(  # noqa: PLR0913 - what most callers leave as it is comes last
        self,
        settings: Settings,
        spool: Spool,
        event_log: EventLog,
        now_ms: Callable[[], int],
        private: Ed25519PrivateKey | None = None,
        *,
        only_sent: bool = False,
    ) -> None:
        """Ship what `settings` say; signed with `private`, where there is one.

        `only_sent`: what others send is read, in topics and at addresses, and no file.
        """
        self._only_sent = only_sent
        self._settings = settings
        self._spool = spool
        self._now_ms = now_ms
        self._producer: Producer | None = None
        host = settings.ship.host
        seal = Signing(host, now_ms, spool, private) if private else unsigned(host, now_ms)
        self._uplink = Uplink(spool, event_log, seal)
        self._full = self._told_full = False

    @property
    def ended(self) -> bool:
        """Whether its thread has ended, so that the log and the spool may be closed."""
        return self._uplink.ended

    @property
    def settings(self) -> Settings:
        """What it goes by now."""
        return self._settings

    def works(self) -> Works:
        """Read, and see to the thread."""
        return {"producer": self._read, "log": self._uplink.check}

    def endings(self) -> Works:
        """Store where it stands, and send what can be sent soon."""
        return {
            "stopping the producer": self._close_producer,
            "stopping the uplink": self._uplink.close,
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
        if (settings.log_url, settings.ship, settings.metrics) != (old.log_url, old.ship, old.metrics):
            raise ConfigError("log.url, metrics.listen and the keys of [ship] change only with a restart")
        if self._producer is not None:
            new = self._producer.prepared(
                watches(settings.jails, settings.ship.labels, settings.intakes), settings.places
            )
            self._producer.release()
            self._producer = new
        self._settings = settings

    def account(self) -> Account:
        """How the producer and the uplink are."""
        producer = self._producer
        return Account(
            files=self._settings.files,
            waiting_jails=tuple(status_of(each, None) for each in self._settings.waiting),
            notices={} if producer is None else producer.notices(),
            producer=None if producer is None else producer.status(),
            uplink=UplinkStatus(**self._spool.status(), **self._uplink.status()),
        )

    def tell(self, status: RoleStatus) -> None:
        """Keep the heartbeat in the spool, where `banstream status` reads it, broker or not."""
        self._spool.keep(SHIPPER, orjson.dumps({**status.to_wire(), "host": self._settings.ship.host}))

    def reset_breaker(self) -> None:
        """Nothing: who ships has none."""

    def flush(self) -> None:
        """Nothing: who ships has no firewall."""

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
                self._watches(settings),
                now_ms=self._now_ms,
                host=settings.ship.host,
                atlas=Atlas(settings.places),
            )
            for source in self._producer.describe():
                log.info("Shipping source=%s", source)
            if not self._only_sent:
                say_missing(settings)
        return not self._is_full() and self._producer.poll()

    def _watches(self, settings: Settings) -> list[WatchedSource]:
        """What it reads."""
        found = watches(settings.jails, settings.ship.labels, settings.intakes)
        return [each for each in found if each.intake is not None] if self._only_sent else found

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
