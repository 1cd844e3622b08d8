"""How a jail usually is, a minute of event time at a time, and when it is not. Pure; small whatever happens.

Of each minute three numbers are kept: failures, and the different addresses and users among them. A minute is
measured by the 60 minutes before it, and by the same hour of up to seven earlier days; each gives a median,
and the median distance from it (MAD). It is left where there are more than the larger of

    least    median + deviations * max(MAD, 1)    of the last hour, or of the earlier days

| then | is |
|---|---|
| the first event too many | an Alert of that measure, once until it is over |
| five minutes in a row within all limits | the end of it |
| less than an hour known | never left |
| an event of a minute that is over | not counted: it came late |
| more than DISTINCT different ones in a minute | so many: enough of them to tell, and memory stays small |

A day's hour is remembered as the median and MAD of its 60 minutes; of several days the median of each counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas.behaviours import Basis, Behaviour, Measure
from schemas.records import Decision
from streams.jail import JailState
from streams.runs import USER, Run, value_in

if TYPE_CHECKING:
    from streams.decider import Decider

MINUTE_MS: Final = 60_000
HOUR: Final = 60
"""In minutes."""
DAY: Final = 24 * HOUR
DAYS: Final = 7
CALM: Final = 5
DISTINCT: Final = 2_048
MEASURES: Final[tuple[Measure, ...]] = ("failures", "addresses", "users")
SHORT: Final = 16
"""A name of more characters is told from others by a digest of as many."""
TIGHT: Final = "maxretry is halved while the jail's minutes are unusual"
LineOfRow = Callable[[int], "str | None"]
Counts = tuple[int, int, int]


class Limit(NamedTuple):
    """More than `limit` of a measure in a minute is unusual; the median, the MAD, and of which minutes."""

    limit: int
    usual: int
    deviation: int
    basis: Basis


class Baseline:
    """What is usual for one jail; `alerts`: how often it was left."""

    def __init__(self, rules: Behaviour) -> None:
        self.rules = rules
        self.minute = self._first = -1
        self._failures = self._calm = self.alerts = 0
        self._addresses: set[str] = set()
        self._users: set[str] = set()
        self.left: set[Measure] = set()
        self._recent: deque[Counts] = deque(maxlen=HOUR)
        self._days: dict[int, list[list[int]]] = {}
        self.limits = self._limits()

    def adopt(self, rules: Behaviour) -> None:
        """Go on by other rules."""
        self.rules = rules
        self.limits = self._limits()

    @property
    def tight(self) -> bool:
        """Whether maxretry is halved now."""
        return self.rules.tighten and bool(self.left)

    @property
    def counts(self) -> Counts:
        """What there was in this minute so far."""
        return self._failures, len(self._addresses), len(self._users)

    def see(self, at_ms: int, ip: str, user: str | None) -> list[Measure]:
        """Count a failure; the measures by which it leaves what is usual."""
        minute = at_ms // MINUTE_MS
        if minute < self.minute:
            return []
        if minute > self.minute:
            self._roll(minute)
        self._failures += 1
        if len(self._addresses) < DISTINCT:
            self._addresses.add(ip)
        if user is not None and len(self._users) < DISTINCT:
            self._users.add(user)
        if minute - self._first < HOUR:
            return []
        left: list[Measure] = [
            measure
            for measure, count, limit in zip(MEASURES, self.counts, self.limits, strict=True)
            if count > limit.limit and measure not in self.left
        ]
        self.left.update(left)
        self.alerts += len(left)
        if left:
            self._calm = 0
        return left

    def step_back(self, at_ms: int) -> None:
        """The clock was ahead: what it made to lie in the future was never usual."""
        if self.minute > at_ms // MINUTE_MS:
            self._begin_anew(-1)

    def dump(self) -> dict[str, Any]:
        """What is to be saved."""
        return {
            "minute": [self.minute, self._first, self._failures, self._calm, self.alerts],
            "addresses": sorted(self._addresses),
            "users": sorted(self._users),
            "left": sorted(self.left),
            "recent": list(map(list, self._recent)),
            "days": {str(hour): days for hour, days in self._days.items()},
        }

    def load(self, dumped: Mapping[str, Any]) -> None:
        """Put back what was saved."""
        self.minute, self._first, self._failures, self._calm, self.alerts = dumped["minute"]
        self._addresses, self._users = set(dumped["addresses"]), set(dumped["users"])
        self.left = set(dumped["left"])
        self._recent.extend((one, two, three) for one, two, three in dumped["recent"])
        self._days = {int(hour): days for hour, days in dumped["days"].items()}
        self.limits = self._limits()

    def _begin_anew(self, minute: int) -> None:
        self.minute = self._first = minute
        self._failures = self._calm = 0
        for known in (self._addresses, self._users, self.left, self._recent, self._days):
            known.clear()
        self.limits = self._limits()

    def _roll(self, minute: int) -> None:
        """Minutes up to this one are over."""
        if self.minute < 0 or minute - self.minute > DAYS * DAY:
            self._begin_anew(minute)
            return
        while self.minute < minute:
            self._close(self.counts)
            self._failures = 0
            self._addresses.clear()
            self._users.clear()
            self.minute += 1
            if self.left or self.minute == minute:
                self.limits = self._limits()

    def _close(self, counts: Counts) -> None:
        """A minute is over."""
        if self.left:
            within = all(count <= each.limit for count, each in zip(counts, self.limits, strict=True))
            self._calm = self._calm + 1 if within else 0
            if self._calm == CALM:
                self.left.clear()
        self._recent.append(counts)
        if (self.minute + 1) % HOUR == 0 and len(self._recent) == HOUR:
            days = self._days.setdefault(self.minute // HOUR % 24, [])
            days.append([part for each in zip(*self._recent, strict=True) for part in middle(each)])
            del days[:-DAYS]

    def _limits(self) -> tuple[Limit, ...]:
        """The limits of the minute that begins."""
        days = self._days.get(max(self.minute, 0) // HOUR % 24, [])
        found = []
        for place in range(len(MEASURES)):
            recent = self._limit(*middle([counts[place] for counts in self._recent] or [0]), "last hour")
            if days:
                usual = middle([day[2 * place] for day in days])[0]
                deviation = middle([day[2 * place + 1] for day in days])[0]
                recent = max(recent, self._limit(usual, deviation, "same hour of earlier days"))
            found.append(recent)
        return tuple(found)

    def _limit(self, usual: int, deviation: int, basis: Basis) -> Limit:
        limit = max(self.rules.least, usual + self.rules.deviations * max(deviation, 1))
        return Limit(limit, usual, deviation, basis)


def middle(numbers: list[int] | tuple[int, ...]) -> tuple[int, int]:
    """The median of some numbers, of two the lower; and the same of how far they are from it."""
    half = (len(numbers) - 1) // 2
    median = sorted(numbers)[half]
    return median, sorted(abs(each - median) for each in numbers)[half]


def baselines_of(decider: Decider, before: Mapping[str, Baseline]) -> dict[str, Baseline]:
    """The baselines of the jails that ask for one, under the rules in force; `before`: those there were."""
    found: dict[str, Baseline] = {}
    for jail in decider.rules.jails:
        if jail.behaviour is not None:
            found[jail.name] = made = before.get(jail.name) or Baseline(jail.behaviour)
            made.adopt(jail.behaviour)
            tighten(decider.jails[jail.name], on=made.tight)
    return found


def load(decider: Decider, dumped: Mapping[str, Any]) -> None:
    """Put baselines back, as they were saved."""
    for name, baseline in decider.baselines.items():
        if name in dumped:
            baseline.load(dumped[name])
            tighten(decider.jails[name], on=baseline.tight)


def remark(jail: JailState) -> dict[str, str]:
    """What is to be said of a ban for fewer failures than the rules say."""
    return {"why": TIGHT} if jail.maxretry < jail.rules.maxretry else {}


def tighten(jail: JailState, *, on: bool) -> None:
    """Halve maxretry, rounded up; or have it as the rules say again."""
    first, *more = jail.rules.thresholds
    jail.maxretry = -(-first.maxretry // 2) if on else first.maxretry
    jail.thresholds = (replace(first, maxretry=jail.maxretry), *more)


def fold(decider: Decider, run: Run, line_of: LineOfRow) -> list[Decision]:
    """Fold a run of which some jail watches how usual it is: what changes takes effect at its own row."""
    jails = [jail for jail in decider.routes[run.route] if jail.rules.behaviour is not None]
    rows = list(run.rows)
    start, decisions = 0, list[Decision]()
    for place, row in enumerate(rows) if jails else ():
        for jail in jails:
            if row[0] not in jail.kinds or row[2] in jail.spared:
                continue
            baseline = decider.baselines[jail.rules.name]
            tight = baseline.tight
            left = baseline.see(row[1], row[2], _short(value_in(row, USER)))
            if left or baseline.tight != tight:
                if place > start:
                    decisions += decider.fold(run._replace(rows=rows[start:place]), line_of, seen=True)
                    start = place
                for facts in _facts(baseline, left):
                    decider.alert(run.base + row[3], jail=jail.rules.name, at_ms=row[1], **facts)
                tighten(jail, on=baseline.tight)
    return [*decisions, *decider.fold(run._replace(rows=rows[start:]), line_of, seen=True)]


def _short(user: str | None) -> str | None:
    """What tells a user from others; whoever makes names up makes them long, and all are saved."""
    if user is None or len(user) <= SHORT:
        return user
    return blake2b(user.encode("utf-8", "surrogatepass"), digest_size=SHORT // 2).hexdigest()


def _facts(baseline: Baseline, left: list[Measure]) -> Iterator[dict[str, Any]]:
    """What an Alert says of each measure that has left what is usual."""
    for measure, count, limit in zip(MEASURES, baseline.counts, baseline.limits, strict=True):
        if measure in left:
            yield {
                "measure": measure,
                "minute_ms": baseline.minute * MINUTE_MS,
                "count": count,
                **limit._asdict(),
                "tightened": baseline.tight,
            }
