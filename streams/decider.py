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
| one that names a decoy user of the jail | is banned at once, whatever else it has failed |
| banned by this jail | is counted apart, in `while_banned` of the ban |
| ignored, allowed | is counted as ignored, nothing else |
| banned by it, in a jail on events | is counted by every jail on bans, as a failure at the same instant |
| free again, but the failure is older than the end of its ban | belongs to that ban: not counted again |

A ban whose end has already passed when it is decided (a backlog) is recorded as expired, with its unban.

There are two doors: `fold` for events, `apply` for everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from schemas.deciding import Dispatch, Pardon, Sighting, Verdict
from schemas.records import (
    Command,
    Decision,
    ListChanged,
    Tick,
)
from schemas.rules import MANUAL, Jail, Rules
from streams import at_hand, behaviour, commands, lists, users
from streams.asking import RequestFold
from streams.escalation import NOTHING
from streams.growth import lasting_ms
from streams.jail import JailState
from streams.jails import known_to, state_of
from streams.knowing import KnowingJail
from streams.routes import REQUEST, Routes
from streams.runs import Run, RunRow, addresses_of
from streams.subjects import Held
from streams.users import UserJail
from streams.verdicts import COMMAND
from streams.window import AT_SHIFT, REFERENCE_MASK, at_ms_of, reference_of, trim

LineOf = Callable[[int], str | None]

NO_RUN: Final = Run(0, "", ())


class Decider(RequestFold):
    """The state of one partition, and the fold over its inputs.

    Attributes:
        tracking: whether `touched` is wanted.
    """

    def __init__(
        self, rules: Rules, *, partition: int = 0, partitions: int = 1, tracking: bool = False
    ) -> None:
        super().__init__(partition, partitions)
        self.tracking = tracking
        self._run = NO_RUN
        self.adopt(rules)

    def adopt(self, rules: Rules) -> None:
        """Go on under other rules. Failures and bans stay; a jail that is gone keeps only its bans."""
        self.rules = rules
        self.version = rules.version
        manual = Jail(name=MANUAL, filters=(), maxretry=1, bantime_ms=None, ignoreself=False)
        for jail in (*rules.jails, manual):
            before = self._same_mode(self.jails.get(jail.name), jail)
            if self.tracking and before is not None and before.rules != jail:
                self.touched |= known_to(before)
            self.jails[jail.name] = state_of(jail, rules.lateness_ms, before)
        for gone in self.jails.keys() - {MANUAL, *(jail.name for jail in rules.jails)}:
            if self.jails[gone].shadow:
                self._end(self.jails[gone], "the jail is gone")
            self.touched |= self.jails[gone].retire()
        self.routes = Routes(self.jails[jail.name] for jail in rules.jails)
        self._scoped = tuple(jail for jail in self.jails.values() if jail.ladder and jail.ladder.is_scoped)
        self._on_bans = tuple(self.jails[jail.name] for jail in rules.jails if jail.on == "bans")
        self.baselines = behaviour.baselines_of(self, self.baselines)
        self.resume()

    def _same_mode(self, before: JailState | None, rules: Jail) -> JailState | None:
        """What a jail was; None where it did not do as it does now, ban or observe: then it begins anew."""
        if before is None or before.rules.mode == rules.mode:
            return before
        self._end(before, f'mode = "{rules.mode}"')
        if self.tracking:
            self.touched |= known_to(before)
        return None

    def _end(self, jail: JailState, why: str) -> None:
        """End all bans of a jail."""
        for prefix in sorted(prefix for prefix, _ in jail.held()):
            self.release(jail, prefix, "operator", why=why)

    def apply(
        self,
        place: int,
        change: Command | Tick | Rules | ListChanged | Dispatch,
        *,
        kind: str = COMMAND,
        owned: bool = True,
    ) -> list[Decision]:
        """Take in what is no event; the decisions.

        Args:
            place: where it stands in its partition (streams.window.reference); of time, the instant.
            change: an operator's command, the passing of time, other rules, a part of a list, or what another
                partition tells.
            kind: of the input; EVENT where it stands among the events, as in logs of before.
            owned: the command's prefix belongs to this partition, so bans of it are made here.
        """
        self._begin(place, kind)
        match change:
            case Rules():
                lists.adopt(self, change)
            case ListChanged():
                lists.obey(self, change)
            case Tick():
                self.advance(change.at_ms)
            case Command():
                self.advance(change.at_ms)
                commands.obey(self, change, owned=owned)
            case Sighting() | Pardon() | Verdict():
                users.take(self, change)
        return self._taken()

    def fold(self, run: Run, line_of: LineOf, *, seen: bool = False) -> list[Decision]:  # noqa: C901, PLR0912 - one loop: a call for each event would double its cost
        """Fold a run of authentication events; `line_of(index)` gives the line of a row, for the record."""
        if self.baselines and not seen:
            return behaviour.fold(self, run, line_of)
        jails = self._turn_to(run, line_of)
        base, now_ms, wake_at_ms = run.base, self.now_ms, self._wake_at_ms
        wanted = self.routes.kinds
        stamped_ms, stamp = 0, base
        for row in run.rows:
            at_ms, kind = row[1], row[0]
            if at_ms > now_ms:
                now_ms = at_ms
                if now_ms >= wake_at_ms:
                    self._begin(base + row[3])
                    self.advance(now_ms)
                    wake_at_ms = self._wake_at_ms
            if kind not in wanted:
                continue
            ip, index = row[2], row[3]
            for jail in jails:
                known: Any = jail.subjects.get(subject := ip)  # streams.jail says what it may be
                shape = known.__class__
                if kind not in jail.kinds:
                    if kind == "succeeded" and jail.rules.heeds_success:
                        self._succeeded(jail, ip, at_ms)
                    continue
                jail.failures += 1
                if shape is Held and not jail.prolongs:
                    known.while_banned += 1
                    continue
                if at_ms != stamped_ms:
                    stamped_ms, stamp = at_ms, (at_ms << AT_SHIFT) + base
                failure = stamp + index
                if known is None:
                    subject = jail.subject_of(ip) if jail.widens in ip else ip
                    if not self._new(jail, subject, row, failure):
                        continue
                elif shape is list and failure > known[-1]:
                    known.append(failure)
                    if len(known) < jail.maxretry:
                        continue
                    if known[-jail.maxretry] < (at_ms - jail.findtime_ms) << AT_SHIFT:
                        if len(known) >= jail.trim_at:
                            trim(known, jail.keep_ms, jail.most)
                        continue
                elif not jail.count(ip, failure):
                    continue
                self.now_ms = now_ms
                self._begin(base + index)
                self._judge(jail, subject, failure, lambda: line_of(index))  # noqa: B023 - called before the next row
                wake_at_ms = self._wake_at_ms
        self.now_ms, self._run = now_ms, NO_RUN
        return self._taken()

    def _turn_to(self, run: Run, line_of: LineOf) -> Sequence[JailState]:
        """These are the events at hand; the jails of the loop over them."""
        self._run = run
        if self.tracking:
            self.touched.update(addresses_of(run.rows))
        if self._scoped:
            at_hand.heed(self._scoped, run)
        if self.routes.asking:
            self._take_requests(run, line_of)
        return self._spring(run, line_of) if run.decoy else self.routes[run.route]

    def _spring(self, run: Run, line_of: LineOf) -> list[JailState]:
        """Ban whom an event of a decoy is of, in every jail that has that decoy; the jails that have not."""
        ((kind, at_ms, ip, index, *_),) = run.rows
        jails = self.routes[run.route]
        traps = [jail for jail in jails if run.decoy in jail.rules.decoy_users and kind in jail.kinds]
        if not traps or kind in {"succeeded", REQUEST}:
            return list(jails)
        self._begin(run.base + index)
        self.advance(at_ms)
        failure = (at_ms << AT_SHIFT) + run.base + index
        for jail in traps:
            self._trap(jail, ip, failure, f'decoy user "{run.decoy}"', lambda: line_of(index))
        return [jail for jail in jails if jail not in traps]

    def _trap(
        self, jail: JailState, ip: str, failure: int, why: str, line_of: Callable[[], str | None]
    ) -> None:
        """Ban for one failure, whatever the thresholds say; who is banned already is counted so."""
        jail.failures += 1
        subject = jail.subject_of(ip)
        self.touched.add(subject)
        if jail.networks is not None:
            self.touched.add(jail.above(subject) or subject)
        held = jail.held_by(subject)
        banned = jail.beneath(subject) or held
        if banned is not None:
            banned.while_banned += 1
            if jail.prolongs and held is not None and banned is held:
                self._go_on(jail, subject, held, [failure], 0)
            return
        if (subject is not ip and jail.spares(ip)) or not jail.admits(subject, failure):
            return
        failures = sorted((*jail.failures_of(subject), failure))
        jail.use_up(subject, failures, 0)
        if jail.ignores(failure, self.now_ms):
            return
        self._ban(jail, subject, [failure], 0, line_of, why=why, step=None)
        self._recount(jail, subject, failures[failures.index(failure) + 1 :], line_of)

    def _new(self, jail: JailState, subject: str, row: RunRow, failure: int) -> bool:
        """Count a failure of an address that is no subject itself; whether it may fill a window."""
        ip = row[2]
        if jail.meets and not jail.meet(row):
            return False
        if jail.networks is not None and (held := jail.beneath(subject)) is not None:
            self._beneath(jail, subject, held, 1)
            return False
        if subject is ip:
            return self._first(jail, ip, failure)
        if jail.spares(ip):
            return False
        if self.tracking:
            self.touched.add(subject)
        if subject in jail.subjects:
            return jail.count(subject, failure)
        return self._first(jail, subject, failure)

    def _beneath(self, jail: JailState, subject: str, above: Held, failures: int) -> None:
        """Count failures of a subject in the ban of its network."""
        above.while_banned += failures
        if jail.networks is not None:
            self.touched.add(jail.above(subject) or subject)

    def _succeeded(self, jail: JailState, ip: str, at_ms: int) -> None:
        """Somebody got in: forget his failures, or half of them, and know him, as the jail says."""
        subject = jail.subject_of(ip)
        failures = list(jail.failures_of(subject))
        if failures and (jail.rules.forgive or jail.rules.halve):
            held = jail.held_by(subject)
            if held is not None and jail.ladder is not None:
                jail.ladder.forget((subject,))  # what was counted during the ban, which stays
            else:
                self.forgive(jail, subject)
            kept = failures[(len(failures) + 1) // 2 :]
            if jail.rules.halve and kept and held is None:
                jail.remember(subject, kept)
        if isinstance(jail, KnowingJail):
            self.touched |= jail.succeed(subject, at_ms)

    def _first(self, jail: JailState, ip: str, failure: int) -> bool:
        """Count a failure of an unknown subject; whether it may fill a window."""
        if not jail.admits(ip, failure):
            return False
        self.make_room()
        return jail.begin(ip, failure)

    def _judge(self, jail: JailState, ip: str, failure: int, line_of: Callable[[], str | None]) -> None:
        """Ban when a window that contains the failure is full; who is banned already, for longer."""
        if isinstance(jail, UserJail):
            users.see(self, jail, ip, failure, line_of)
            return
        failures = jail.failures_of(ip)
        filled = jail.filled(ip, failures, failure)
        if filled is None:
            trim(failures, jail.keep_ms, jail.most)
            return
        number, start = filled
        end = start + jail.needed(number)
        above, held = jail.beneath(ip), jail.held_by(ip)
        if above is not None:
            self._beneath(jail, ip, above, len(failures))
            self.forgive(jail, ip)
            return
        jail.use_up(ip, failures, number)
        evidence, later = failures[start:end], failures[end:]
        if held is not None:
            self._go_on(jail, ip, held, evidence, number)
        elif not jail.ignores(evidence[-1], self.now_ms):
            self._ban(jail, ip, evidence, number, line_of, **jail.facts)
            self._recount(jail, ip, later, line_of)

    def _go_on(self, jail: JailState, ip: str, held: Held, evidence: list[int], number: int) -> None:
        """Who is banned failed on as often as a threshold says: from then it is as if banned anew."""
        earlier = held.ban_count - 1 if jail.grows_again else 0
        lasts_ms = self._lasting_ms(jail, ip, jail.thresholds[number].bantime_ms, earlier)
        until_ms = None if lasts_ms is None else at_ms_of(evidence[-1]) + lasts_ms
        if held.until_ms is not None and (until_ms is None or until_ms > held.until_ms):
            self.prolong(jail, ip, until_ms, why=f"{len(evidence)} more within the ban")

    def _recount(self, jail: JailState, ip: str, later: list[int], line_of: Callable[[], str | None]) -> None:
        """Count what came after a ban's evidence again; a ladder keeps it itself, a tally is done with it."""
        if jail.ladder is None and jail.tally is None:
            for failure in later:
                self._count(jail, ip, failure, line_of)

    def _count(self, jail: JailState, ip: str, failure: int, line_of: Callable[[], str | None]) -> None:
        """Count a failure of a subject, and ban when it fills a window."""
        if jail.count(ip, failure) if ip in jail.subjects else self._first(jail, ip, failure):
            self._judge(jail, ip, failure, line_of)

    def _ban(
        self,
        jail: JailState,
        ip: str,
        failures: list[int],
        number: int,
        line_of: Callable[[], str | None],
        **facts: Any,
    ) -> None:
        """Ban by a threshold; what jails on bans make of it, and the network it fills. `facts`: why."""
        deciding, step = failures[-1], jail.thresholds[number]
        line = line_of() if deciding & REFERENCE_MASK == self._reference else None
        facts.setdefault("step", number + 1 if jail.rules.steps else None)
        facts["lines"] = () if line is None else (line,)
        network, filling = (ip, list[int]()) if jail.networks is None else jail.networks.fill(ip, deciding)
        self.touched.add(network)
        wide = (
            NOTHING if not filling or jail.networks is None else jail.networks.widened(network, jail.spared)
        )
        if wide.why is not None and not wide.prefixes:
            facts["why"] = f"{facts['why']}; {wide.why}" if "why" in facts else wide.why
        from_where = at_hand.whereabouts(self._run, self._reference)
        facts = {**behaviour.remark(jail), "counted": jail.rules.counts, **from_where, **facts}
        self._decide(jail, ip, failures, (step.findtime_ms, step.bantime_ms), **facts)
        for other in () if jail in self._on_bans or jail.shadow else self._on_bans:
            if other.rules.scope is not None and not other.rules.scope.has(
                facts.get("country"), facts.get("asn")
            ):
                continue
            other.failures += 1
            if other.ladder is not None:
                other.ladder.be_at(facts.get("country"), facts.get("asn"))
            subject = other.subject_of(ip)
            self.touched.add(subject)
            self._count(other, subject, deciding, line_of)
        if wide.prefixes and jail.networks is not None:
            jail.networks.clear(network)
            times = jail.networks.rules.findtime_ms, jail.networks.rules.bantime_ms
            more = {"counted": "addresses", "lines": facts["lines"], "why": wide.why, **from_where}
            for part in wide.prefixes:
                if jail.held_by(part) is None:
                    self._decide(jail, part, filling, times, **more)

    def punish(
        self, jail: JailState, prefix: str, deciding: int, line_of: Callable[[], str | None], **facts: Any
    ) -> None:
        """Ban somebody for what was counted elsewhere. `facts` are the ban's: count, evidence, user."""
        at = {} if deciding & REFERENCE_MASK == self._reference else at_hand.NOWHERE
        self._ban(jail, prefix, [deciding], 0, line_of, **facts, **at)

    def _place_of(self, failure: int) -> str:
        offset, index = reference_of(failure)
        return f"{self.partition}-{offset}-{index}"

    def _decide(
        self,
        jail: JailState,
        prefix: str,
        failures: list[int],
        times: tuple[int, int | None],
        **facts: Any,
    ) -> None:
        """Ban a prefix for these failures. `times`: within how long they lie, and how long a first ban is."""
        at_ms = at_ms_of(failures[-1])
        lasts_ms = self._lasting_ms(jail, prefix, times[1], self.bans_before(jail, prefix, at_ms))
        self.ban(
            jail,
            prefix,
            at_ms=at_ms,
            until_ms=None if lasts_ms is None else at_ms + lasts_ms,
            findtime_ms=times[0],
            **{"count": len(failures), "evidence": tuple(map(self._place_of, failures)), **facts},
        )

    def _lasting_ms(self, jail: JailState, prefix: str, bantime_ms: int | None, earlier: int) -> int | None:
        """How long a ban lasts of whom the jail banned so often before."""
        place = f"{self.partition}-{self._reference}-{prefix}"
        return lasting_ms(bantime_ms, jail.rules.increment, earlier, place)
