"""When too much is banned at once: how many new bans a minute each jail and each network may bring. Pure.

| a new ban | is |
|---|---|
| of a network (/24, /48) that had `bans_of_a_network` within a minute | refused, and costs its jail nothing |
| by jails that all have tripped | refused, and let through later: the longest bans first, a tenth as many |
| by a jail that had `bans_per_minute` within a minute | refused, and trips the jail |
| that would make the banned share of all addresses too large | refused |
| any other | let through |

So many bans at once are a rule gone wild, not an attack: it says so, and stops. Whoever can bring about that
many from networks of his own holds back nobody else's. What trips, jail or network, is reset by time or by an
operator; what it refused is looked at anew then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.addresses import is_ipv4, network_of
from schemas.errors import ConfigError

MINUTE_MS: Final = 60_000
MOST_NETWORKS: Final = 10_000
LOWER: Final = 10
"""A jail that has tripped bans a tenth as fast as it may."""
KEYS: Final = {"bans_per_minute": "enforcer.most_per_minute"}
"""The configuration's names, of what can be configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerLimits:
    """How much may be banned.

    Attributes:
        bans_per_minute: new bans of a jail within a minute; more trip it. 30,000 is above what the largest
            known botnets bring to one host, and a rule that bans every visitor reaches it on a busy one.
        bans_of_a_network: new bans of one network within a minute.
        ipv4_length: at most as many IPv4 addresses as a prefix of this length holds: 8 is a 256th of all.
        ipv6_length: the same for IPv6; 16 is 65,536 times what one provider usually gets.
        reset_after_ms: how long what has tripped refuses new bans, in milliseconds.
    """

    bans_per_minute: int = 30_000
    bans_of_a_network: int = 1_000
    ipv4_length: int = 8
    ipv6_length: int = 16
    reset_after_ms: int = 10 * MINUTE_MS

    def __post_init__(self) -> None:
        """Raise ConfigError with every value that is out of range."""
        ranges = {
            "bans_per_minute": (1, 10_000_000),
            "bans_of_a_network": (1, 10_000_000),
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


class Rate(NamedTuple):
    """What is left of a minute's bans, at an instant."""

    left: float
    at_ms: int


class Rates:
    """Who has brought how many bans within a minute, and who has tripped until when."""

    def __init__(self, most: int, reset_after_ms: int) -> None:
        self._most = most
        self._reset_after_ms = reset_after_ms
        self._rates: dict[str, Rate] = {}
        self.tripped: dict[str, int] = {}

    def takes(self, name: str, now_ms: int) -> bool:
        """Whether somebody may bring one more; it trips him where he may not."""
        if name in self.tripped:
            return False
        left, at_ms = self._rates.get(name) or Rate(float(self._most), now_ms)
        left = min(float(self._most), left + max(0, now_ms - at_ms) * self._most / MINUTE_MS)
        if left < 1:
            self.tripped[name] = now_ms + self._reset_after_ms
            self._rates.pop(name, None)
            return False
        if len(self._rates) >= MOST_NETWORKS:
            self._forget(now_ms)
        self._rates[name] = Rate(left - 1, now_ms)
        return True

    def expire(self, now_ms: int) -> bool:
        """Reset those whose time has come; whether there were any."""
        over = [name for name, until_ms in self.tripped.items() if now_ms >= until_ms]
        for name in over:
            del self.tripped[name]
        return bool(over)

    def reset(self) -> None:
        """All begin anew."""
        self._rates.clear()
        self.tripped.clear()

    def _forget(self, now_ms: int) -> None:
        """Forget who has brought none for a minute; where all have, the half that did longest ago."""
        self._rates = {name: rate for name, rate in self._rates.items() if now_ms - rate.at_ms < MINUTE_MS}
        if len(self._rates) >= MOST_NETWORKS:
            newest = sorted(self._rates.items(), key=lambda each: each[1].at_ms)[MOST_NETWORKS // 2 :]
            self._rates = dict(newest)


class Breaker:
    """Counts what is banned, and refuses what goes past the limits.

    Attributes:
        refused: how many bans it has refused.
        held_back: the prefixes that it refused to a jail, and that may be let through.
    """

    def __init__(self, limits: BreakerLimits) -> None:
        self._limits = limits
        self._room = {4: 1 << (32 - limits.ipv4_length), 6: 1 << (128 - limits.ipv6_length)}
        self._jails = Rates(limits.bans_per_minute, limits.reset_after_ms)
        self._networks = Rates(limits.bans_of_a_network, limits.reset_after_ms)
        self._granted: set[str] = set()
        self._granted_at_ms: int | None = None
        self.refused = 0
        self.held_back: set[str] = set()

    @property
    def tripped(self) -> str | None:
        """Why new bans are refused now; None when none are."""
        jails, networks = self._jails.tripped, self._networks.tripped
        if jails:
            return self._because(f"by {_some('jail', jails)}")
        return self._because(f"of {_some('network', networks)}", self._networks) if networks else None

    @property
    def resets_at_ms(self) -> int:
        """When all that has tripped lets new bans through again."""
        return max((*self._jails.tripped.values(), *self._networks.tripped.values()), default=0)

    def refusal(self, prefix: str, now_ms: int, *, new: bool, jails: Collection[str] = ("",)) -> str | None:
        """Why this prefix may not be banned; None when it may, and then it counts as banned.

        `new` bans count for the rates of the network and of one of the `jails` that ban it; bans that stood
        before this start do not.
        """
        version, addresses = _size(prefix)
        reason = None
        self.held_back.discard(prefix)
        if addresses > self._room[version]:
            length = self._limits.ipv4_length if version == 4 else self._limits.ipv6_length  # noqa: PLR2004 - IP versions
            reason = f"breaker: more than a /{length} of all IPv{version} addresses would be banned"
        elif prefix in self._granted:
            self._granted.discard(prefix)
        elif new:
            reason = self._rate_refusal(prefix, now_ms, jails)
        if reason is None:
            self._room[version] -= addresses
        else:
            self.refused += 1
        return reason

    def forget(self, prefix: str) -> None:
        """A prefix is not to be banned any more."""
        self.held_back.discard(prefix)

    def release(self, prefix: str) -> None:
        """A prefix that was let through is free again."""
        version, addresses = _size(prefix)
        self._room[version] += addresses

    def expire(self, now_ms: int) -> bool:
        """Reset what has tripped and whose time has come; whether something was reset."""
        return self._jails.expire(now_ms) | self._networks.expire(now_ms)

    def reset(self) -> None:
        """Let new bans through again: a minute's worth at once."""
        self._jails.reset()
        self._networks.reset()

    def allowance(self, now_ms: int) -> int:
        """How many of those that a jail was refused may be let through now."""
        if not self._jails.tripped or self._granted_at_ms is None:
            self._granted_at_ms = now_ms if self._jails.tripped else None
            return 0
        passed_ms = max(0, now_ms - self._granted_at_ms)
        count = min(passed_ms, MINUTE_MS) * self._limits.bans_per_minute // (LOWER * MINUTE_MS)
        if count:
            self._granted_at_ms = now_ms
        return count

    def grant(self, prefixes: Iterable[str]) -> None:
        """Let these through when they are asked about next."""
        self._granted = set(prefixes)

    def _rate_refusal(self, prefix: str, now_ms: int, jails: Collection[str]) -> str | None:
        network = f"{prefix.rpartition('.')[0]}.0/24" if is_ipv4(prefix) else network_of(prefix)
        if not self._networks.takes(network, now_ms):
            return self._because(f"of {network}", self._networks)
        if not any(self._jails.takes(jail, now_ms) for jail in jails or ("",)):
            self.held_back.add(prefix)
            return self._because(f"by {_some('jail', jails)}")
        return None

    def _because(self, whose: str, rates: Rates | None = None) -> str:
        most = self._limits.bans_of_a_network if rates is self._networks else self._limits.bans_per_minute
        return f"breaker: more than {most} new bans in a minute {whose}"


def _some(noun: str, names: Collection[str]) -> str:
    """One by its name, or how many there are."""
    return f"{noun} {next(iter(names))}" if len(names) == 1 else f"{len(names)} {noun}s"


def _size(prefix: str) -> tuple[int, int]:
    """The IP version of a canonical prefix, and how many addresses it holds."""
    version, width = (6, 128) if ":" in prefix else (4, 32)
    if "/" not in prefix:
        return version, 1
    return version, 1 << (width - int(prefix.partition("/")[2]))
