"""The whole pipeline in one process, left to right: producer, decider, enforcer, with the log in between.

One thread turns the three stages in a loop. It sleeps until a source or the firewall has something, until
the next ban ends, or for COMMANDS_MS, after which it looks for commands that others have appended.
"""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CDLL
from dataclasses import dataclass
from logging import getLogger
from typing import Any, Final

import orjson

from banstream.config import Settings
from banstream.reading import HEARTBEAT, HEARTBEAT_MS
from banstream.wiring import Stages
from eventlog.contract import EventLog
from schemas.errors import ConfigError, EnforcementFailed, Transient

COMMANDS_MS: Final = 200
RETAIN_MS: Final = 600_000
TRIM_MS: Final = 5_000
FIREWALL_RETRY_MS: Final = 1_000

log = getLogger("banstream")


@dataclass(slots=True)
class Retry:
    """A stage that met a passing error: when it may try again, and what it met."""

    at_ms: int = 0
    error: str = ""


class Pipeline:
    """The stages on one log, turned until told to stop.

    Attributes:
        reload: called on SIGHUP; returns the new settings or raises ConfigError.
    """

    def __init__(
        self,
        event_log: EventLog,
        stages: Stages,
        *,
        reload: Callable[[], Settings],
        now_ms: Callable[[], int],
    ) -> None:
        self._log = event_log
        self.stages = stages
        self._reload = reload
        self._now_ms = now_ms
        self._writer = event_log.writer("up")
        self._retries: dict[str, Retry] = {}
        self._stopping = self._reloading = False
        self._heartbeat_at_ms = self._trim_at_ms = 0
        self._retain_at_ms = now_ms() + RETAIN_MS
        self._started_at_ms = now_ms()

    def run(self) -> None:
        """Turn the stages until SIGTERM or SIGINT. Raises LogError when the log is lost for good."""
        with _signals(self._stop, self._hang_up) as woken:
            while not self._stopping:
                if self._reloading:
                    self._try("reload", self._take_new_settings)
                busy = self.turn()
                self._wait(woken, 0 if busy else self._sleep_ms())

    def turn(self) -> bool:
        """Let each stage do what it can now; whether there is more to do at once."""
        stages = self.stages
        busy = self._try("producer", stages.producer.poll)
        busy = self._try("decider", stages.decider.poll) or busy
        busy = self._try("enforcer", stages.enforcer.poll) or busy
        self._try("time", stages.decider.tick)
        self._try("housekeeping", self._keep_house)
        return busy

    def close(self) -> None:
        """Stop cleanly: what has been read is decided and enforced, the state is written."""
        for stage in ("producer", "decider", "enforcer"):
            self._try(f"stopping the {stage}", getattr(self.stages, stage).close)
        self._try("heartbeat", lambda: self._beat(stopped=True))
        self._writer.close()
        self._log.close()

    def _try(self, stage: str, work: Callable[[], object]) -> bool:
        """Do a stage's work unless it waits for better times; a passing error makes it wait."""
        retry = self._retries.get(stage)
        if retry is not None and self._now_ms() < retry.at_ms:
            return False
        try:
            more = bool(work())
        except Transient as error:
            self._postpone(stage, str(error), error.retry_after_ms)
            return False
        except EnforcementFailed as error:
            self._postpone(stage, str(error), FIREWALL_RETRY_MS)
            return False
        if self._retries.pop(stage, None):
            log.warning("Recovered stage=%s", stage)
        return more

    def _postpone(self, stage: str, reason: str, after_ms: int) -> None:
        retry = self._retries.setdefault(stage, Retry())
        if retry.error != reason:
            log.error("Waiting to try again stage=%s reason=%s", stage, reason)
        retry.error = reason
        retry.at_ms = self._now_ms() + after_ms

    def _take_new_settings(self) -> None:
        self._reloading = False
        try:
            settings = self._reload()
            self.stages = self.stages.renewed(settings)
        except ConfigError as error:
            for problem in error.problems:
                log.error("Configuration refused, going on with the old one problem=%s", problem)  # noqa: TRY400 - a fact for people, not a traceback
        except Transient:
            self._reloading = True
            raise
        else:
            log.info("Configuration reloaded rules=%s", settings.rules().version)

    def _keep_house(self) -> None:
        now_ms = self._now_ms()
        if now_ms >= self._heartbeat_at_ms:
            self._beat(stopped=False)
            self._heartbeat_at_ms = now_ms + HEARTBEAT_MS
        if now_ms >= self._trim_at_ms:
            give_memory_back()
            self._trim_at_ms = now_ms + TRIM_MS
        if now_ms >= self._retain_at_ms:
            self._log.retain(now_ms)
            self._retain_at_ms = now_ms + RETAIN_MS

    def _beat(self, *, stopped: bool) -> None:
        facts: dict[str, Any] = {
            "pid": os.getpid(),
            "started_at_ms": self._started_at_ms,
            "at_ms": self._now_ms(),
            "stopped": stopped,
            "waiting": {stage: retry.error for stage, retry in self._retries.items()},
            **self.stages.status(),
        }
        self._writer.commit([], {HEARTBEAT: orjson.dumps(facts, default=str)})

    def _sleep_ms(self) -> int:
        expiry_ms = self.stages.decider.next_expiry_ms()
        until_expiry_ms = COMMANDS_MS if expiry_ms is None else expiry_ms - self._now_ms()
        return min(COMMANDS_MS, max(until_expiry_ms, 1))

    def _wait(self, woken: int, sleep_ms: int) -> None:
        if sleep_ms == 0:
            return
        with selectors.DefaultSelector() as selector:
            for descriptor in {woken, *self.stages.producer.filenos(), *self.stages.enforcer.filenos()}:
                selector.register(descriptor, selectors.EVENT_READ)
            if any(key.fd == woken for key, _ in selector.select(sleep_ms / 1_000)):
                os.read(woken, 4_096)

    def _stop(self) -> None:
        self._stopping = True

    def _hang_up(self) -> None:
        self._reloading = True


def give_memory_back() -> None:
    """Return what a burst has freed to the system, which glibc by itself does not (malloc_trim(3))."""
    trim = getattr(CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@contextmanager
def _signals(stop: Callable[[], None], hang_up: Callable[[], None]) -> Iterator[int]:
    """Turn signals into calls; yields a descriptor that becomes readable when one came."""
    readable, writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    old_wakeup = signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    wanted = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: hang_up}
    old = {number: signal.signal(number, lambda *_, call=call: call()) for number, call in wanted.items()}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, wanted)
    try:
        yield readable
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old_wakeup)
        os.close(readable)
        os.close(writable)
