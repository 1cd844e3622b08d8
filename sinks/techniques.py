"""Which technique of MITRE ATT&CK an event is a sign of, for whoever knows no more than its filter's name.

A filter of the library says it itself (`technique`), and whoever runs a sink hands that over; fail2ban's
filters, and those of other hosts, are known by name alone:

| filters | technique |
|---|---|
| a failed login with a user's name | T1110.001, without one T1110 |
| scans of ports and connections without a login | T1595.001 |
| paths that nobody asks for | T1595.003 |
| firewalls of web applications, intrusion detection | T1190 |
| floods of requests, amplification | T1499.002, T1498.002 |
| open proxies tried | T1090 |
| relays refused, spam, and whatever else | none |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from schemas.codec import AuthLine
from schemas.records import AuthEvent
from schemas.techniques import BRUTE_FORCE, GUESSING, SCANNING

TechniqueOf = Callable[[AuthLine | AuthEvent], str]
"""The id of an event's technique; empty where none fits."""
BY_FILTER: Final[Sequence[tuple[tuple[str, ...], str]]] = (
    (("*rbl*", "*spam*", "*relay*"), ""),
    (("*limit-req*", "*limit*", "*flood*", "*ddos*"), "T1499.002"),
    (("bind", "named*", "unbound*", "nsd*", "*dns*"), "T1498.002"),
    (("squid*", "3proxy*", "dante*", "shadowsocks*"), "T1090"),
    (("modsecurity*", "naxsi*", "suricata*", "snort*", "*exploit*"), "T1190"),
    (("portscan*", "portsentry*", "pf", "ufw*", "iptables*", "nftables*", "firewall*"), "T1595.001"),
    (("*botsearch*", "*noscript*", "*nohome*", "*scan*", "*404*", "*forbidden*", "*badbots*"), "T1595.003"),
)
"""What is no guessing of passwords, by patterns of filters' names, the first that fits."""


def technique_by_name(event: AuthLine | AuthEvent) -> str:
    """The technique of an event, by its filter's name and its kind."""
    return _by_name(event.filter, event.kind, named=bool(event.user))


def usual_technique(kind: str, *, named: bool) -> str:
    """What an event of a kind is a sign of, where its filter says nothing; `named`: it names a user."""
    match kind:
        case "failed":
            return GUESSING if named else BRUTE_FORCE
        case "probed":
            return SCANNING
        case _:
            return ""


@lru_cache(maxsize=4_096)
def _by_name(filter_name: str, kind: str, *, named: bool) -> str:
    name = filter_name.rpartition("/")[2].partition("[")[0]
    for patterns, uid in BY_FILTER:
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return uid
    return usual_technique(kind, named=named)
