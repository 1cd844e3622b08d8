"""What a decider has decided, and what is in force because of it: bans, their ends, and allowances.

A decision's identity is the place of its cause in the log, and its number among those of that cause. The
verbs are for those who decide: the decider, and operators' commands (streams.commands).
"""

from __future__ import annotations

from heapq import heappush
from typing import Any, Final

from schemas.records import Ban, Decision, Hold, Prolong, Standing, Unban, UnbanReason
from streams.jail import JailState
from streams.lists import Lists
from streams.subjects import Held
from streams.window import reference_of

EVENT: Final = ""
COMMAND: Final = "c"
TIME: Final = "t"
"""What comes before a cause's offset, or instant, in a decision's identity."""

FOREVER_MS: Final = 1 << 62
ALLOWANCE: Final = ""
"""Stands for a jail's name where what ends is not a ban but an operator's allow."""


class Verdicts:
    """What is in force in a partition, and the decisions that the input at hand has led to.

    Attributes:
        partition: the partition.
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

    def __init__(self, partition: int) -> None:
        self.partition = partition
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
            **facts,
        )
        jail.bans += 1
        self._decisions.append(ban)
        self.hold(jail, prefix, Held(ban.id, ban.at_ms, until_ms, ban.ban_count))
        if ban.expired:
            self.release(jail, prefix, "expired", at_ms=until_ms)

    def bans_before(self, jail: JailState, prefix: str, at_ms: int) -> int:
        """How many bans of a prefix count as those before one by a jail: its own, or those of all jails.

        As fail2ban's: the number of a ban has the others in it, so they count again with the next.
        """
        grown = jail.rules.increment
        if grown is None or not grown.overalljails:
            return jail.bans_before(prefix, at_ms)
        return sum(other.bans_before(prefix, at_ms) for other in self.jails.values())

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
        facts |= {"ban": held.ban, "reason": reason, "while_banned": held.while_banned}
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
        jail.forgive(ip)
        self.touched.add(ip)

    def lists_changed(self) -> None:
        """An ignore or allow list is not what it was."""
        for state in self.jails.values():
            state.spare(self.allowed, self.lists.tables(state.rules.spared_by))

    def standing(self, prefix: str, decision: Decision) -> Standing | None:
        """The effective state of a prefix after a decision about it; None when it is free."""
        holds = tuple(
            Hold(
                jail=name,
                ban=held.ban,
                until_ms=held.until_ms,
                ports=jail.rules.ports,
                labels=jail.rules.labels,
            )
            for name, jail in sorted(self.jails.items())
            if (held := jail.held_by(prefix)) is not None
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
