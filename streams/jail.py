"""What one jail knows about its subjects: the failures of each, the bans it holds, the bans it remembers.

| a subject is | stands as |
|---|---|
| failing once | its failure, one integer (streams.window) |
| failing again | its failures, a sorted list |
| banned | the ban, Held |
| spared by an ignore or allow list | nothing |

No other module takes them apart but `Decider.fold`, the hot loop. What is counted here is counted as it
happens, never by going through the subjects: there may be a million.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

from schemas.addresses import IPV4_BITS, IPV6_BITS, network_at
from schemas.lists import PrefixTable, together
from schemas.prefixes import PrefixSet
from schemas.rules import REQUESTS, Jail
from streams.escalation import Networks, networks_of
from streams.runs import RunRow
from streams.steps import Ladder
from streams.subjects import Held, Past, Subject, newest_ms
from streams.tally import SubjectTally
from streams.window import AT_SHIFT, MOST_KEPT, REFERENCE_MASK, at_ms_of, flat, full_window

NEVER_OLD_MS: Final = 1 << 62
MOST_SPARED: Final = 16_384
HISTORY_MS: Final = 30 * 86_400_000


class JailState:
    """A jail's rules and its subjects; the decider mutates it in place.

    Attributes:
        lingers_ms: so long after its end a ban is still in force for who fails then.
        subjects: per address or prefix its failures or its ban in force.
        history: per address its past bans.
        banned: bans in force.
        failures, ignored: events counted and events of spared subjects, ever.
        bans: bans decided, ever.
        dropped: subjects dropped because there were too many, ever.
        networks: where it has banned somebody lately; None where it does not escalate.
        widens: what stands in an address that may not be counted as itself.
        thresholds: when it bans, fewest failures first.
        ladder: what is used up of whose failures; None where a ban uses up all there are.
        tally: the failing subjects of a jail that keeps them apart (streams.tallying).
        meets: it is to be shown each event that it counts (streams.distinct).
        grows_again: a ban that is prolonged lasts as long as it did, grown; else bantime.
    """

    __slots__ = (
        "_met",
        "_parted",
        "banned",
        "bans",
        "dropped",
        "failures",
        "findtime_ms",
        "history",
        "history_ms",
        "ignored",
        "keep_ms",
        "kinds",
        "ladder",
        "maxretry",
        "most",
        "networks",
        "prolongs",
        "rules",
        "spared",
        "subjects",
        "tally",
        "thresholds",
        "trim_at",
        "widens",
    )

    lingers_ms = 0
    grows_again = True
    meets = False

    def __init__(self, rules: Jail, lateness_ms: int) -> None:
        self.subjects: dict[str, Subject] = {}
        self.history: dict[str, Past] = {}
        self.banned = self.failures = self.ignored = self.bans = self.dropped = 0
        self.networks: Networks | None = None
        self.ladder: Ladder | None = None
        self.tally: SubjectTally[Any] | None = None
        self.adopt(rules, lateness_ms)
        self.spare(())

    def adopt(self, rules: Jail, lateness_ms: int) -> None:
        """Go on under new rules; what was counted stays counted."""
        self.rules = rules
        self.kinds = frozenset(rules.kinds)
        self.thresholds = rules.thresholds
        self.findtime_ms = max(step.findtime_ms for step in self.thresholds)
        self.maxretry = rules.maxretry
        self.trim_at = 2 * rules.maxretry + 8
        self.most = max(MOST_KEPT, self.thresholds[-1].maxretry)
        self.keep_ms = self.findtime_ms + lateness_ms
        self.prolongs = rules.prolong
        if len(self.thresholds) == 1 and not self.prolongs and rules.first_scope is None:
            self.ladder = None
        elif self.ladder is None or self.ladder.thresholds != self.thresholds:
            self.ladder = Ladder(self.thresholds)
        widened = rules.ipv4_prefix < IPV4_BITS, rules.ipv6_prefix < IPV6_BITS
        self.widens = {(False, False): "none", (True, False): ".", (False, True): ":"}.get(widened, "")
        forget_ms = HISTORY_MS if rules.increment is None else rules.increment.forget_ms
        self.history_ms = max(forget_ms, self.keep_ms)
        self.networks = networks_of(rules, lateness_ms, self.networks, self.subjects)

    def take_over(self, before: JailState) -> None:
        """Go on for a jail of another window: its failures, which requests are not, bans, past and counts."""
        known = before if before.tally is None else before.tally
        for name in before.inside(None, banned=False):
            if before.rules.kinds != REQUESTS and (failures := known.failures_of(name)):
                self.remember(name, failures)
        for prefix, held in before.held():
            self.hold(prefix, held)
        self.history = before.history
        self.failures, self.ignored = before.failures, before.ignored
        self.bans, self.dropped = before.bans, before.dropped

    def spare(self, allowed: Iterable[str], lists: Iterable[PrefixTable] = ()) -> None:
        """Count nobody inside these prefixes, these lists or the rules' ignoreip from now on."""
        self.spared = together((*self.rules.ignoreip, *allowed), lists)
        self._met: set[str] = set()
        self._parted: dict[str, bool] = {}

    def subject_of(self, prefix: str) -> str:
        """What an address or prefix is counted as: its network of the rules' length.

        Itself where somebody in that network is spared: no ban may reach him.
        """
        network = self._network_of(prefix)
        if network == prefix:
            return prefix
        parted = self._parted.get(network)
        if parted is None:
            if len(self._parted) >= MOST_SPARED:
                self._parted.clear()
            parted = self._parted[network] = self.spared.inside(network) is not None
        return prefix if parted else network

    def meet(self, row: RunRow) -> bool:  # noqa: ARG002 - a jail that meets does
        """Where it `meets`: the event that is counted next; whether it says what is counted."""
        return True

    def spares(self, ip: str) -> bool:
        """Whether an address is not to be counted; counted as ignored where it is not."""
        if ip not in self._met and ip not in self.spared:
            return False
        self.ignored += 1
        if len(self._met) >= MOST_SPARED:
            self._met.clear()
        self._met.add(ip)
        return True

    @property
    def shadow(self) -> bool:
        """Whether it only observes."""
        return self.rules.mode == "observe"

    @property
    def facts(self) -> dict[str, Any]:
        """What a ban that a failure decides says besides what every ban does."""
        return {}

    @property
    def failing(self) -> int:
        """Subjects with failures that have not led to a ban."""
        return len(self.subjects) - self.banned

    def counts(self) -> dict[str, int]:
        """Subjects failing and banned now; failures, bans, ignored and dropped ever."""
        nouns = ("failing", "banned", "failures", "bans", "ignored", "dropped")
        return {noun: getattr(self, noun) for noun in nouns}

    def escalated(self, prefix: str) -> list[str]:
        """What is banned of a network for its addresses, which have their own bans; none of any other."""
        return [] if self.networks is None else self.networks.banned(prefix, self.subjects)

    def above(self, subject: str) -> str | None:
        """The network that is banned, or part of one, in which a subject is, where the jail escalates."""
        return None if self.networks is None else self.networks.above(subject, self.subjects)

    def beneath(self, subject: str) -> Held | None:
        """The ban of what is above a subject."""
        above = self.above(subject)
        return None if above is None else self.held_by(above)

    def admits(self, ip: str, failure: int) -> bool:
        """Whether a failure of an unknown subject is one to count."""
        if self.spares(ip) or ("/" in ip and self.spared.inside(ip) is not None):
            return False
        return not self._belongs_to_past(ip, failure)

    def count(self, ip: str, failure: int) -> bool:
        """Count a failure of a subject that is known, or admitted; whether it may fill a window."""
        known = self.subjects.get(ip)
        if known is None:
            return self.begin(ip, failure)
        if isinstance(known, Held):
            known.while_banned += 1
            if self.ladder is None or not self.prolongs:
                return False
            return self.ladder.count(ip, failure) >= self.maxretry
        if self._belongs_to_past(ip, failure):
            return False
        if isinstance(known, int):
            self.subjects[ip] = [known, failure] if known < failure else [failure, known]
            return self.maxretry <= 2  # noqa: PLR2004 - there are two now
        insort(known, failure)
        return len(known) >= self.maxretry

    def begin(self, ip: str, failure: int) -> bool:
        """Count the first failure of a subject that is unknown and admitted; whether it fills a window."""
        self.subjects[ip] = failure
        return self.maxretry == 1

    def failures_of(self, ip: str) -> list[int]:
        """A subject's failures that may still count, sorted."""
        match self.subjects.get(ip):
            case int(only):
                return [only]
            case list(failures):
                return failures
            case Held() if self.ladder is not None:
                return self.ladder.beside.get(ip, [])
            case _:
                return []

    def filled(self, ip: str, failures: list[int], failure: int) -> tuple[int, int] | None:
        """The last threshold that a failure fills, and where its window starts; None where it fills none."""
        if self.ladder is not None:
            return self.ladder.filled(ip, failures, failure)
        start = full_window(failures, failure, self.findtime_ms, self.maxretry)
        return None if start is None else (0, start)

    def use_up(self, ip: str, failures: list[int], number: int) -> None:
        """A threshold was filled: what it counted it does not count again."""
        if self.ladder is not None:
            self.ladder.use(ip, failures, number)

    def needed(self, number: int) -> int:
        """How many failures are the evidence of a threshold that is filled."""
        return self.thresholds[number].maxretry

    def ignores(self, failure: int, now_ms: int) -> bool:  # noqa: ARG002 - a window of another kind may
        """Whether a ban that a failure decides is none, since it came too late."""
        return False

    def held_by(self, prefix: str) -> Held | None:
        """The ban in force of a prefix."""
        known = self.subjects.get(prefix)
        return known if isinstance(known, Held) else None

    def held(self) -> Iterator[tuple[str, Held]]:
        """The bans in force, by prefix."""
        return ((name, known) for name, known in self.subjects.items() if isinstance(known, Held))

    def remember(self, ip: str, failures: list[int]) -> None:
        """Put a subject's failures back, as they were saved."""
        self.subjects[ip] = failures[0] if len(failures) == 1 else failures

    def dumped(self, subjects: Iterable[str]) -> tuple[dict[str, list[int]], dict[str, list[Any]]]:
        """What is to be saved of subjects: their failures (instant and reference in turn), or their bans."""
        failures: dict[str, list[int]] = {}
        bans: dict[str, list[Any]] = {}
        for subject in subjects:
            known = self.subjects[subject]
            if type(known) is int:
                failures[subject] = [known >> AT_SHIFT, known & REFERENCE_MASK]
            elif type(known) is list:
                failures[subject] = flat(known)
            else:
                held = cast("Held", known)
                bans[subject] = [held.ban, held.at_ms, held.until_ms, held.ban_count, held.while_banned]
        return failures, bans

    def hold(self, prefix: str, held: Held) -> None:
        """Put a ban in force, or another end to it."""
        self.banned += self.held_by(prefix) is None
        self.subjects[prefix] = held
        if self.networks is not None:
            self.networks.note(prefix, held=True)

    def release(self, prefix: str, free_from_ms: int, *, pardoned: bool = False) -> Held | None:
        """End a ban in force, if there is one; `pardoned`: where bans grow, the next is a first one again."""
        held = self.held_by(prefix)
        if held is not None:
            del self.subjects[prefix]
            self.banned -= 1
            if self.networks is not None:
                self.networks.note(prefix, held=False)
            count = 0 if pardoned and self.rules.increment is not None else held.ban_count
            self.history[prefix] = Past(count, free_from_ms, held.at_ms)
            if self.ladder is not None:
                left = self.ladder.left(prefix)
                if pardoned:
                    self.ladder.forget((prefix,))
                elif left:
                    self.remember(prefix, left)
        return held

    def forgive(self, ip: str) -> None:
        """Forget a subject's failures; its ban, if there is one, stays."""
        if self.held_by(ip) is None:
            del self.subjects[ip]
        if self.ladder is not None:
            self.ladder.forget((ip,))

    def inside(self, prefix: str | None, *, banned: bool) -> list[str]:
        """The subjects inside a prefix (None: all), and what it is counted as or in: banned, or failing."""
        if prefix is None:
            found: Iterable[str] = self._all()
        else:
            above = None if self.networks is None else self.networks.network_of(prefix)
            found = {prefix, self._network_of(prefix), above or prefix}
            if "/" in prefix:
                within = PrefixSet([prefix])
                found |= {name for name in self._all() if name in within}
        return sorted(name for name in found if self._is(name, banned=banned))

    def bans_before(self, prefix: str, at_ms: int) -> int:
        """How many bans of a prefix the jail remembers at an instant, with one in force."""
        held, past, grown = self.held_by(prefix), self.history.get(prefix), self.rules.increment
        if held is not None:
            return held.ban_count
        if past is None or (grown is not None and at_ms - past.free_from_ms > grown.forget_ms):
            return 0
        return past.ban_count

    def forget(self, now_ms: int) -> set[str]:
        """Drop subjects whose newest failure is too old to matter, and bans of long ago; returns whom.

        Bans in force stay.
        """
        first, bans_before_ms = now_ms - self.keep_ms << AT_SHIFT, now_ms - self.history_ms
        old = {
            name
            for name, known in self.subjects.items()
            if (known < first if type(known) is int else type(known) is list and known[-1] < first)
        }
        for name in old:
            self.forgive(name)
        ended = {name for name, past in self.history.items() if past.free_from_ms < bans_before_ms}
        for name in ended:
            del self.history[name]
        return old | ended | (set() if self.networks is None else self.networks.forget(now_ms))

    def step_back(self, at_ms: int, skew_ms: int) -> set[str]:
        """Forget what is said to have happened after an instant: failures, and ends of bans; whose."""
        free_ms, at_ms = at_ms - skew_ms, at_ms + skew_ms
        first = (at_ms + 1) << AT_SHIFT
        changed = set()
        for name, known in list(self.subjects.items()):
            if isinstance(known, Held) or newest_ms(known) <= at_ms:
                continue
            kept = [each for each in self.failures_of(name) if each < first]
            self.forgive(name)
            if kept:
                self.remember(name, kept)
            changed.add(name)
        for name, past in self.history.items():
            if past.free_from_ms > free_ms:
                self.history[name] = past._replace(free_from_ms=free_ms)
                changed.add(name)
        return changed | (set() if self.networks is None else self.networks.step_back(at_ms))

    def newest(self) -> Iterator[tuple[int, str, str]]:
        """When each failing subject failed last, who that is, and the jail's name."""
        name = self.rules.name
        return (
            (newest_ms(known), ip, name) for ip, known in self.subjects.items() if not isinstance(known, Held)
        )

    def drop(self, ip: str) -> None:
        """Forget a failing subject, because there are too many."""
        self.forgive(ip)
        self.dropped += 1

    def retire(self) -> set[str]:
        """The jail is gone from the rules: only its bans in force stay. Returns whom it forgets."""
        return self.forget(NEVER_OLD_MS)

    def _all(self) -> Iterable[str]:
        return self.subjects

    def _is(self, name: str, *, banned: bool) -> bool:
        """Whether a subject is known, and banned or failing."""
        known = self.subjects.get(name)
        return known is not None and isinstance(known, Held) == banned

    def _network_of(self, prefix: str) -> str:
        length, bits = (
            (self.rules.ipv6_prefix, IPV6_BITS) if ":" in prefix else (self.rules.ipv4_prefix, IPV4_BITS)
        )
        return prefix if length == bits else network_at(prefix, length)

    def _belongs_to_past(self, ip: str, failure: int) -> bool:
        """Whether a failure is older than the end of the subject's last ban."""
        past = self.history.get(ip)
        return past is not None and at_ms_of(failure) < past.free_from_ms
