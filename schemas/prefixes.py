"""A set of prefixes that answers quickly whether an address lies inside, or a prefix covers a member.

Addresses are looked up once per prefix length in use, in a hash set: the number of prefixes does not matter.
Before that, the text in which an address begins says of nearly every one that no member can hold it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address, ip_network
from typing import Final

from schemas.addresses import Network, format_prefix, parse_prefix

Key = tuple[int, int]
MOST_HEADS: Final = 4_096


class PrefixSet:
    """A mutable set of IPv4 and IPv6 prefixes."""

    __slots__ = ("_heads", "_members")

    def __init__(self, prefixes: Iterable[str] = ()) -> None:
        """Start with these; InvalidMessage when one is no prefix."""
        self._members: dict[Key, set[int]] = {}
        self._heads: set[str] | None = set()
        for prefix in prefixes:
            self.add(prefix)

    def add(self, prefix: str) -> None:
        """Add a prefix; adding it again changes nothing."""
        network = parse_prefix(prefix)
        key = (network.version, network.prefixlen)
        self._members.setdefault(key, set()).add(int(network.network_address))
        heads = None if self._heads is None else _heads(network)
        self._heads = None if heads is None or self._heads is None else self._heads.union(heads)

    def discard(self, prefix: str) -> None:
        """Take a prefix out, if it is in."""
        network = parse_prefix(prefix)
        key = (network.version, network.prefixlen)
        members = self._members.get(key, set())
        members.discard(int(network.network_address))
        if not members:
            self._members.pop(key, None)

    def covering(self, prefix: str) -> str | None:
        """The widest member that contains the whole prefix, or None."""
        network = parse_prefix(prefix)
        address, bits = int(network.network_address), network.max_prefixlen
        for version, length in sorted(self._members):
            if version == network.version and length <= network.prefixlen:
                masked = address >> (bits - length) << (bits - length)
                if masked in self._members[version, length]:
                    return format_prefix(network_of_number(version, masked, length))
        return None

    def inside(self, prefix: str) -> str | None:
        """A member that the prefix contains (or equals), or None."""
        head = prefix.partition(":" if ":" in prefix else ".")[0]
        if self._heads is not None and head not in self._heads and _begins_alike(prefix):
            return None
        network = parse_prefix(prefix)
        first, last = int(network.network_address), int(network.broadcast_address)
        for (version, length), members in self._members.items():
            if version == network.version and length >= network.prefixlen:
                for address in members:
                    if first <= address <= last:
                        return format_prefix(network_of_number(version, address, length))
        return None

    def __contains__(self, prefix: str) -> bool:
        """Whether some member contains the whole prefix, which is in canonical form."""
        if not self._members:
            return False
        heads = self._heads
        if heads is not None and prefix.partition(":" if ":" in prefix else ".")[0] not in heads:
            return False
        if "/" in prefix:
            return self.covering(prefix) is not None
        version, bits, address = number_of(prefix)
        for (member_version, length), members in self._members.items():
            if member_version == version and address >> (bits - length) << (bits - length) in members:
                return True
        return False

    def __iter__(self) -> Iterator[str]:
        """The members in canonical form, by version, length and address."""
        for version, length in sorted(self._members):
            for address in sorted(self._members[version, length]):
                yield format_prefix(network_of_number(version, address, length))

    def __len__(self) -> int:
        """How many members."""
        return sum(map(len, self._members.values()))


def _begins_alike(prefix: str) -> bool:
    """Whether all that a canonical prefix contains begins in the same text: octet, or group."""
    length = prefix.rpartition("/")[2] if "/" in prefix else "128"
    return int(length) >= (16 if ":" in prefix else 8)


def number_of(canonical: str) -> tuple[int, int, int]:
    """The IP version, width in bits and value of a canonical address; IPv4 without the cost of ipaddress."""
    if ":" in canonical:
        return 6, 128, int(IPv6Address(canonical))
    first, second, third, fourth = canonical.split(".")
    return 4, 32, int(first) << 24 | int(second) << 16 | int(third) << 8 | int(fourth)


def _heads(network: Network) -> set[str] | None:
    """How addresses inside a network begin: the first octet, the first group; None where that is too much."""
    width = 8 if network.version == 4 else 16  # noqa: PLR2004 - IP versions and their widths in bits
    first = int(network.network_address) >> (network.max_prefixlen - width)
    last = int(network.broadcast_address) >> (network.max_prefixlen - width)
    if last - first >= MOST_HEADS:
        return None
    if network.version == 4:  # noqa: PLR2004 - IP versions
        return set(map(str, range(first, last + 1)))
    return {f"{head:x}" for head in range(first, last + 1)} | ({""} if first == 0 else set())


def network_of_number(version: int, address: int, length: int) -> Network:
    """The network that begins at an address given as a number."""
    width = 4 if version == 4 else 16  # noqa: PLR2004 - IP versions and their widths in bytes
    return ip_network((address.to_bytes(width, "big"), length))
