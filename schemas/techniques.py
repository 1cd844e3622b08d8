"""MITRE ATT&CK: the techniques that a filter may name, with the tactic that each serves; as of version 18.1.

https://attack.mitre.org/techniques/enterprise/ . Of a technique that serves several tactics the one that
comes first in an attack from outside stands here.
"""

from __future__ import annotations

from collections.abc import Iterator
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


NAMES: Final = {
    ("TA0043", "Reconnaissance"): {
        "T1589": "Gather Victim Identity Information",
        "T1589.001": "Credentials",
        "T1589.002": "Email Addresses",
        "T1589.003": "Employee Names",
        "T1590": "Gather Victim Network Information",
        "T1590.002": "DNS",
        "T1592": "Gather Victim Host Information",
        "T1592.002": "Software",
        "T1594": "Search Victim-Owned Websites",
        "T1595": "Active Scanning",
        "T1595.001": "Scanning IP Blocks",
        "T1595.002": "Vulnerability Scanning",
        "T1595.003": "Wordlist Scanning",
        "T1598": "Phishing for Information",
    },
    ("TA0001", "Initial Access"): {
        "T1078": "Valid Accounts",
        "T1078.001": "Default Accounts",
        "T1078.002": "Domain Accounts",
        "T1078.003": "Local Accounts",
        "T1078.004": "Cloud Accounts",
        "T1133": "External Remote Services",
        "T1190": "Exploit Public-Facing Application",
        "T1199": "Trusted Relationship",
        "T1566": "Phishing",
    },
    ("TA0002", "Execution"): {
        "T1059": "Command and Scripting Interpreter",
        "T1059.004": "Unix Shell",
    },
    ("TA0003", "Persistence"): {
        "T1098": "Account Manipulation",
        "T1136": "Create Account",
        "T1505": "Server Software Component",
        "T1505.003": "Web Shell",
    },
    ("TA0005", "Defense Evasion"): {
        "T1550": "Use Alternate Authentication Material",
        "T1550.001": "Application Access Token",
        "T1562": "Impair Defenses",
        "T1562.004": "Disable or Modify System Firewall",
    },
    ("TA0006", "Credential Access"): {
        "T1110": "Brute Force",
        "T1110.001": "Password Guessing",
        "T1110.003": "Password Spraying",
        "T1110.004": "Credential Stuffing",
        "T1212": "Exploitation for Credential Access",
        "T1539": "Steal Web Session Cookie",
        "T1557": "Adversary-in-the-Middle",
        "T1621": "Multi-Factor Authentication Request Generation",
    },
    ("TA0007", "Discovery"): {
        "T1046": "Network Service Discovery",
        "T1083": "File and Directory Discovery",
        "T1087": "Account Discovery",
    },
    ("TA0008", "Lateral Movement"): {
        "T1021": "Remote Services",
        "T1021.001": "Remote Desktop Protocol",
        "T1021.004": "SSH",
        "T1210": "Exploitation of Remote Services",
    },
    ("TA0011", "Command and Control"): {
        "T1071": "Application Layer Protocol",
        "T1071.001": "Web Protocols",
        "T1090": "Proxy",
        "T1090.002": "External Proxy",
        "T1105": "Ingress Tool Transfer",
        "T1572": "Protocol Tunneling",
    },
    ("TA0040", "Impact"): {
        "T1496": "Resource Hijacking",
        "T1498": "Network Denial of Service",
        "T1498.001": "Direct Network Flood",
        "T1498.002": "Reflection Amplification",
        "T1499": "Endpoint Denial of Service",
        "T1499.001": "OS Exhaustion Flood",
        "T1499.002": "Service Exhaustion Flood",
        "T1499.003": "Application Exhaustion Flood",
        "T1499.004": "Application or System Exploitation",
        "T1531": "Account Access Removal",
    },
}
"""By tactic, the names of techniques."""


def _techniques() -> Iterator[Technique]:
    for (tactic, tactic_name), names in NAMES.items():
        for uid, name in names.items():
            parent = uid.partition(".")[0]
            yield Technique(uid, name, parent, names[parent], tactic, tactic_name)


TECHNIQUES: Final = {each.uid: each for each in _techniques()}
GUESSING: Final = "T1110.001"
BRUTE_FORCE: Final = "T1110"
SPRAYING: Final = "T1110.003"
SCANNING: Final = "T1595"
