"""Which networks have many banned addresses: what a jail that escalates remembers of its bans.

A network is banned by the ban of its `addresses`th different subject within findtime, in event time; a
subject that is banned again counts once, by its newest ban. The single bans stay beneath it until their own
end: a network that is let go early leaves them, and a host whose firewall refuses it still has them.

| in the network is somebody who is never banned | banned is |
|---|---|
| nobody | the network |
| somebody, `spared = "nothing"` | nothing, and the single ban says so |
| somebody, `spared = "parts"` | the fewest prefixes that hold all but him |
| so many that this takes more than MOST_PARTS, or the whole of it | nothing, and the single ban says so |

He is left out with one that is counted beside him, of IPv6 with his /64, or with a 65,536th of the network:
parts are never what is counted by itself.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from schemas.addresses import format_prefix, network_at, parse_prefix
from schemas.lists import ManySpared
from schemas.prefixes import PrefixSet
from schemas.rules import Escalation, Jail
from streams.subjects import Held, Subject
from streams.window import AT_SHIFT, REFERENCE_MASK, at_ms_of

MOST_PARTS: Final = 32
HALVINGS: Final = 16
"""A part is no smaller than that many halvings of its network: a firewall looks each length up."""
FINEST_IPV6: Final = 64
Filling = tuple[int, str]
"""The failure that decided a ban (streams.window), and whom that banned."""


class Widened(NamedTuple):
    """What is banned of a network that is full, and what is to be said of it."""

    prefixes: tuple[str, ...] = ()
    why: str | None = None


NOTHING: Final = Widened()


def parts_of(network: str, finest: int, spared: PrefixSet | ManySpared) -> list[str]:
    """The fewest prefixes that hold all of a network but whom is spared, none longer than `finest`.

    None where they are too many.
    """
    whole = parse_prefix(network)
    left, found = [whole], list[str]()
    while left and len(found) + len(left) <= 2 * MOST_PARTS:
        part = left.pop()
        text = format_prefix(part)
        if spared.covering(text) is not None:
            continue
        if spared.inside(text) is None:
            found.append(text)
        elif part.prefixlen < min(finest, whole.prefixlen + HALVINGS):
            left.extend(part.subnets())
    return [] if left or len(found) > MOST_PARTS else sorted(found)


class Networks:
    """The networks in which a jail has banned somebody lately."""

    __slots__ = ("_bans", "_finest", "_lateness_ms", "_parts", "rules")

    def __init__(self, jail: Jail, rules: Escalation, lateness_ms: int) -> None:
        """Of a jail that escalates by these rules of its."""
        self.heed(jail, rules, {})
        self._lateness_ms = lateness_ms
        self._bans: dict[str, list[Filling]] = {}

    def heed(self, jail: Jail, rules: Escalation, subjects: Mapping[str, Subject]) -> None:
        """Go by these rules from now on; `subjects`: the jail's."""
        self.rules = rules
        self._finest = {4: jail.ipv4_prefix - 1, 6: min(FINEST_IPV6, jail.ipv6_prefix - 1)}
        self._parts: dict[str, set[str]] = {}
        for prefix in subjects if rules.spared == "parts" else ():
            self.note(prefix, held=isinstance(subjects[prefix], Held))

    def network_of(self, subject: str) -> str | None:
        """The network that is banned when it fills up; None where a subject is no narrower."""
        network = network_at(subject, self.rules.ipv6 if ":" in subject else self.rules.ipv4)
        return None if network == subject else network

    def is_one(self, prefix: str) -> bool:
        """Whether a prefix is of a length at which networks are banned."""
        return prefix.endswith(f"/{self.rules.ipv6 if ':' in prefix else self.rules.ipv4}")

    def widened(self, network: str, spared: PrefixSet | ManySpared) -> Widened:
        """What to ban of a network that is full."""
        entry = spared.covering(network) or spared.inside(network)
        if entry is None:
            return Widened((network,))
        said = f"its network {network} is full, and not banned: {entry} is never banned"
        if self.rules.spared == "nothing":
            return Widened((), said)
        parts = parts_of(network, self._finest[6 if ":" in network else 4], spared)
        if not parts:
            return Widened((), f"{said}, and the rest of it is no {MOST_PARTS} networks")
        return Widened(tuple(parts), f"of its network {network} all but {entry}, who is never banned")

    def note(self, prefix: str, *, held: bool) -> None:
        """A prefix is banned, or not any more: it may be a part of a network."""
        network = self.network_of(prefix) if self.rules.spared == "parts" and "/" in prefix else None
        if network is None or int(prefix.rpartition("/")[2]) > self._finest[6 if ":" in prefix else 4]:
            return
        parts = self._parts.setdefault(network, set())
        (parts.add if held else parts.discard)(prefix)
        if not parts:
            del self._parts[network]

    def banned(self, prefix: str, subjects: Mapping[str, Subject]) -> list[str]:
        """What is banned of a network: it, or its parts. `subjects`: the jail's."""
        if not self.is_one(prefix):
            return []
        whole = isinstance(subjects.get(prefix), Held)
        return [prefix] if whole else sorted(self._parts.get(prefix, ()))

    def part_of(self, network: str, subject: str) -> str | None:
        """The part of a network that is banned and in which a subject is."""
        parts = self._parts.get(network)
        return None if parts is None else PrefixSet(parts).covering(subject)

    def above(self, subject: str, subjects: Mapping[str, Subject]) -> str | None:
        """What is banned and holds a subject: its network, or a part of that. `subjects`: the jail's."""
        network = self.network_of(subject)
        if network is None or isinstance(subjects.get(network), Held):
            return network
        return self.part_of(network, subject)

    def fill(self, subject: str, failure: int) -> tuple[str, list[int]]:
        """The network of who is banned, and the failures that decided its bans, where that fills it."""
        network = self.network_of(subject)
        return (subject, []) if network is None else (network, self.add(network, subject, failure))

    def add(self, network: str, subject: str, failure: int) -> list[int]:
        """Take in a ban; the failures that decided those that fill the network, or none."""
        bans = [each for each in self._bans.get(network, ()) if each[1] != subject or each[0] > failure]
        if all(each[1] != subject for each in bans):
            insort(bans, (failure, subject))
        del bans[: -self.rules.addresses]
        self._bans[network] = bans
        first, last = at_ms_of(bans[0][0]), at_ms_of(bans[-1][0])
        if len(bans) < self.rules.addresses or last - first > self.rules.findtime_ms:
            return []
        return [each[0] for each in bans]

    def clear(self, network: str) -> None:
        """Forget what filled a network: it is banned."""
        self._bans.pop(network, None)

    def forget(self, now_ms: int) -> set[str]:
        """Forget the networks whose newest ban is too old to matter; which."""
        before_ms = now_ms - self.rules.findtime_ms - self._lateness_ms
        return self._drop(name for name, bans in self._bans.items() if at_ms_of(bans[-1][0]) < before_ms)

    def step_back(self, at_ms: int) -> set[str]:
        """Forget the networks whose newest ban is said to have come after an instant; which."""
        return self._drop(name for name, bans in self._bans.items() if at_ms_of(bans[-1][0]) > at_ms)

    def __iter__(self) -> Iterator[str]:
        return iter(self._bans)

    def dumped(self, network: str) -> list[list[int | str]]:
        """What is to be saved of a network: of each ban its failure's instant and reference, and whom."""
        return [
            [failure >> AT_SHIFT, failure & REFERENCE_MASK, whom] for failure, whom in self._bans[network]
        ]

    def load(self, network: str, bans: Iterable[tuple[int, int, str]]) -> None:
        """Put a network back, as it was saved."""
        self._bans[network] = [(at_ms << AT_SHIFT | place, whom) for at_ms, place, whom in bans]

    def _drop(self, names: Iterable[str]) -> set[str]:
        gone = set(names)
        for name in gone:
            del self._bans[name]
        return gone


def networks_of(
    jail: Jail, lateness_ms: int, before: Networks | None, subjects: Mapping[str, Subject]
) -> Networks | None:
    """The networks of a jail under these rules, or None; `before`: those it had under others."""
    if jail.escalate is None:
        return None
    made = before or Networks(jail, jail.escalate, lateness_ms)
    made.heed(jail, jail.escalate, subjects)
    return made
