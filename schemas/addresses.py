"""Addresses and prefixes in their one canonical text form.

Canonical: RFC 5952 for IPv6, dotted quad for IPv4; an IPv4-mapped IPv6 address is the IPv4 address it
carries; a zone (`%eth0`) is dropped; a prefix of full length is written as the bare address.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from schemas.errors import InvalidMessage

Network = IPv4Network | IPv6Network
IPV4_BITS: Final = 32
IPV6_BITS: Final = 128
OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4: Final = rf"{OCTET}(?:\.{OCTET}){{3}}"
"""A canonical IPv4 address as an expression: to match it is several times as fast as to parse one."""

MOST_MET: Final = 16_384
is_ipv4: Final = re.compile(IPV4).fullmatch
"""Matches an IPv4 address in canonical form, and nothing else."""
_ipv4_prefix: Final = re.compile(
    rf"({OCTET})\.({OCTET})\.({OCTET})\.({OCTET})/(3[01]|[12][0-9]|[0-9])"
).fullmatch
_met: set[str] = set()
"""Addresses known to be in canonical form."""


@lru_cache(maxsize=65_536)
def canonical_address(text: str) -> str:
    """The canonical form of an address; ValueError when it is none."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def parse_prefix(text: str) -> Network:
    """The network that an address or prefix names; host bits must be zero; InvalidMessage when it is none."""
    try:
        if "/" not in text:
            return ip_network(canonical_address(text))
        address, _, length = text.rpartition("/")
        network = ip_network(f"{address.partition('%')[0]}/{length}")
    except ValueError as error:
        raise InvalidMessage(f"not an address or prefix: {text!r:.80} ({error!s:.120})") from error
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped:  # noqa: PLR2004 - ::ffff:0:0/96
        return IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


@lru_cache(maxsize=65_536)
def canonical_prefix(text: str) -> str:
    """The canonical form of an address or prefix; InvalidMessage when it is none."""
    return format_prefix(parse_prefix(text))


def format_prefix(network: Network) -> str:
    """A network in canonical form: `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`."""
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return str(network)


@lru_cache(maxsize=65_536)
def network_of(prefix: str) -> str:
    """The /24 or /48 in which the first address of a prefix lies, as text: the unit of partitioning."""
    network = parse_prefix(prefix)
    length = min(network.prefixlen, 24 if network.version == 4 else 48)  # noqa: PLR2004 - IP versions
    return str(network.supernet(new_prefix=length))


def network_at(prefix: str, length: int) -> str:
    """The network of that length in which a prefix in canonical form lies; itself where it is no longer."""
    if length == 24 and "/" not in prefix and ":" not in prefix:  # noqa: PLR2004 - the commonest, by its text
        return f"{prefix[: prefix.rindex('.')]}.0/24"
    return _network_at(prefix, length)


@lru_cache(maxsize=65_536)
def _network_at(prefix: str, length: int) -> str:
    network = parse_prefix(prefix)
    return prefix if network.prefixlen <= length else str(network.supernet(new_prefix=length))


def is_address(text: str) -> bool:
    """Whether a text is an address in canonical form; a tenth of the price of asking ipaddress for IPv4."""
    try:
        return is_ipv4(text) is not None or canonical_address(text) == text
    except ValueError:
        return False


def are_addresses(texts: Sequence[str]) -> bool:
    """Whether all are addresses in canonical form; those met lately cost next to nothing."""
    if _met.issuperset(texts):
        return True
    if len(_met) >= MOST_MET:
        _met.clear()
    new = [text for text in texts if text not in _met]
    _met.update(filter(is_address, new))
    return _met.issuperset(new)


def is_prefix(text: str) -> bool:
    """Whether a text is an address or prefix in canonical form; IPv4 is not parsed: lists are long."""
    try:
        if "/" not in text:
            return is_address(text)
        if (found := _ipv4_prefix(text)) is not None:
            first, second, third, fourth, length = map(int, found.groups())
            return not (first << 24 | second << 16 | third << 8 | fourth) & ((1 << (32 - length)) - 1)
        return canonical_prefix(text) == text
    except InvalidMessage:
        return False
