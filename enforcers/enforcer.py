"""One host's enforcer: follows the standing bans in the log, and keeps the firewall as they say.

| when | it |
|---|---|
| it loads | reads every standing ban, and sees that the firewall can be read; nobody notices |
| it starts | is the one enforcer of its host from now on, and changes only what differs in the firewall |
| bans change | applies the newest word on each prefix, all of them as one batch |
| the firewall was changed by others | lists it again and repairs what differs, at most every REPAIR_GAP_MS |
| a ban failed | tries again, after 1 s and then twice as long each time, up to a minute |
| the machine's addresses changed | lets go of what may not be banned any more |

Every outcome of a decision is recorded in the enforcements topic, once unless a crash comes between; a retry
that fails again is not.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from enforcers.bans import ALL, Heeded, read_standing
from enforcers.breaker import Breaker, BreakerLimits
from enforcers.contract import Backend
from enforcers.interval import Interval
from enforcers.judge import Judge
from enforcers.list_keeping import ListKeeping
from enforcers.machine import own_networks, ssh_peers
from enforcers.recorder import Recorder
from enforcers.register import Register
from enforcers.safety import NeverBan, checked_networks
from enforcers.saying import Tell
from enforcers.seals import RecordSigning
from enforcers.status import EnforcerStatus
from eventlog.clock import wall_clock_ms
from eventlog.contract import EventLog, Message
from eventlog.follower import Follower
from schemas.bounds import STATEMENT_CHARACTERS
from schemas.errors import ConfigError, EnforcementFailed, InvalidMessage, Transient
from schemas.records import Heartbeat
from schemas.topics import BANS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

BATCH: Final = 4_096
REPAIR_GAP_MS: Final = 500
FIRST_RETRY_MS: Final = 1_000
LAST_RETRY_MS: Final = 60_000
FLUSHED: Final = "an operator flushed the firewall; `banstream reload` puts the bans back"

logger = logging.getLogger("banstream.enforcers")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnforcerConfig:
    """One host's enforcer.

    Attributes:
        host: the name it records under.
        never_ban: the operators' addresses and networks.
        protect_ssh_peers: never ban an address with an established connection to one of `ssh_ports`. A
            guesser has one too, so this delays his ban until he hangs up.
        keep_on_stop: leave bans in the firewall when it stops.
        refresh_ms: how often the machine's addresses are looked up again, in milliseconds.
        heeded: whose bans count here.
        heartbeat_ms: how often it tells the log how it is, in milliseconds; None for never.
        private: the key with which it signs what it tells the log; None: it does not sign.
        version: of the program, for its heartbeats.
        tell: is told what takes effect, as it does.
    """

    host: str
    never_ban: tuple[str, ...] = ()
    protect_ssh_peers: bool = False
    ssh_ports: tuple[int, ...] = (22,)
    breaker: BreakerLimits = field(default_factory=BreakerLimits)
    keep_on_stop: bool = True
    refresh_ms: int = 30_000
    heeded: Heeded = ALL
    heartbeat_ms: int | None = None
    private: Ed25519PrivateKey | None = None
    version: str | None = None
    tell: Tell | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError with the key of what is wrong; put never_ban into canonical form."""
        if not self.host:
            raise ConfigError("enforcer.host: empty; expected this host's name")
        object.__setattr__(self, "never_ban", checked_networks("enforcer.never_ban", self.never_ban))


class Enforcer:
    """Brings one firewall in line with the log. Call `poll` when a fileno is readable, and once a second."""

    def __init__(
        self,
        log: EventLog,
        backend: Backend,
        config: EnforcerConfig,
        *,
        observing: str | None = None,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        """Take an opened backend, and why it only observes, as enforcers.backends.open_backend gives them.

        Raises LogError and Transient.
        """
        self._log = log
        self._backend = backend
        self._config = config
        self._observing = observing
        self._now_ms = now_ms
        seal = None if config.private is None else RecordSigning(config.host, now_ms, config.private)
        self._recorder = Recorder(log, config.host, backend.name, seal)
        self._follower = Follower(log, [BANS])
        self._judge = Judge(NeverBan({}), Breaker(config.breaker))
        self._register = Register(
            backend, self._judge, self._recorder, observing=observing is not None, tell=config.tell
        )
        self._lists = ListKeeping(log, backend, observing=observing is not None)
        self._loaded = self._reconciled = self._dirty = False
        self._flushed: int | None = None
        self._repairs = 0
        self._lag_ms = 0
        self._repair_timer, self._retry_timer, self._refresh_timer = Interval(), Interval(), Interval()
        self._heartbeat_timer = Interval()
        self._retry_ms = FIRST_RETRY_MS

    def load(self) -> None:
        """Read every standing ban, and see that the firewall can be read. Nothing is changed, nobody fenced.

        Raises:
            EnforcementFailed: the firewall cannot be read.
            LogError, Transient: the log cannot be read.
        """
        with _uncollected():
            self._read()
            self._backend.list()

    def start(self) -> None:
        """Be the one enforcer of this host from now on, and bring the firewall in line.

        Raises:
            EnforcementFailed: the firewall cannot be used.
            LogError, Transient: the log cannot be read.
        """
        with _uncollected():
            if not self._loaded:
                self._read()
            self._recorder.open()
            self._reconcile(self._now_ms())
            self._recorder.commit()

    def succeed(self, old: Enforcer) -> None:
        """Take over from another of this process, after `load`; the firewall is brought in line by `poll`.

        Nothing can fail here: what the old one has not recorded yet, this one will.
        """
        self._recorder.succeed(old._recorder)
        self._lists = old._lists
        if old._flushed is None:
            self._register.succeed(old._register)
        self._dirty = True

    def filenos(self) -> Sequence[int]:
        """File descriptors that become readable when the firewall may need a repair."""
        return self._backend.filenos()

    @property
    def follower(self) -> Follower:
        """What follows the bans: for who wants to be woken when there are more."""
        return self._follower

    def poll(self) -> bool:
        """Do what is due, without waiting; whether there was anything to do.

        Raises:
            Fenced: another enforcer of this host has taken over; this one must stop.
            LogError, Transient: the log cannot be read. The firewall has been looked after all the same.
        """
        now_ms = self._now_ms()
        if self._flushed is not None:
            self._backend.changed()  # heard, and let be
            self._beat(now_ms)
            self._recorder.commit()
            return False
        try:
            followed = self._follow(now_ms)
        except Transient:
            self._look_after(now_ms)
            raise
        worked = self._look_after(now_ms)
        listing = self._lists.poll(self._judge.never_ban.networks, now_ms)
        self._beat(now_ms)
        self._recorder.commit()
        return followed or worked or listing

    def reset_breaker(self) -> None:
        """An operator's word: let new bans through again, and look anew at those that were refused."""
        self._judge.breaker.reset()
        if self._flushed is None:
            self._register.settle(self._register.refused(), self._now_ms())
        self._recorder.commit()

    def flush(self) -> None:
        """Take every ban out of the firewall; nothing is banned until another takes over, or a start.

        Raises EnforcementFailed.
        """
        self._backend.flush()
        self._lists.drop()
        taken = self._register.flush(self._now_ms())
        self._flushed = taken + (self._flushed or 0)
        self._recorder.commit()

    def close(self) -> None:
        """Stop. Bans stay in the firewall unless `keep_on_stop` is off."""
        try:
            if not self._config.keep_on_stop:
                self._backend.flush()
                self._lists.drop()
            if self._config.heartbeat_ms is not None:
                self._recorder.beat(self._heartbeat(self._now_ms(), stopped=True))
            self._recorder.commit()
        finally:
            self._recorder.close()
            self._backend.close()

    def status(self) -> EnforcerStatus:
        """How it is now."""
        breaker = self._judge.breaker
        return EnforcerStatus(
            host=self._config.host,
            backend=self._backend.name,
            observing=self._observing if self._flushed is None else FLUSHED,
            in_force=self._register.in_force(self._now_ms()),
            **self._recorder.totals,
            repairs=self._repairs,
            repaired=self._register.repaired,
            retrying=len(self._register.failed),
            unrecorded=self._recorder.waiting,
            breaker=breaker.tripped,
            breaker_resets_at_ms=breaker.resets_at_ms if breaker.tripped else None,
            breaker_refused=breaker.refused,
            lag_ms=self._lag_ms,
            never_ban=tuple(self._judge.never_ban),
            flushed=self._flushed,
            lists=self._lists.status(),
        )

    def _read(self) -> None:
        """Read every standing ban there is."""
        while messages := self._follower.read(BATCH):
            now_ms = self._now_ms()
            for _, message in messages:
                self._learn(message, now_ms, start=True)
        self._judge.never_ban = self._networks()
        self._loaded = True

    def _follow(self, now_ms: int) -> bool:
        """Apply the next messages of the bans topic as one batch."""
        messages = [message for _, message in self._follower.read(BATCH)]
        self._lag_ms = max(0, now_ms - messages[-1].at_ms) if messages else 0
        if not messages:
            return False
        if self._config.protect_ssh_peers:
            self._judge.never_ban = self._networks()
        tripped = self._judge.breaker.tripped is not None
        learnt = (self._learn(message, now_ms) for message in messages)
        prefixes = dict.fromkeys(filter(None, learnt))
        self._register.settle(prefixes, now_ms)
        if not tripped and self._judge.breaker.tripped is not None:
            logger.error("new bans are refused reason=%s", self._judge.breaker.tripped)
        return True

    def _learn(self, message: Message, now_ms: int, *, start: bool = False) -> str | None:
        """Take in one message of the bans topic; the prefix it is about, where it could be read.

        `start`: what it supersedes is history.
        """
        if not message.value and message.key:
            self._register.free(message.key, now_ms, start=start)
            return message.key
        try:
            word = read_standing(message.value, self._config.heeded)
        except InvalidMessage as error:
            self._recorder.bury(message, error, now_ms)
            return None
        self._register.take(word, now_ms, start=start)
        return word.prefix

    def _look_after(self, now_ms: int) -> bool:
        """What the firewall needs, whether or not the log is there."""
        return any([self._repair(now_ms), self._retry(now_ms), self._refresh(now_ms)])

    def _beat(self, now_ms: int) -> None:
        gap_ms = self._config.heartbeat_ms
        if gap_ms is not None and self._heartbeat_timer.due(now_ms, gap_ms):
            self._recorder.beat(self._heartbeat(now_ms, stopped=False))

    def _heartbeat(self, now_ms: int, *, stopped: bool) -> Heartbeat:
        status = self.status()
        return Heartbeat(
            host=status.host,
            backend=status.backend,
            at_ms=now_ms,
            lag_ms=status.lag_ms,
            in_force=status.in_force,
            failing=status.retrying,
            failed=status.failed,
            refused=status.refused,
            drift=status.repaired,
            observing=status.observing and status.observing[:STATEMENT_CHARACTERS],
            stopped=stopped,
            version=self._config.version,
        )

    def _repair(self, now_ms: int) -> bool:
        """Put right what others changed, not more often than every REPAIR_GAP_MS."""
        self._dirty |= self._backend.changed()
        if not self._dirty or not self._repair_timer.due(now_ms, REPAIR_GAP_MS):
            return False
        before = self._register.repaired
        try:
            self._reconcile(now_ms)
        except EnforcementFailed as error:
            logger.error("the firewall cannot be read or repaired, trying again reason=%s", error)  # noqa: TRY400 - a fact, not a traceback
            return True
        self._dirty = False
        repaired = self._register.repaired - before
        self._repairs += bool(repaired)
        if repaired:
            logger.warning("others had changed the firewall, and it was repaired prefixes=%d", repaired)
        return True

    def _reconcile(self, now_ms: int) -> None:
        """Compare with what the firewall holds; the first time every prefix is judged."""
        self._register.reconcile(now_ms, start=not self._reconciled)
        self._reconciled = True

    def _retry(self, now_ms: int) -> bool:
        """Try again what failed, ever more seldom."""
        failed = self._register.failed
        if not failed:
            self._retry_ms = FIRST_RETRY_MS
            self._retry_timer.restart(now_ms)
            return False
        if not self._retry_timer.due(now_ms, self._retry_ms):
            return False
        self._retry_ms = min(self._retry_ms * 2, LAST_RETRY_MS)
        self._register.settle(list(failed), now_ms)
        return True

    def _refresh(self, now_ms: int) -> bool:
        """Look up what may never be banned, and let a tripped breaker go when its time has come."""
        breaker = self._judge.breaker
        if breaker.expire(now_ms):
            self._register.settle(self._register.refused(), now_ms)
        elif worst := self._register.longest(breaker.held_back, breaker.allowance(now_ms)):
            breaker.grant(worst)
            self._register.settle(worst, now_ms)
        if not self._refresh_timer.due(now_ms, self._config.refresh_ms):
            return False
        networks = self._networks()
        if networks == self._judge.never_ban:
            return False
        self._judge.never_ban = networks
        self._register.settle(self._register.all(), now_ms)
        return True

    def _networks(self) -> NeverBan:
        config = self._config
        networks = dict.fromkeys(config.never_ban, "operator")
        if config.protect_ssh_peers:
            networks |= ssh_peers(config.ssh_ports)
        return NeverBan({**networks, **own_networks()})


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without a search for cycles: a hundred thousand bans hold none, and it is an eighth of a start."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
