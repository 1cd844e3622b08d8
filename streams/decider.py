"""The decider: events and commands in, decisions out. Pure: no clock, no chance, no I/O.

Every jail counts an address's failures in event time. When `maxretry` of them lie within `findtime`, the
last of those is the deciding one: the ban starts there, uses the failures up, and ends by itself. Time moves
only by inputs: an instant later than all before it ends the bans whose time has come, earliest first, before
anything else happens. A decision's identity is the place of its cause in the log, so the same log gives the
same decisions, byte for byte, wherever and whenever it is folded.

| a failure of a subject that is | does |
|---|---|
| unknown | is looked up in the ignore and allow lists, and in the memory of past bans; then counted |
| failing | is counted; bans when a window is full |
| banned by this jail | is counted apart, in `while_banned` of the ban |
| ignored, allowed | is counted as ignored, nothing else |
| free again, but the failure is older than the end of its ban | belongs to that ban: not counted again |

A ban whose end has already passed when it is decided (a backlog) is recorded as expired, with its unban.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple, Protocol, cast

from schemas.prefixes import PrefixSet
from schemas.records import Ban, Decision, Hold, Prolong, Standing, Unban, UnbanReason
from schemas.rules import MANUAL, Jail, Rules
from streams.jail import IGNORED, Held, JailState, Past
from streams.routes import Routes
from streams.window import AT_SHIFT, REFERENCE_MASK, at_ms_of, full_window, reference_of, trim

Row = tuple[str, int, str, int, *tuple[Any, ...]]
"""An authentication event on the hot path: kind, at_ms, ip, index from the base of its run, and anything."""


class Rows(Protocol):
    """Rows, gone through as often as one likes."""

    def __len__(self) -> int:
        """How many."""
        ...

    def __iter__(self) -> Iterator[Row]:
        """One after the other."""
        ...


LineOf = Callable[[int], str | None]


class Run(NamedTuple):
    """Authentication events that take the same route.

    Attributes:
        base: the reference (streams.window) of index 0: the frame's offset, shifted.
        route: which jails they concern (streams.routes).
    """

    base: int
    route: str
    rows: Rows


FOREVER_MS: Final = 1 << 62
SWEEP_MS: Final = 3_600_000
ALLOWANCE: Final = ""
"""Stands for a jail's name where what ends is not a ban but an operator's allow."""
HISTORY_MS: Final = 30 * 86_400_000


class Decider:
    """The state of one partition, and the fold over its inputs.

    Attributes:
        partition: the partition whose inputs these are.
        now_ms: the latest instant seen.
        jails: by name; MANUAL is always among them.
        allowed: prefixes an operator allowed, and until when (None: for ever).
        tracking: whether `touched` is wanted.
        touched: the subjects whose state may have changed since the owner last cleared it.
    """

    def __init__(self, rules: Rules, *, partition: int = 0, tracking: bool = False) -> None:
        self.partition = partition
        self.now_ms = -FOREVER_MS
        self.sweep_at_ms = -FOREVER_MS
        self.jails: dict[str, JailState] = {}
        self.allowed: dict[str, int | None] = {}
        self.touched: set[str] = set()
        self.tracking = tracking
        self._expiries: list[tuple[int, str, str]] = []
        self._wake_at_ms = -FOREVER_MS
        self._reference = -1
        self._ordinal = 0
        self._decisions: list[Decision] = []
        self.adopt(rules)

    def adopt(self, rules: Rules) -> None:
        """Go on under other rules. Failures and bans stay; a jail that is gone keeps only its bans."""
        self.rules = rules
        self.version = rules.version
        for jail in (*rules.jails, Jail(name=MANUAL, filters=(), maxretry=1, bantime_ms=None)):
            if jail.name in self.jails:
                self.jails[jail.name].adopt(jail, rules.lateness_ms)
            else:
                self.jails[jail.name] = JailState(jail, rules.lateness_ms)
        for gone in self.jails.keys() - {MANUAL, *(jail.name for jail in rules.jails)}:
            self.touched |= self.jails[gone].retire()
        self.routes = Routes(self.jails[jail.name] for jail in rules.jails)
        self.lists_changed()

    def lists_changed(self) -> None:
        """Look every ignored subject up anew: an ignore or allow list is not what it was."""
        self._spared = {
            name: PrefixSet((*state.rules.ignoreip, *self.allowed)) for name, state in self.jails.items()
        }
        for state in self.jails.values():
            state.forget_ignored()

    def fold(self, run: Run, line_of: LineOf) -> list[Decision]:  # noqa: C901, PLR0912 - one loop: a call for each event would double its cost
        """Fold a run of authentication events; `line_of(index)` gives the line of a row, for the record."""
        if self.tracking:
            self.touched.update([row[2] for row in run.rows])
        base, now_ms, wake_at_ms = run.base, self.now_ms, self._wake_at_ms
        jails = self.routes[run.route]
        wanted = self.routes.kinds
        stamped_ms, stamp = 0, base
        for row in run.rows:
            at_ms, kind = row[1], row[0]
            if at_ms > now_ms:
                now_ms = at_ms
                if now_ms >= wake_at_ms:
                    self.begin(base + row[3])
                    self.advance(now_ms)
                    wake_at_ms = self._wake_at_ms
            if kind not in wanted:
                continue
            ip, index = row[2], row[3]
            for jail in jails:
                known = jail.subjects.get(ip)
                shape = known.__class__
                if kind not in jail.kinds:
                    if kind == "succeeded" and jail.rules.forgive and (shape is int or shape is list):
                        del jail.subjects[ip]
                    continue
                jail.failures += 1
                if shape is Held:
                    known.while_banned += 1  # type: ignore[union-attr]
                    continue
                if at_ms != stamped_ms:
                    stamped_ms, stamp = at_ms, (at_ms << AT_SHIFT) + base
                failure = stamp + index
                if known is None:
                    if not self._first(jail, ip, failure):
                        continue
                elif shape is list and failure > known[-1]:  # type: ignore[index]
                    known.append(failure)  # type: ignore[union-attr]
                    if len(known) < jail.maxretry:  # type: ignore[arg-type]
                        continue
                    if known[-jail.maxretry] < (at_ms - jail.findtime_ms) << AT_SHIFT:  # type: ignore[index]
                        if len(known) >= jail.trim_at:  # type: ignore[arg-type]
                            trim(known, jail.keep_ms, jail.most)  # type: ignore[arg-type]
                        continue
                elif not self._again(jail, ip, failure):
                    continue
                self.now_ms = now_ms
                self.begin(base + index)
                self._judge(jail, ip, failure, lambda: line_of(index))  # noqa: B023 - called before the next row
                wake_at_ms = self._wake_at_ms
        self.now_ms = now_ms
        return self.taken()

    def begin(self, reference: int) -> None:
        """What is decided from now on is caused by the input at this place of the partition."""
        if self._reference != reference:
            self._reference, self._ordinal = reference, 0

    def taken(self) -> list[Decision]:
        """The decisions made since this was last asked, in order."""
        decisions, self._decisions = self._decisions, []
        return decisions

    def advance(self, at_ms: int) -> None:
        """Let time pass to an instant: end the bans whose time has come, and forget what cannot matter."""
        self.now_ms = max(self.now_ms, at_ms)
        while self._expiries and self._expiries[0][0] <= self.now_ms:
            until_ms, name, prefix = heappop(self._expiries)
            if name == ALLOWANCE:
                if self.allowed.get(prefix) == until_ms:
                    self.disallow(prefix)
                continue
            held = self.jails[name].subjects.get(prefix)
            if type(held) is Held and held.until_ms == until_ms:
                self.release(self.jails[name], prefix, "expired", at_ms=until_ms)
        if self.now_ms >= self.sweep_at_ms:
            self._sweep()
        self._wake()

    def hold(self, jail: JailState, prefix: str, held: Held) -> None:
        """Put a ban in force, and see to its end."""
        jail.subjects[prefix] = held
        self.touched.add(prefix)
        if held.until_ms is not None:
            heappush(self._expiries, (held.until_ms, jail.rules.name, prefix))
            self._wake()

    def release(self, jail: JailState, prefix: str, reason: UnbanReason, **facts: Any) -> None:
        """End a ban in force. `facts` are the unban's: at_ms (default: now), who, why."""
        held = cast("Held", jail.subjects.pop(prefix))
        at_ms = facts.setdefault("at_ms", self.now_ms)
        jail.history[prefix] = Past(held.ban_count, at_ms)
        self.touched.add(prefix)
        self.decide(
            Unban(
                id=self.identity(),
                prefix=prefix,
                jail=jail.rules.name,
                ban=held.ban,
                reason=reason,
                while_banned=held.while_banned,
                **facts,
            )
        )

    def prolong(self, jail: JailState, prefix: str, until_ms: int | None, **facts: Any) -> None:
        """Move the end of a ban in force. `facts` are the prolongation's: who, why."""
        held = cast("Held", jail.subjects[prefix])
        held.until_ms = until_ms
        self.hold(jail, prefix, held)
        self.decide(
            Prolong(
                id=self.identity(),
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

    def decide(self, decision: Decision) -> None:
        """Add a decision."""
        self._decisions.append(decision)

    def identity(self) -> str:
        """The identity of the next decision of the present cause."""
        offset, index = reference_of(self._reference)
        self._ordinal += 1
        return f"{self.partition}-{offset}-{index}-{self._ordinal - 1}"

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
            if type(held := jail.subjects.get(prefix)) is Held
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
            (held.until_ms, name, prefix)
            for name, jail in self.jails.items()
            for prefix, held in jail.held().items()
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

    def _first(self, jail: JailState, ip: str, failure: int) -> bool:
        """Count a failure of an unknown subject; whether it may fill a window."""
        if ip in self._spared[jail.rules.name]:
            jail.subjects[ip] = IGNORED
            jail.ignored += 1
            return False
        if jail.belongs_to_past(ip, failure):
            return False
        if len(jail.subjects) >= self.rules.max_subjects:
            self.touched |= jail.shed()
        jail.subjects[ip] = failure
        return jail.maxretry == 1

    def _again(self, jail: JailState, ip: str, failure: int) -> bool:
        """Count a failure of a known subject that is not simply its next; whether it may fill a window."""
        match jail.subjects.get(ip):
            case None:
                return self._first(jail, ip, failure)
            case int() | list() if jail.belongs_to_past(ip, failure):
                return False
            case int(only):
                jail.subjects[ip] = sorted((only, failure))
                return jail.maxretry <= 2  # noqa: PLR2004 - there are two now
            case list(failures):
                insort(failures, failure)
                return len(failures) >= jail.maxretry
            case Held() as held:
                held.while_banned += 1
            case _:
                jail.ignored += 1
        return False

    def _judge(self, jail: JailState, ip: str, failure: int, line_of: Callable[[], str | None]) -> None:
        """Ban when a window that contains the failure is full."""
        known = jail.subjects[ip]
        failures = [known] if type(known) is int else cast("list[int]", known)
        start = full_window(failures, failure, jail.rules.findtime_ms, jail.maxretry)
        if start is None:
            trim(failures, jail.keep_ms, jail.most)
            return
        end = start + jail.maxretry
        self._ban(jail, ip, failures[start:end], line_of)
        for later in failures[end:]:
            if self._again(jail, ip, later):
                self._judge(jail, ip, later, line_of)

    def _ban(self, jail: JailState, ip: str, evidence: list[int], line_of: Callable[[], str | None]) -> None:
        rules, at_ms = jail.rules, at_ms_of(evidence[-1])
        until_ms = None if rules.bantime_ms is None else at_ms + rules.bantime_ms
        places = [reference_of(failure) for failure in evidence]
        line = line_of() if evidence[-1] & REFERENCE_MASK == self._reference else None
        ban = Ban(
            id=self.identity(),
            prefix=ip,
            jail=rules.name,
            at_ms=at_ms,
            until_ms=until_ms,
            count=len(evidence),
            ban_count=jail.next_ban_count(ip),
            rules=self.version,
            findtime_ms=rules.findtime_ms,
            evidence=tuple(f"{self.partition}-{offset}-{index}" for offset, index in places),
            lines=() if line is None else (line,),
            expired=until_ms is not None and until_ms <= self.now_ms,
            ports=rules.ports,
        )
        self.impose(jail, ban)

    def impose(self, jail: JailState, ban: Ban) -> None:
        """Put a new ban in force; one whose end has passed ends at once."""
        jail.bans += 1
        self.decide(ban)
        self.hold(jail, ban.prefix, Held(ban.id, ban.at_ms, ban.until_ms, ban.ban_count))
        if ban.expired:
            self.release(jail, ban.prefix, "expired", at_ms=ban.until_ms)

    def _sweep(self) -> None:
        """Forget what is too old to matter; at most every SWEEP_MS of event time."""
        self.sweep_at_ms = self.now_ms + SWEEP_MS
        for jail in self.jails.values():
            self.touched |= jail.forget(self.now_ms - jail.keep_ms, self.now_ms - HISTORY_MS)
