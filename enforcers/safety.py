"""What is never banned: what lies inside a never-ban network, or contains some of one.

It would cut off the host or its operators.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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


class NeverBan:
    """Networks that no ban may touch, each with the word that says why."""

    def __init__(self, networks: Mapping[str, str]) -> None:
        """Take canonical prefixes; ALWAYS is part of every list."""
        self._why = {**networks, **ALWAYS}
        self._set = PrefixSet(self._why)

    @property
    def networks(self) -> frozenset[str]:
        """All of them."""
        return frozenset(self._why)

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
