"""What is never banned, and when too much is. Pure: time is given.

A ban is refused, in this order, when

| it | because |
|---|---|
| lies inside a never-ban network, or contains some of one | it would cut off the host or its operators |
| would make the banned share of all addresses too large | no attack comes from that much of the internet |
| comes when the breaker is tripped, or trips it | so many bans at once are a rule gone wild, not an attack |

What was refused is recorded and stays refused until the breaker resets, by time or by an operator; bans
already in force stay, and unbans are never refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from schemas.addresses import canonical_prefix
from schemas.errors import ConfigError, InvalidMessage
from schemas.prefixes import PrefixSet

ALWAYS: Final[Mapping[str, str]] = {
    "127.0.0.0/8": "loopback",
    "::1": "loopback",
    "0.0.0.0": "unspecified",  # noqa: S104 - an address that is never banned; nothing is bound
    "::": "unspecified",
    "169.254.0.0/16": "link-local",
    "fe80::/10": "link-local",
    "224.0.0.0/4": "multicast",
    "ff00::/8": "multicast",
    "255.255.255.255": "broadcast",
}
MINUTE_MS: Final = 60_000


class NeverBan:
    """Networks that no ban may touch, each with the word that says why."""

    def __init__(self, networks: Mapping[str, str]) -> None:
        """Take canonical prefixes; ALWAYS is part of every list."""
        self._why = {**networks, **ALWAYS}
        self._set = PrefixSet(self._why)

    def refusal(self, prefix: str) -> str | None:
        """Why this prefix may not be banned; None when it may."""
        if "/" not in prefix:
            if prefix not in self._set:
                return None
            network = self._set.covering(prefix)
        else:
            network = self._set.covering(prefix) or self._set.inside(prefix)
        return None if network is None else f"never banned: {network} ({self._why[network]})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NeverBan) and self._why == other._why

    def __hash__(self) -> int:
        return hash(frozenset(self._why))

    def __iter__(self) -> Iterator[str]:
        """Each network with its word, as `10.0.0.0/8 (operator)`, in order of address."""
        return (f"{network} ({self._why[network]})" for network in self._set)


def checked_networks(key: str, prefixes: Iterable[str]) -> tuple[str, ...]:
    """Prefixes in canonical form; ConfigError names the key and everything that is none."""
    networks, problems = [], []
    for prefix in prefixes:
        try:
            networks.append(canonical_prefix(prefix))
        except InvalidMessage as error:
            problems.append(f"{key}: {error.reason}; expected an address or a prefix without host bits")
    if problems:
        raise ConfigError(*problems)
    return tuple(networks)


KEYS: Final = {"bans_per_minute": "enforcer.most_per_minute"}
"""The configuration's names, of what can be configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerLimits:
    """How much may be banned.

    Attributes:
        bans_per_minute: new bans within a minute; more trip the breaker. 30,000 is above what the largest
            known botnets bring to one host, and a rule that bans every visitor reaches it on a busy one.
        ipv4_length: at most as many IPv4 addresses as a prefix of this length holds: 8 is a 256th of all.
        ipv6_length: the same for IPv6; 16 is 65,536 times what one provider usually gets.
        reset_after_ms: how long a tripped breaker refuses new bans, in milliseconds.
    """

    bans_per_minute: int = 30_000
    ipv4_length: int = 8
    ipv6_length: int = 16
    reset_after_ms: int = 10 * MINUTE_MS

    def __post_init__(self) -> None:
        """Raise ConfigError with every value that is out of range."""
        ranges = {
            "bans_per_minute": (1, 10_000_000),
            "ipv4_length": (0, 32),
            "ipv6_length": (0, 128),
            "reset_after_ms": (1, 86_400_000),
        }
        problems = [
            f"{KEYS.get(key, key)}: {getattr(self, key)!r} is not within {low} to {high}"
            for key, (low, high) in ranges.items()
            if not low <= getattr(self, key) <= high
        ]
        if problems:
            raise ConfigError(*problems)


class Breaker:
    """Counts what is banned, and refuses what goes past the limits.

    Attributes:
        tripped: why new bans are refused now; None when they are not.
        resets_at_ms: when a tripped breaker lets new bans through again.
        refused: how many bans it has refused.
    """

    def __init__(self, limits: BreakerLimits) -> None:
        self._limits = limits
        self._room = {4: 1 << (32 - limits.ipv4_length), 6: 1 << (128 - limits.ipv6_length)}
        self._tokens = float(limits.bans_per_minute)
        self._counted_at_ms: int | None = None
        self.tripped: str | None = None
        self.resets_at_ms = 0
        self.refused = 0

    def refusal(self, prefix: str, now_ms: int, *, new: bool) -> str | None:
        """Why this prefix may not be banned; None when it may, and then it counts as banned.

        `new` bans count for the rate; bans that stood before this start do not.
        """
        version, addresses = _size(prefix)
        reason = None
        if addresses > self._room[version]:
            length = self._limits.ipv4_length if version == 4 else self._limits.ipv6_length  # noqa: PLR2004 - IP versions
            reason = f"breaker: more than a /{length} of all IPv{version} addresses would be banned"
        elif new:
            reason = self._rate_refusal(now_ms)
        if reason is None:
            self._room[version] -= addresses
        else:
            self.refused += 1
        return reason

    def release(self, prefix: str) -> None:
        """A prefix that was let through is free again."""
        version, addresses = _size(prefix)
        self._room[version] += addresses

    def expire(self, now_ms: int) -> bool:
        """Reset it when its time has come; whether it was reset."""
        if self.tripped is None or now_ms < self.resets_at_ms:
            return False
        self.reset()
        return True

    def reset(self) -> None:
        """Let new bans through again: a minute's worth at once."""
        self.tripped = None
        self._tokens = float(self._limits.bans_per_minute)
        self._counted_at_ms = None

    def _rate_refusal(self, now_ms: int) -> str | None:
        if self.tripped is not None:
            return self.tripped
        rate = self._limits.bans_per_minute
        passed_ms = 0 if self._counted_at_ms is None else max(0, now_ms - self._counted_at_ms)
        self._counted_at_ms = now_ms
        self._tokens = min(float(rate), self._tokens + passed_ms * rate / MINUTE_MS)
        if self._tokens < 1:
            self.tripped = f"breaker: more than {rate} new bans in a minute"
            self.resets_at_ms = now_ms + self._limits.reset_after_ms
            return self.tripped
        self._tokens -= 1
        return None


def _size(prefix: str) -> tuple[int, int]:
    """The IP version of a canonical prefix, and how many addresses it holds."""
    version, width = (6, 128) if ":" in prefix else (4, 32)
    if "/" not in prefix:
        return version, 1
    return version, 1 << (width - int(prefix.partition("/")[2]))
