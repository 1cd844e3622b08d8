"""A thread that sends the spool's messages to the log, in order, and takes out what is acknowledged."""

from __future__ import annotations

import time
from logging import getLogger
from threading import Event, Thread
from typing import Any, Final

from eventlog.contract import EventLog
from producers.seals import Seal
from producers.spool import Spool
from schemas.errors import Transient

BATCH_BYTES: Final = 1 << 20
IDLE_S: Final = 1.0
CLOSE_S: Final = 5.0

logger = getLogger("banstream.producers")


class Uplink:
    """Sends until it is closed. What it cannot send stays in the spool."""

    def __init__(self, spool: Spool, log: EventLog, seal: Seal) -> None:
        """Send what is in `spool` under the keys that `seal` gives it."""
        self._spool = spool
        self._log = log
        self._seal = seal
        self._stopping = Event()
        self._away: str | None = None
        self._away_since: float = 0.0
        self._failed: Exception | None = None
        self._sent = 0
        self._met = False
        self._thread = Thread(target=self._run, name="uplink", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what ended the thread, if anything did (LogError: the log refuses what is sent)."""
        if self._failed is not None:
            raise self._failed

    def status(self) -> dict[str, Any]:
        """Whether the broker is away, and since when; how many messages it acknowledged."""
        away = self._away
        return {
            "away": away,
            "away_s": None if away is None else round(time.monotonic() - self._away_since, 1),
            "acknowledged": self._sent,
        }

    def close(self) -> None:
        """Send what can be sent soon, and stop."""
        self._stopping.set()
        self._spool.wake()
        self._thread.join(CLOSE_S)

    @property
    def away(self) -> bool:
        """Whether the log could not be reached at the last try."""
        return self._away is not None

    @property
    def ended(self) -> bool:
        """Whether its thread is gone; the log and the spool may be closed then."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except Exception as error:  # noqa: BLE001 - the main thread raises it in `check`
            self._failed = error

    def _turn(self) -> bool:
        """Send a batch, or wait; whether to go on."""
        try:
            more = self._send()
        except Transient as error:
            self._miss(error)
            return not self._stopping.wait(error.retry_after_ms / 1_000)
        if self._away is not None:
            logger.warning("The broker is back away_s=%.0f", time.monotonic() - self._away_since)
            self._away = None
        if not more and not self._stopping.is_set():
            self._spool.wait(IDLE_S)
        return more or not self._stopping.is_set()

    def _send(self) -> bool:
        """Send the oldest messages; whether there were any."""
        if not self._met:
            self._spool.learn_partitions(self._log.partitions)
            self._met = True
        messages, last = self._spool.oldest(BATCH_BYTES)
        if messages:
            self._log.append(self._seal(messages))
            self._spool.drop(messages, last)
            self._sent += len(messages)
        return bool(messages)

    def _miss(self, error: Transient) -> None:
        if self._away is None:
            self._away_since = time.monotonic()
            logger.error("THE LOG IS AWAY, events wait in the spool reason=%s", error)
        self._away = str(error)
