"""What came of several settings over the same events: whom each caught, whom wrongly, what it let through.

| word | means |
|---|---|
| attacker | an address with failures that some setting bans, and that nobody knows to be good |
| caught | an attacker whom this setting bans |
| false ban | a ban by this setting that holds somebody who is known to be good |
| let through | failures of attackers up to the one at which this setting first bans them, or all |
| dominated | another catches no fewer, bans no more wrongly, lets no more through, and is better in one |

IPv6 is counted by /64, as jails usually do. Of a network that is banned as a whole all are caught: at the
failures that each had by then, and who fails later at none. What an operator bans is no setting's doing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from banstream.known_good import SUCCEEDED, KnownGood
from schemas.addresses import network_at
from schemas.prefixes import PrefixSet
from schemas.records import Ban, Decision
from schemas.rules import MANUAL, Rules
from streams.runs import Run
from streams.window import reference

IPV6_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class Weighed:
    """What came of one setting."""

    bans: int
    caught: int
    attackers: int
    false_bans: int
    let_through: int

    def beats(self, other: Weighed) -> bool:
        """Whether nobody should choose the other."""
        mine = -self.caught, self.false_bans, self.let_through
        theirs = -other.caught, other.false_bans, other.let_through
        return mine != theirs and all(own <= its for own, its in zip(mine, theirs, strict=True))

    def to_wire(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "bans": self.bans,
            "attackers": self.attackers,
            "caught": self.caught,
            "false_bans": self.false_bans,
            "let_through": self.let_through,
        }


def dominated(outcomes: Sequence[Weighed]) -> list[bool]:
    """Which of some outcomes another one beats."""
    return [any(other.beats(each) for other in outcomes) for each in outcomes]


class Weighing:
    """Is shown events and what each setting made of them; what it keeps grows with addresses and bans."""

    def __init__(self, rules: Sequence[Rules], good: KnownGood) -> None:
        self._good = good
        kinds = (jail.kinds for each in rules for jail in each.jails)
        self._kinds = frozenset(kind for some in kinds for kind in some)
        self._failed: Counter[str] = Counter()
        self._bans = [0] * len(rules)
        self._banned: list[Counter[str]] = [Counter() for _ in rules]
        self._first: list[dict[str, int]] = [{} for _ in rules]

    def see(self, runs: Sequence[Run], decided: Sequence[Sequence[Decision]]) -> None:
        """Take in events, and what each setting decided at them."""
        causes: dict[int, list[tuple[int, str]]] = {}
        for nth, decisions in enumerate(decided):
            for each in decisions:
                if isinstance(each, Ban) and each.jail != MANUAL:
                    self._bans[nth] += 1
                    self._banned[nth][each.prefix] += 1
                    if each.prefix not in self._first[nth]:
                        self._first[nth][each.prefix] = -1
                        causes.setdefault(_cause(each), []).append((nth, each.prefix))
        for run in runs:
            self._count(run, causes)
        for waiting in causes.values():
            self._note(waiting)

    def _count(self, run: Run, causes: dict[int, list[tuple[int, str]]]) -> None:
        failed, kinds, base = self._failed, self._kinds, run.base
        for row in run.rows:
            kind, ip = row[0], row[2]
            if kind in kinds:
                failed[network_at(ip, IPV6_BITS) if ":" in ip else ip] += 1
                if causes and base + row[3] in causes:
                    self._note(causes.pop(base + row[3]))
            elif kind == SUCCEEDED:
                self._good.succeeded((ip,))

    def _note(self, waiting: Sequence[tuple[int, str]]) -> None:
        """So many failures had a prefix, or each in it, when a setting first banned it."""
        for nth, prefix in waiting:
            key, first = _key(prefix), self._first[nth]
            if key in self._failed or "/" not in prefix:
                first[prefix] = self._failed.get(key, 0)
                continue
            within = PrefixSet([prefix])
            first.update((name, self._failed[name]) for name in self._failed.keys() - first if name in within)

    def outcomes(self) -> list[Weighed]:
        """What came of each setting."""
        caught = [dict(self._caught(first)) for first in self._first]
        attackers = set[str]().union(*caught)
        return [
            Weighed(
                bans=self._bans[nth],
                caught=len(met),
                attackers=len(attackers),
                false_bans=sum(
                    count for prefix, count in self._banned[nth].items() if self._good.hit_by(prefix)
                ),
                let_through=sum(met.get(name, self._failed[name]) for name in attackers),
            )
            for nth, met in enumerate(caught)
        ]

    def _caught(self, first: Mapping[str, int]) -> Iterator[tuple[str, int]]:
        """The attackers whom a setting bans, and how many failures each had by then."""
        wide = PrefixSet(prefix for prefix in first if "/" in prefix and _key(prefix) not in self._failed)
        for name in self._failed if len(wide) else ():
            if name in wide and name not in first and self._good.hit_by(name) is None:
                yield name, 0
        for prefix, failures in first.items():
            name = _key(prefix)
            if name in self._failed and self._good.hit_by(name) is None:
                yield name, failures


def _key(prefix: str) -> str:
    """By what failures of a banned prefix are counted."""
    return network_at(prefix, IPV6_BITS) if ":" in prefix else prefix


def _cause(ban: Ban) -> int:
    """The place of the event that caused a ban; -1 where it was none."""
    _, offset, index, _ = ban.id.split("-")
    return reference(int(offset), int(index)) if offset.isdecimal() else -1
