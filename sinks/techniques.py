"""MITRE ATT&CK: which technique an event is a sign of, by its filter and kind; names as of ATT&CK 18.1.

| filters | technique |
|---|---|
| a failed login with a user's name | T1110.001, without one T1110 |
| scans of ports and connections without a login | T1595.001 |
| paths that nobody asks for | T1595.003 |
| firewalls of web applications, intrusion detection | T1190 |
| floods of requests, amplification | T1499.002, T1498.002 |
| open proxies tried | T1090 |
| pushes asked for again and again | T1621 |
| relays refused, spam, and whatever else | none |
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, NamedTuple


class Technique(NamedTuple):
    """A technique, its parent where it is a part of one, and the tactic that it serves.

    Attributes:
        uid: such as `T1110.001`; `parent`, `parent_name`: of which it is a part; itself where of none.
    """

    uid: str
    name: str
    parent: str
    parent_name: str
    tactic: str
    tactic_name: str

    @property
    def is_sub(self) -> bool:
        """Whether it is a part of another."""
        return self.uid != self.parent


def _technique(uid: str, name: str, parent_name: str, tactic: str, tactic_name: str) -> Technique:
    return Technique(uid, name, uid.partition(".")[0], parent_name, tactic, tactic_name)


CREDENTIALS: Final = ("TA0006", "Credential Access")
RECONNAISSANCE: Final = ("TA0043", "Reconnaissance")
IMPACT: Final = ("TA0040", "Impact")
TECHNIQUES: Final = {
    each.uid: each
    for each in (
        _technique("T1110", "Brute Force", "Brute Force", *CREDENTIALS),
        _technique("T1110.001", "Password Guessing", "Brute Force", *CREDENTIALS),
        _technique("T1110.003", "Password Spraying", "Brute Force", *CREDENTIALS),
        _technique("T1621", "Multi-Factor Authentication Request Generation", "", *CREDENTIALS),
        _technique("T1595", "Active Scanning", "Active Scanning", *RECONNAISSANCE),
        _technique("T1595.001", "Scanning IP Blocks", "Active Scanning", *RECONNAISSANCE),
        _technique("T1595.003", "Wordlist Scanning", "Active Scanning", *RECONNAISSANCE),
        _technique("T1190", "Exploit Public-Facing Application", "", "TA0001", "Initial Access"),
        _technique("T1499.002", "Service Exhaustion Flood", "Endpoint Denial of Service", *IMPACT),
        _technique("T1498.002", "Reflection Amplification", "Network Denial of Service", *IMPACT),
        _technique("T1090", "Proxy", "", "TA0011", "Command and Control"),
    )
}
BY_FILTER: Final[Sequence[tuple[tuple[str, ...], str | None]]] = (
    (("*rbl*", "*spam*", "*relay*"), None),
    (("*limit-req*", "*limit*", "*flood*", "*ddos*"), "T1499.002"),
    (("bind", "named*", "unbound*", "nsd*", "*dns*"), "T1498.002"),
    (("squid*", "3proxy*", "dante*", "shadowsocks*"), "T1090"),
    (("modsecurity*", "naxsi*", "suricata*", "snort*", "*exploit*"), "T1190"),
    (("portscan*", "portsentry*", "pf", "ufw*", "iptables*", "nftables*", "firewall*"), "T1595.001"),
    (("*botsearch*", "*noscript*", "*nohome*", "*scan*", "*404*", "*forbidden*", "*badbots*"), "T1595.003"),
)
"""What is no guessing of passwords, by patterns of filters' names, the first that fits."""


@lru_cache(maxsize=4_096)
def technique_of(filter_name: str, kind: str, *, named: bool) -> Technique | None:
    """The technique of an event; `named`: it names a user. None where none fits."""
    name = filter_name.rpartition("/")[2].partition("[")[0]
    for patterns, uid in BY_FILTER:
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return None if uid is None else TECHNIQUES[uid]
    match kind:
        case "failed":
            return TECHNIQUES["T1110.001" if named else "T1110"]
        case "probed":
            return TECHNIQUES["T1595"]
        case _:
            return None
