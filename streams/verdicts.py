"""What a decider has decided, and what is in force because of it: bans, their ends, and allowances.

A decision's identity is the place of its cause in the log, and its number among those of that cause. The
verbs are for those who decide: the decider, and operators' commands (streams.commands).
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any, Final

from schemas.behaviours import Alert
from schemas.deciding import Dispatch
from schemas.records import (
    Ban,
    Decision,
    Hold,
    Prolong,
    Standing,
    Unban,
    UnbanReason,
)
from streams import users
from streams.behaviour import Baseline
from streams.jail import JailState
from streams.lists import Lists
from streams.subjects import Held
from streams.users import UserJail
from streams.window import reference_of

EVENT: Final = ""
COMMAND: Final = "c"
SUBJECT: Final = "s"
VERDICT: Final = "v"
TIME: Final = "t"
"""What comes before a cause's offset, or instant, in a decision's identity."""

Sent = dict[tuple[str, int], list[Dispatch]]
"""What is told to others, by topic and partition."""
FOREVER_MS: Final = 1 << 62
SWEEP_MS: Final = 3_600_000
ALLOWANCE: Final = ""
"""Stands for a jail's name where what ends is not a ban but an operator's allow."""


class Verdicts:
    """What is in force in a partition, and the decisions that the input at hand has led to.

    Attributes:
        partition: the partition; `partitions`: how many the log has.
        version: of the rules in force.
        now_ms: the latest instant seen.
        log_ms: when the input at hand was appended, by the log's clock; FOREVER_MS where there is no log.
        sweep_at_ms: when next to forget what is too old to matter.
        jails: by name; MANUAL is always among them.
        allowed: prefixes an operator allowed, and until when (None: for ever).
        lists: of prefixes that jails name.
        touched: the subjects whose state may have changed since the owner last cleared it.
    """

    version: str

    def __init__(self, partition: int, partitions: int) -> None:
        self.partition = partition
        self.partitions = partitions
        self.now_ms = -FOREVER_MS
        self.log_ms = FOREVER_MS
        self.sweep_at_ms = -FOREVER_MS
        self.jails: dict[str, JailState] = {}
        self.allowed: dict[str, int | None] = {}
        self.lists = Lists()
        self.touched: set[str] = set()
        self._expiries: list[tuple[int, str, str]] = []
        self._wake_at_ms = -FOREVER_MS
        self._reference = -1
        self._kind = EVENT
        self._ordinal = 0
        self._decisions: list[Decision] = []
        self._sent: Sent = {}
        self._alerts: list[Alert] = []
        self.baselines: dict[str, Baseline] = {}

    def alert(self, place: int, **facts: Any) -> None:
        """Say that a jail's minute is unusual. `place`: of the event; `facts` are the alert's."""
        self._begin(place)
        self._alerts.append(Alert(id=self._identity(), rules=self.version, **facts))

    def alerts(self) -> list[Alert]:
        """Those since this was asked last."""
        alerts, self._alerts = self._alerts, []
        return alerts

    def ban(self, jail: JailState, prefix: str, *, at_ms: int, until_ms: int | None, **facts: Any) -> None:
        """Put a new ban in force; one whose end has passed ends at once. `facts` are the ban's."""
        ban = Ban(
            id=self._identity(),
            prefix=prefix,
            jail=jail.rules.name,
            at_ms=at_ms,
            until_ms=until_ms,
            ban_count=self.bans_before(jail, prefix, at_ms) + 1,
            rules=self.version,
            expired=until_ms is not None and until_ms <= min(self.now_ms, self.log_ms),
            ports=jail.rules.ports,
            shadow=jail.shadow,
            **facts,
        )
        jail.bans += 1
        self._decisions.append(ban)
        self.hold(jail, prefix, Held(ban.id, ban.at_ms, until_ms, ban.ban_count))
        if ban.expired:
            self.release(jail, prefix, "expired", at_ms=until_ms)

    def bans_before(self, jail: JailState, prefix: str, at_ms: int) -> int:
        """How many bans of a prefix count as those before one by a jail: its own, or those of all jails.

        Those of another jail that only observes never count. As fail2ban's: the number of a ban has the
        others in it, so they count again with the next.
        """
        grown = jail.rules.increment
        if grown is None or not grown.overalljails:
            return jail.bans_before(prefix, at_ms)
        counting = (other for other in self.jails.values() if other is jail or not other.shadow)
        return sum(other.bans_before(prefix, at_ms) for other in counting)

    def hold(self, jail: JailState, prefix: str, held: Held) -> None:
        """Put a ban in force, and see to its end."""
        jail.hold(prefix, held)
        self.touched.add(prefix)
        if held.until_ms is not None:
            heappush(self._expiries, (held.until_ms + jail.lingers_ms, jail.rules.name, prefix))
            self._wake()

    def release(self, jail: JailState, prefix: str, reason: UnbanReason, **facts: Any) -> None:
        """End a ban in force, if there is one. `facts` are the unban's: at_ms (default: now), who, why."""
        held = jail.release(prefix, facts.setdefault("at_ms", self.now_ms), pardoned=reason != "expired")
        if held is None:
            return
        self.touched.add(prefix)
        facts |= {"ban": held.ban, "reason": reason, "while_banned": held.while_banned, "shadow": jail.shadow}
        self._decisions.append(Unban(id=self._identity(), prefix=prefix, jail=jail.rules.name, **facts))

    def prolong(self, jail: JailState, prefix: str, until_ms: int | None, **facts: Any) -> None:
        """Move the end of a ban in force, if it is another. `facts` are the prolongation's: who, why."""
        held = jail.held_by(prefix)
        if held is None or held.until_ms == until_ms:
            return
        held.until_ms = until_ms
        self.hold(jail, prefix, held)
        self._decisions.append(
            Prolong(
                id=self._identity(),
                prefix=prefix,
                jail=jail.rules.name,
                at_ms=self.now_ms,
                ban=held.ban,
                until_ms=until_ms,
                shadow=jail.shadow,
                **facts,
            )
        )

    def allow(self, prefix: str, until_ms: int | None) -> None:
        """Never count or ban what lies inside a prefix, until an instant (None: for ever)."""
        self.allowed[prefix] = until_ms
        if until_ms is not None:
            heappush(self._expiries, (until_ms, ALLOWANCE, prefix))
            self._wake()
        self.lists_changed()

    def disallow(self, prefix: str | None) -> None:
        """Take an allow back; nothing where there is none."""
        if prefix in self.allowed:
            del self.allowed[prefix]
            self.lists_changed()

    def forgive(self, jail: JailState, ip: str) -> None:
        """Forget a subject's failures."""
        if isinstance(jail, UserJail):
            users.forgive(self, jail, ip)
        else:
            jail.forgive(ip)
        self.touched.add(ip)

    def send(self, topic: str, partition: int, record: Dispatch) -> None:
        """Tell another partition something."""
        self._sent.setdefault((topic, partition), []).append(record)

    @property
    def sends(self) -> bool:
        """Whether there is something for other partitions."""
        return bool(self._sent)

    def take_sent(self) -> Sent:
        """What is told to other partitions since this was asked last."""
        sent, self._sent = self._sent, {}
        return sent

    def lists_changed(self) -> None:
        """An ignore or allow list is not what it was."""
        for state in self.jails.values():
            state.spare(self.allowed, self.lists.tables(state.rules.spared_by))

    def advance(self, at_ms: int) -> None:
        """Let time pass to an instant: end the bans whose time has come, and forget what cannot matter."""
        self.now_ms = max(self.now_ms, at_ms)
        while self._expiries and self._expiries[0][0] <= at_ms:
            due_ms, name, prefix = heappop(self._expiries)
            if name == ALLOWANCE:
                if self.allowed.get(prefix) == due_ms:
                    self.disallow(prefix)
                continue
            jail = self.jails[name]
            held, until_ms = jail.held_by(prefix), due_ms - jail.lingers_ms
            if held is not None and held.until_ms == until_ms:
                self.release(jail, prefix, "expired", at_ms=until_ms)
        if self.now_ms >= self.sweep_at_ms:
            self._sweep()
        self._wake()

    def step_back(self, at_ms: int, skew_ms: int) -> None:
        """The clock was ahead, and is right again: what it made to lie in the future never was.

        Failures of then would hide those of now, and the ends of bans of then make those belong to such bans;
        `skew_ms`: how much clocks may differ.
        """
        self.now_ms = at_ms
        self.sweep_at_ms = min(self.sweep_at_ms, at_ms + SWEEP_MS)
        for jail in self.jails.values():
            self.touched |= jail.step_back(at_ms, skew_ms)
        for baseline in self.baselines.values():
            baseline.step_back(at_ms + skew_ms)
        self._wake()

    def standing(self, prefix: str, decision: Decision) -> Standing | None:
        """The effective state of a prefix after a decision about it; None when it is free.

        What only observes holds nobody.
        """
        holds = tuple(
            Hold(
                jail=name,
                ban=held.ban,
                until_ms=held.until_ms,
                ports=jail.rules.ports,
                labels=jail.rules.labels,
            )
            for name, jail in sorted(self.jails.items())
            if not jail.shadow and (held := jail.held_by(prefix)) is not None
        )
        if not holds:
            return None
        return Standing(prefix=prefix, decision=decision.id, decided_at_ms=decision.at_ms, holds=holds)

    def next_expiry_ms(self) -> int | None:
        """When the next ban ends, or None."""
        return self._expiries[0][0] if self._expiries else None

    def resume(self) -> None:
        """Rebuild what follows from the rest of the state, after it was loaded."""
        self._expiries = sorted(
            (held.until_ms + jail.lingers_ms, name, prefix)
            for name, jail in self.jails.items()
            for prefix, held in jail.held()
            if held.until_ms is not None
        )
        for prefix, until_ms in self.allowed.items():
            if until_ms is not None:
                heappush(self._expiries, (until_ms, ALLOWANCE, prefix))
        self.lists_changed()
        self._wake()

    def _sweep(self) -> None:
        """Forget what is too old to matter; at most every SWEEP_MS of event time."""
        self.sweep_at_ms = self.now_ms + SWEEP_MS
        for jail in self.jails.values():
            self.touched |= jail.forget(self.now_ms)

    def _wake(self) -> None:
        first_ms = self._expiries[0][0] if self._expiries else FOREVER_MS
        self._wake_at_ms = min(first_ms, self.sweep_at_ms)

    def _begin(self, place: int, kind: str = EVENT) -> None:
        """What is decided from now on is caused by the input of a kind at this place of the partition."""
        if self._reference != place or self._kind != kind:
            self._reference, self._kind, self._ordinal = place, kind, 0

    def _taken(self) -> list[Decision]:
        decisions, self._decisions = self._decisions, []
        return decisions

    def _identity(self) -> str:
        """The identity of the next decision of the present cause."""
        offset, index = reference_of(self._reference)
        self._ordinal += 1
        return f"{self.partition}-{self._kind}{offset}-{index}-{self._ordinal - 1}"
