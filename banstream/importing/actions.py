"""What a jail of fail2ban's does to whom it bans: the ports of a firewall action, and what nothing here does.

| action | here |
|---|---|
| a firewall's (iptables, nftables, firewalld, ufw, ...), on ports | nftables, on these ports |
| a firewall's, on all ports | nftables |
| a firewall's that lets through (`blocktype = RETURN`) | none: such a jail bans nobody |
| mail to addresses | a sink, `mail:` |
| reports to others, a web server's or a provider's block list, one of your own | none |
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from banstream import values
from producers.filters.fail2ban.files import parse_specification
from sinks.transports.mail import ADDRESS

FIREWALLS: Final = re.compile(
    r"(?:iptables|nftables|firewallcmd|ufw|shorewall|apf|pf|npf|ipfw|bsd-ipfw|osx-|ipfilter|route|hostsdeny|"
    r"symbiosis-blacklist)[\w-]*"
)
ALL_PORTS: Final = re.compile(r".*allports.*|(?:ufw|route|hostsdeny|shorewall|apf|symbiosis)[\w-]*")
GAP: Final = re.compile(r"\s+\[")
PASSES: Final = frozenset({"return", "accept"})
MAILS: Final = re.compile(r"(?:sendmail|mail|smtp|complain)[\w.-]*")
REPORTS: Final = re.compile(r"(?:abuseipdb|blocklist_de|dshield|ipthreat|mynetwatchman|xarf)[\w-]*")
ELSEWHERE: Final = re.compile(r"(?:cloudflare|nginx-block-map|netscaler|nsupdate)[\w-]*")


@dataclass(slots=True)
class Acts:
    """What a jail's actions come to.

    Attributes:
        firewall: some of them is a firewall's.
        lets_in: a firewall's that lets through whom the jail finds.
        ports: the ports of its bans, as fail2ban names them; empty: all.
        left_out: the names of ports that there are not, or why all ports are meant instead.
        others: a sentence for each action that nothing here does.
        mails: to whom mail goes.
    """

    firewall: bool = False
    lets_in: bool = False
    ports: list[str | int] = field(default_factory=list[str | int])
    left_out: str = ""
    others: list[str] = field(default_factory=list[str])
    mails: list[str] = field(default_factory=list[str])


def acts_of(text: str) -> Acts:
    """What the actions of a jail come to. Raises ConfigError: one is no action."""
    acts, everything, ports = Acts(), False, list[str]()
    for each in actions_in(text):
        named = parse_specification(each)
        name = named.path.name.removesuffix(".conf")
        if FIREWALLS.fullmatch(name) is None:
            if recipients := _recipients(name, named.options):
                acts.mails += [each for each in recipients if each not in acts.mails]
            else:
                acts.others.append(_other(name))
            continue
        acts.firewall = True
        acts.lets_in |= named.options.get("blocktype", "").lower() in PASSES
        everything |= _is_for_all(name, named.options)
        ports += [word for word in re.split(r"[\s,]+", named.options.get("port", "")) if word]
    acts.ports, acts.left_out = ([], "") if everything else _known(list(dict.fromkeys(ports)))
    return acts


def actions_in(text: str) -> Iterator[str]:
    """The actions of a text, apart: blanks and commas in brackets are their options'."""
    found, depth, quote = "", 0, ""
    for char in GAP.sub("[", text):
        if quote:
            quote = "" if char == quote else quote
        elif depth and char in "\"'":
            quote = char
        depth += (char == "[") - (char == "]") if not quote else 0
        if depth == 0 and (char.isspace() or char == ","):
            if found:
                yield found
            found = ""
        else:
            found += char
    if found:
        yield found


def _is_for_all(name: str, options: Mapping[str, str]) -> bool:
    kind = options.get("type", options.get("actiontype", ""))
    return ALL_PORTS.fullmatch(name) is not None or "allports" in kind or not options.get("port")


def _known(ports: list[str]) -> tuple[list[str | int], str]:
    """Those of the ports that this machine knows, and what is to be said of the others."""
    words = [re.sub(r"(?<=\d)-(?=\d)", ":", word) for word in ports]
    unknown = [word for word in words if not _is_port(word)]
    left = [word for word in words if word not in unknown]
    try:
        limited = values.ports(left) if left else ()
    except ValueError as error:
        return [], f"a ban is for all ports: {error}"
    said = f"not in /etc/services, and left out: {', '.join(unknown)}" if unknown else ""
    if unknown and not left:
        said += "; a ban is for all ports"
    return ([int(word) if word.isdigit() else word for word in left] if limited else []), said


def _is_port(word: str) -> bool:
    try:
        values.ports(word)
    except ValueError:
        return False
    return True


def _recipients(name: str, options: Mapping[str, str]) -> list[str]:
    """To whom an action sends mail; nobody where it sends none, or not to addresses."""
    if MAILS.fullmatch(name) is None or name.startswith("complain"):
        return []
    found = [each for each in re.split(r"[\s,]+", options.get("dest", "")) if each]
    return found if all(map(ADDRESS.fullmatch, found)) else []


def _other(name: str) -> str:
    """What is to be said of an action that is no firewall's."""
    if MAILS.fullmatch(name):
        return (
            f"{name} sends mail, which nothing here does: `banstream watch --json` has every ban as it comes"
        )
    if REPORTS.fullmatch(name):
        return f"{name} reports to others, which nothing here does: `banstream watch --json` has every ban"
    if ELSEWHERE.fullmatch(name):
        return f"{name} bans elsewhere, which nothing here does: `banstream bans --json` has who is banned"
    return f"{name} is an action of your own: nothing here runs it; `banstream watch --json` has every ban"
