"""One thread that turns a role's stages in a loop, until SIGTERM: what `up`, `ship` and `enforce` share.

It sleeps until a stage's descriptor has something, or for as long as the stages say. A stage that meets a
passing error waits while the others go on. Once a second the role says how it is (banstream.account).
"""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from ctypes import CDLL
from dataclasses import dataclass, replace
from logging import getLogger
from typing import Final, Protocol

from banstream.account import Account, Life, RoleStatus
from banstream.changes import changed
from banstream.config import Settings
from banstream.healing import healed, keeping
from banstream.health import Pulse
from schemas.errors import BanstreamError, ConfigError, EnforcementFailed, Transient

FIREWALL_RETRY_MS: Final = 1_000
TRIM_MS: Final = 5_000
HEAL_MS: Final = 3_000
"""How often it is looked whether a jail that waits lacks nothing any more."""
WAITING_MS: Final = 200
"""While a stage waits for better times nothing wakes the loop, so it looks as often."""
MOST_CHANGES: Final = 50
MOST_PROBLEMS: Final = 5
MOST_SAID: Final = 1_000
"""So many sentences are logged; `status` has all."""

log = getLogger("banstream")

Works = Mapping[str, Callable[[], object]]
"""What to do, by name, in order; a true result means that there is more to do at once."""


class Role(Protocol):
    """Stages that a loop turns."""

    @property
    def settings(self) -> Settings:
        """What it goes by now."""
        ...

    def works(self) -> Works:
        """What to do in each turn. What raises Transient or EnforcementFailed is tried again later."""
        ...

    def endings(self) -> Works:
        """What to do at the end, each whatever became of the others."""
        ...

    def filenos(self) -> Iterable[int]:
        """Descriptors that become readable when there is something to do."""
        ...

    def idle_ms(self) -> int:
        """How long to sleep at most when there was nothing to do."""
        ...

    def renew(self, settings: Settings) -> None:
        """Go on under new settings: all that is new starts first, and fences nobody; then the swap.

        Whatever it raises (ConfigError, Transient, EnforcementFailed), the old stages go on as they were.
        """
        ...

    def account(self) -> Account:
        """How its stages are."""
        ...

    def tell(self, status: RoleStatus) -> None:
        """Say how the role is where others read it. Raises as `works`."""
        ...

    def reset_breaker(self) -> None:
        """An operator's word, by SIGUSR1: let new bans through again. Raises as `works`."""
        ...

    def flush(self) -> None:
        """An operator's word, by SIGUSR2: ban nobody here until `renew`, or a start. Raises as `works`."""
        ...


class Listener(Protocol):
    """Who is told how the role is, once a second (banstream.metrics)."""

    status: RoleStatus | None

    def close(self) -> None:
        """No more is coming."""


@dataclass(slots=True)
class Retry:
    """A stage that met a passing error: when it may try again, and what it met."""

    at_ms: int = 0
    error: str = ""


class Loop:
    """Turns stages until told to stop.

    Attributes:
        stopping: it was told to.
        reload: called on SIGHUP; returns the new settings or raises ConfigError.
    """

    def __init__(
        self,
        name: str,
        role: Role,
        *,
        reload: Callable[[], Settings],
        now_ms: Callable[[], int],
        listener: Listener | None = None,
    ) -> None:
        self._life = Life(name, now_ms)
        self._role = role
        self._reload = reload
        self._now_ms = now_ms
        self._listener = listener
        self._pulse = Pulse(name)
        self._retries: dict[str, Retry] = {}
        self._said: set[str] = set()
        self.stopping = self._reloading = self._resetting = self._flushing = False
        self._trim_at_ms = self._heal_at_ms = 0

    def run(self) -> None:
        """Turn the stages until SIGTERM or SIGINT. Raises LogError when the log is lost for good."""
        calls = {
            signal.SIGTERM: self._stop,
            signal.SIGINT: self._stop,
            signal.SIGHUP: self._hang_up,
            signal.SIGUSR1: self._reset,
            signal.SIGUSR2: self._want_flush,
        }
        with _signals(calls) as woken:
            while not self.stopping:
                if self._reloading:
                    self._try("reload", self._take_new_settings)
                if self._flushing:
                    self._try("flushing the firewall", self._flush)
                if self._resetting:
                    self._try("resetting the breaker", self._reset_breaker)
                busy = self.turn()
                self._wait(woken, 0 if busy else self._role.idle_ms())

    def turn(self) -> bool:
        """Let each stage do what it can now; whether there is more to do at once."""
        busy = False
        if self._pulse.due():
            self._try("heartbeat", self._tell)
        self._try("waiting jails", self._heal)
        for stage, work in self._role.works().items():
            busy = self._try(stage, work) or busy
        self._trim()
        return busy

    def close(self) -> None:
        """Stop cleanly, each stage by itself."""
        for stage, work in self._role.endings().items():
            self._try(stage, work)
        self._life.stopped = True
        self._try("last heartbeat", self._tell)
        self._pulse.end()
        if self._listener is not None:
            self._listener.close()

    def waiting(self) -> dict[str, str]:
        """The stages that wait to try again, and what they met."""
        return {stage: retry.error for stage, retry in self._retries.items()}

    def status(self) -> RoleStatus:
        """How the role is now."""
        account = self._role.account()
        if refused := self._refused():
            account = replace(account, notices={**account.notices, **refused})
        return RoleStatus.now(self._life, account, self.waiting())

    def _refused(self) -> dict[str, int]:
        """What is wrong with the configuration that was not taken, until another is."""
        last = self._life.reload
        if last is None:
            return {}
        begin = "the configuration was refused at the last reload, and the old one goes on: "
        return {begin + problem: 1 for problem in last.problems[:MOST_PROBLEMS]}

    def _tell(self) -> None:
        status, refused = self.status(), self._refused()  # which has been said
        self._warn({what: count for what, count in status.account.notices.items() if what not in refused})
        self._pulse.beat(status)
        if self._listener is not None:
            self._listener.status = status
        self._role.tell(status)

    def _warn(self, notices: Mapping[str, int]) -> None:
        """Log what was survived, each sentence once; how often it was is what `status` says."""
        for sentence in notices.keys() - self._said:
            if len(self._said) < MOST_SAID:
                self._said.add(sentence)
                log.warning("Noticed what=%s count=%d", sentence, notices[sentence])

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
        old = self._role.settings
        try:
            settings = keeping(self._reload(), old)
            self._role.renew(settings)
        except ConfigError as error:
            for problem in error.problems:
                log.error("Configuration refused, going on with the old one problem=%s", problem)  # noqa: TRY400 - a fact for people, not a traceback
            self._life.reloaded(problems=error.problems)
        except (Transient, EnforcementFailed):
            self._reloading = True
            raise
        except BanstreamError as error:
            log.error("Configuration not taken, going on with the old one reason=%s", error)  # noqa: TRY400 - as above
            self._life.reloaded(problems=(str(error),))
        else:
            changes = changed(old, settings)
            log.info("Configuration reloaded rules=%s changes=%d", settings.rules().version, len(changes))
            for change in changes[:MOST_CHANGES]:
                log.info("Changed what=%s", change)
            waiting = tuple(each.said for each in self._role.account().waiting_jails)
            for said in waiting:
                log.error("A jail waits what=%s", said)
            self._life.reloaded(changes=tuple(changes[:MOST_CHANGES]), waiting=waiting)
        self._tell()

    def _heal(self) -> None:
        """Let jails go on that lack nothing any more."""
        now_ms, old = self._now_ms(), self._role.settings
        if not old.waiting or now_ms < self._heal_at_ms:
            return
        self._heal_at_ms, said = now_ms + HEAL_MS, self._role.account().waiting_jails
        try:
            settings = healed(old)
            if settings is None:
                return
            self._role.renew(settings)
        except ConfigError as error:
            raise Transient(str(error), retry_after_ms=HEAL_MS) from error
        still = {each.name for each in settings.waiting}
        for name in sorted({each.name for each in old.waiting} - still):
            log.warning("A jail that waited goes on name=%s", name)
        for each in self._role.account().waiting_jails:
            if each not in said:
                log.error("A jail waits what=%s", each.said)
        self._tell()

    def _flush(self) -> None:
        self._role.flush()
        self._flushing = False
        log.warning("An operator has flushed the firewall: nothing is banned here until a reload or a start")
        self._tell()

    def _reset_breaker(self) -> None:
        self._role.reset_breaker()
        self._resetting = False
        log.warning("An operator has reset the breaker: new bans are let through again")

    def _trim(self) -> None:
        now_ms = self._now_ms()
        if now_ms >= self._trim_at_ms:
            give_memory_back()
            self._trim_at_ms = now_ms + TRIM_MS

    def _wait(self, woken: int, sleep_ms: int) -> None:
        if sleep_ms == 0:
            return
        filenos = set() if self._retries else set(self._role.filenos())
        with selectors.DefaultSelector() as selector:
            for descriptor in {woken, *filenos}:
                selector.register(descriptor, selectors.EVENT_READ)
            if self._retries:
                sleep_ms = min(sleep_ms, WAITING_MS)
            if any(key.fd == woken for key, _ in selector.select(sleep_ms / 1_000)):
                os.read(woken, 4_096)

    def _stop(self) -> None:
        self.stopping = True

    def _hang_up(self) -> None:
        self._reloading = True

    def _reset(self) -> None:
        self._resetting = True

    def _want_flush(self) -> None:
        self._flushing = True


def give_memory_back() -> None:
    """Return what a burst has freed to the system, which glibc by itself does not (malloc_trim(3))."""
    trim = getattr(CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@contextmanager
def _signals(wanted: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[int]:
    """Turn signals into calls; yields a descriptor that becomes readable when one came."""
    readable, writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    old_wakeup = signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
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
