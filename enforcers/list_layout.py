"""The nftables tables of lists of whom to ban, as text: hash sets of one family and prefix length each.

A table of its own keeps a million elements out of every listing of the bans. There may be two of them: one in
force, and one that is being filled to take its place.

| in the table | is |
|---|---|
| `l4_24` | the /24 that lists name; `prerouting` looks the source up in it, and goes on at `judged` |
| `s4_32` | addresses that are never banned: `judged` accepts them, and drops all others |
| the chain `mark_...` | a digest of all that the table holds; not there while it changes |

So of a listed network with an allowed address in it that address passes, and the rest is dropped. Text is
built from numbers and fixed words alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network
from socket import AF_INET, AF_INET6, inet_ntop
from typing import Final

from enforcers.contract import Side

IPV4: Final = 4
PRIORITY_BEFORE: Final = -1
"""Lists are looked up just before the bans."""
SetKey = tuple[int, int]
"""An IP version and a prefix length."""
GENERATIONS: Final = ("a", "b")


def set_name(side: Side, key: SetKey) -> str:
    """The set of prefixes of one family and length."""
    return f"{'l' if side == 'listed' else 's'}{key[0]}_{key[1]}"


def frame(table: str, priority: int) -> str:
    """The commands that make the table and its chains, without rules; they change nothing where those are."""
    hook = f"{{ type filter hook prerouting priority {priority + PRIORITY_BEFORE}; policy accept; }}"
    return (
        f"add table inet {table}\nadd chain inet {table} judged\nadd chain inet {table} prerouting {hook}\n"
        f"flush chain inet {table} prerouting\nflush chain inet {table} judged\n"
    )


def whole(table: str, priority: int, sets: Iterable[tuple[Side, SetKey]]) -> str:
    """The commands that make table, chains and sets, and exactly their rules, keeping every element."""
    made = [frame(table, priority)]
    sets = sorted(sets)
    made += (declaration(table, side, key) for side, key in sets)
    for side, (version, length) in sets:
        family, width = ("ip", 32) if version == IPV4 else ("ip6", 128)
        mask = "" if length == width else f" and {_mask(version, length)}"
        chain, verdict = ("prerouting", "goto judged") if side == "listed" else ("judged", "accept")
        name = set_name(side, (version, length))
        made.append(f"add rule inet {table} {chain} {family} saddr{mask} @{name} {verdict}\n")
    made.append(f"add rule inet {table} judged counter drop\n")
    return "".join(made)


def declaration(table: str, side: Side, key: SetKey) -> str:
    """The command that makes a set, and changes nothing where it is."""
    return f"add set inet {table} {set_name(side, key)} {{ type ipv{key[0]}_addr; }}\n"


def elements(verb: str, table: str, side: Side, key: SetKey, heads: Sequence[int]) -> str:
    """One command about the prefixes with these first bits."""
    version, length = key
    family, octets = (AF_INET, 4) if version == IPV4 else (AF_INET6, 16)
    shift = octets * 8 - length
    texts = [inet_ntop(family, (head << shift).to_bytes(octets, "big")) for head in heads]
    return f"{verb} element inet {table} {set_name(side, key)} {{ {', '.join(texts)} }}\n"


def mark(verb: str, table: str, digest: str) -> str:
    """The command that marks a table as whole, or (`delete`) as changing; deleting fails where it is not."""
    return f"{verb} chain inet {table} mark_{digest}\n"


def gone(table: str) -> str:
    """The commands after which there is no such table."""
    return f"add table inet {table}\ndelete table inet {table}\n"


def _mask(version: int, length: int) -> str:
    network = IPv4Network if version == IPV4 else IPv6Network
    return str(network((0, length)).netmask)
