"""Which networks have many banned addresses: what a jail that escalates remembers of its bans.

A network is banned by the ban of its `addresses`th different subject within findtime, in event time; a
subject that is banned again counts once, by its newest ban. The single bans stay beneath it until their own
end: a network that is let go early leaves them, and a host whose firewall refuses it still has them.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator

from schemas.addresses import network_at
from schemas.rules import Escalation
from streams.window import AT_SHIFT, REFERENCE_MASK, at_ms_of

Filling = tuple[int, str]
"""The failure that decided a ban (streams.window), and whom that banned."""


class Networks:
    """The networks in which a jail has banned somebody lately."""

    __slots__ = ("_bans", "_lateness_ms", "rules")

    def __init__(self, rules: Escalation, lateness_ms: int) -> None:
        self.rules = rules
        self._lateness_ms = lateness_ms
        self._bans: dict[str, list[Filling]] = {}

    def network_of(self, subject: str) -> str | None:
        """The network that is banned when it fills up; None where a subject is no narrower."""
        network = network_at(subject, self.rules.ipv6 if ":" in subject else self.rules.ipv4)
        return None if network == subject else network

    def is_one(self, prefix: str) -> bool:
        """Whether a prefix is of a length at which networks are banned."""
        return prefix.endswith(f"/{self.rules.ipv6 if ':' in prefix else self.rules.ipv4}")

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


def networks_of(rules: Escalation | None, lateness_ms: int, before: Networks | None) -> Networks | None:
    """The networks of a jail under these rules, or None; `before`: those it had under others."""
    if rules is None or before is None:
        return None if rules is None else Networks(rules, lateness_ms)
    before.rules = rules
    return before
