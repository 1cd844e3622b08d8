"""The nftables table as text: which set holds an element, which rule looks it up, and how a listing reads.

Any large interval set makes every nft command slow, so there are hash sets only: one for each family,
prefix length and group of ports, looked up by the source address under that length's mask.

| banned | set | rule |
|---|---|---|
| 192.0.2.7 | v4_32 | `ip saddr @v4_32 counter drop` |
| 192.0.2.0/24 | v4_24 | `ip saddr and 255.255.255.0 @v4_24 counter drop` |
| 2001:db8:1:2::/64 | v6_64 | `ip6 saddr and ffff:ffff:ffff:ffff:: @v6_64 counter drop` |
| 192.0.2.7, ports 22 and 2222 | v4_32_p22_2222 | `... meta l4proto { tcp, udp } th dport { 22, 2222 } ...` |

Sets have no `size`: the kernel would reserve memory for all of it at once. Text is only ever built from
what a strict pattern accepts, so no text of a log reaches nft's parser, which would look host names up.
The syntax is that of nft(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple

from enforcers.contract import Element
from schemas.addresses import canonical_address, is_ipv4, is_prefix, parse_prefix
from schemas.errors import EnforcementFailed, InvalidMessage

CHAIN: Final = "prerouting"
MAX_PORTS: Final = 40
"""A set's name spells its ports, and the kernel allows names of 255 characters."""

DAY_MS: Final = 86_400_000
MAX_TIMEOUT_MS: Final = 100_000 * DAY_MS
"""274 years; the kernel refuses a million days."""

SET_NAME: Final = re.compile(r"v([46])_(\d{1,3})((?:_p\d+)(?:_\d+)*)?", re.ASCII).fullmatch
SET_BLOCK: Final = re.compile(r"\n\tset (\S+) \{(.*?)\n\t\}", re.DOTALL)
CHAIN_BLOCK: Final = re.compile(rf"\n\tchain {CHAIN} \{{\n(.*?)\n\t\}}", re.DOTALL)
LOOKUP: Final = re.compile(r"^\t\tip6? saddr\b.* @(\S+) .*\bdrop$")
ELEMENT: Final = re.compile(
    r"([0-9a-f.:]+)(?: timeout \w+)?"
    r"(?: expires (?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?)?(?=,| \})"
)


class NamedElements(NamedTuple):
    """What one set holds: prefixes of one family (4 or 6) and length, banned on the same ports."""

    version: int
    length: int
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """A table as it was found.

    Attributes:
        sets: the elements of each set, by its name.
        looked_up: the sets whose elements rules drop, in order; None when the chain is not as it must be.
    """

    sets: dict[str, list[Element]]
    looked_up: tuple[str, ...] | None


@lru_cache(maxsize=4_096)
def name_of(group: NamedElements) -> str:
    """The set's name; EnforcementFailed when there is no set for such ports."""
    ports = group.ports
    if len(ports) > MAX_PORTS or not all(1 <= port <= 65_535 for port in ports):  # noqa: PLR2004 - 16 bits
        raise EnforcementFailed(f"ports must be 1 to 65535, {MAX_PORTS} of them at most, not {ports}")
    suffix = "_p" + "_".join(map(str, ports)) if ports else ""
    return f"v{group.version}_{group.length}{suffix}"


@lru_cache(maxsize=4_096)
def group_of(name: str) -> NamedElements | None:
    """The group that a set's name stands for; None when the name is none of ours."""
    match = SET_NAME(name)
    if match is None:
        return None
    version, length, ports = match.groups()
    return NamedElements(int(version), int(length), tuple(map(int, ports[2:].split("_"))) if ports else ())


def place(element: Element) -> tuple[str, str]:
    """The set an element belongs to, and its address there; EnforcementFailed when it has no place."""
    prefix, ports, _ = element
    if is_ipv4(prefix):
        return name_of(NamedElements(4, 32, ports)) if ports else "v4_32", prefix
    if "/" not in prefix and is_prefix(prefix):
        return name_of(NamedElements(6, 128, ports)), prefix
    try:
        network = parse_prefix(prefix)
    except InvalidMessage as error:
        raise EnforcementFailed(error.reason, prefix=prefix) from error
    return name_of(NamedElements(network.version, network.prefixlen, ports)), str(network.network_address)


def timeout(remaining_ms: int | None) -> str:
    """The clause that ends an element in time; empty for ever. Zero would mean for ever: 1 ms at least."""
    if remaining_ms is None:
        return ""
    if 0 < remaining_ms < DAY_MS:
        return f" timeout {remaining_ms}ms"
    days, rest_ms = divmod(min(max(remaining_ms, 1), MAX_TIMEOUT_MS), DAY_MS)
    return f" timeout {days}d{rest_ms}ms"


def declaration(table: str, name: str) -> str:
    """The command that makes a set, and changes nothing where it is."""
    version = "4" if name.startswith("v4") else "6"
    return f"add set inet {table} {name} {{ type ipv{version}_addr; flags timeout; }}\n"


def rule(table: str, name: str) -> str:
    """The command that appends the rule that drops what a set holds."""
    group = group_of(name)
    if group is None:
        raise EnforcementFailed(f"no set of ours: {name}")
    version, length, ports = group
    family, width = ("ip", 32) if version == 4 else ("ip6", 128)  # noqa: PLR2004 - IP versions
    mask = "" if length == width else f" and {_mask(version, length)}"
    match = f" meta l4proto {{ tcp, udp }} th dport {{ {', '.join(map(str, ports))} }}" if ports else ""
    return f"add rule inet {table} {CHAIN} {family} saddr{mask} @{name}{match} counter drop\n"


def frame(table: str, priority: int) -> str:
    """The commands that make the table and its chain, and change nothing where they are."""
    hook = f"{{ type filter hook prerouting priority {priority}; policy accept; }}"
    return f"add table inet {table}\nadd chain inet {table} {CHAIN} {hook}\n"


def whole(table: str, priority: int, names: Iterable[str]) -> str:
    """The commands that make table, chain, sets and exactly their rules, keeping every element."""
    names = sorted(names)
    sets = "".join(declaration(table, name) for name in names)
    rules = "".join(rule(table, name) for name in names)
    return f"{frame(table, priority)}{sets}flush chain inet {table} {CHAIN}\n{rules}"


def elements(verb: str, table: str, name: str, texts: Sequence[str]) -> str:
    """One command about elements of one set."""
    return f"{verb} element inet {table} {name} {{ {', '.join(texts)} }}\n"


def parse(text: str) -> Listing:
    """The sets, elements and rules in the answer to `list table`."""
    sets = {}
    for name, body in SET_BLOCK.findall(text):
        group = group_of(name)
        if group is not None:
            sets[name] = _elements(group, body.partition("elements = {")[2])
    return Listing(sets, _looked_up(text))


def _looked_up(text: str) -> tuple[str, ...] | None:
    """The sets that rules look up; None when there is another rule, which might let packets by."""
    chain = CHAIN_BLOCK.search(text)
    head, *rules = chain[1].split("\n") if chain else [""]
    found = [LOOKUP.match(line) for line in rules]
    if "hook prerouting" not in head or not all(found):
        return None
    return tuple(match[1] for match in found if match)


def _elements(group: NamedElements, body: str) -> list[Element]:
    version, length, ports = group
    suffix = "" if length == (32 if version == 4 else 128) else f"/{length}"  # noqa: PLR2004 - IP versions
    found = []
    for match in ELEMENT.finditer(body):
        address, *parts = match.groups("")
        if version == 6 and "." in address:  # noqa: PLR2004 - nft writes ::192.0.2.7, canonical is hex
            address = canonical_address(address)
        found.append(Element(address + suffix, ports, _remaining_ms(parts)))
    return found


def _remaining_ms(parts: Sequence[str]) -> int | None:
    if not any(parts):
        return None
    days, hours, minutes, seconds, ms = (int(part or 0) for part in parts)
    return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1_000 + ms


def _mask(version: int, length: int) -> str:
    network = IPv4Network if version == 4 else IPv6Network  # noqa: PLR2004 - IP versions
    return str(network((0, length)).netmask)
