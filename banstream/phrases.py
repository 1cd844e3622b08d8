"""How people are told of jails, sizes and lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from banstream.show import counted
from schemas.addresses import IPV4_BITS, IPV6_BITS
from schemas.durations import format_duration
from schemas.rules import REQUESTS, Counting, Escalation, Jail, Threshold
from schemas.whereabouts import Region, Scope

MEGABYTE: Final = 1 << 20
ONE_OF: Final[Mapping[str, str]] = {
    "failures": "failure",
    "bans": "ban",
    "addresses": "address",
    "requests": "request",
    "different users": "user",
    "different addresses": "address",
    "different ports": "port",
}
"""What is counted (schemas.records.CountedThing), where there is one."""
OF: Final[Mapping[Counting, str]] = {
    "address": "",
    "user": " as one user, wherever from,",
    "address and user": " as one user",
}
"""Of what a jail counts failures."""


def threshold(jail: Jail) -> str:
    """When a jail bans, and for how long; that it only observes."""
    return f"observes: {_threshold(jail)}" if jail.mode == "observe" else _threshold(jail)


def _threshold(jail: Jail) -> str:
    if jail.on == "events" and not jail.kinds:
        return f"what asks for a decoy is banned for {format_duration(jail.bantime_ms)}"
    plain = jail.kinds in {("failed",), REQUESTS} or jail.on == "bans"
    what = ONE_OF[jail.counts] if jail.counts in {"bans", "requests"} else "failure" if plain else "event"
    kinds = "" if plain else f" ({' or '.join(jail.kinds)})"
    first, *further = jail.thresholds
    if jail.window == "leaky" and first.maxretry > 1:
        capacity = first.maxretry - 1
        speed = format_duration(max(1, first.findtime_ms // capacity))
        bucket = f"{counted(first.maxretry, what)}{kinds}, of which one leaks every {speed}, ban"
        return f"{bucket} {_lasting(first)}{', longer each time' if jail.increment is not None else ''}"
    different = "" if jail.distinct is None else f" with a different {jail.distinct} each"
    of = f"{kinds}{OF[jail.count]}{different}{scope_of(jail.scope)}"
    told = [f"{counted(first.maxretry, what)}{of}{scope_of(first.scope)} within {_ban_for(first)}"]
    told += [f"{step.maxretry}{scope_of(step.scope)} within {_ban_for(step)}" for step in further]
    grows = jail.increment is not None and any(step.bantime_ms is not None for step in jail.thresholds)
    told += ["longer each time"] if grows else []
    if jail.known_good_ms is not None:
        within = format_duration(jail.known_good_ms)
        told += [f"{jail.known_good_factor} times as many where a login succeeded within {within}"]
    return ", ".join(told)


def escalating(jail: Jail) -> str | None:
    """When a jail bans a network, and for how long; None where it does not."""
    rules = jail.escalate
    if rules is None:
        return None
    return f"{rules.addresses} banned of a /{rules.ipv4} or IPv6 /{rules.ipv6} within {_ban_for(rules)}"


def watching(jail: Jail) -> str | None:
    """When a jail's minutes are unusual; None where it does not look."""
    rules = jail.behaviour
    if rules is None:
        return None
    tightened = "; then maxretry is halved" if rules.tighten else ""
    return f"more than {rules.least} a minute, and than usual by {rules.deviations} deviations{tightened}"


def counted_as(jail: Jail) -> str | None:
    """By which networks a jail counts; None where by address alone."""
    lengths = [f"/{jail.ipv4_prefix}"] if jail.ipv4_prefix < IPV4_BITS else []
    lengths += [f"IPv6 /{jail.ipv6_prefix}"] if jail.ipv6_prefix < IPV6_BITS else []
    return " and ".join(lengths) or None


def _ban_for(rules: Threshold | Escalation) -> str:
    return f"{format_duration(rules.findtime_ms)} ban {_lasting(rules)}"


def _lasting(rules: Threshold | Escalation) -> str:
    return "for ever" if rules.bantime_ms is None else f"for {format_duration(rules.bantime_ms)}"


def place_of(country: str | None, asn: int | None, as_name: str | None) -> str:
    """Where somebody is: `DE AS64500 Example Networks`; empty where nobody knows."""
    name = "" if as_name is None else f" {as_name}"
    system = "" if asn is None else f"AS{asn}{name}"
    return " ".join(filter(None, (country, system)))


def scope_of(scope: Scope | None) -> str:
    """From where events count, behind what counts: ` from DE or AT`; empty where from everywhere."""
    if scope is None:
        return ""
    where = "" if scope.where is None else f" from {_region(scope.where)}"
    return where + ("" if scope.unless is None else f" not from {_region(scope.unless)}")


def _region(region: Region) -> str:
    countries, systems = " or ".join(region.country), " or ".join(f"AS{asn}" for asn in region.asn)
    return " within ".join(filter(None, (systems, countries)))


def what_for(count: int, of: str) -> str:
    """What decided a ban: `5 failures`, `3 bans`."""
    return counted(count, ONE_OF.get(of, of), of)


def as_user(user: str | None) -> str:
    """As whom all the failures were that a jail counted, where it counts users; begins with a space."""
    return "" if user is None else f' as user "{user}"'


def size(size_bytes: int) -> str:
    """A size as people read it: a MB is 2**20 bytes, as in the configuration."""
    small = size_bytes < MEGABYTE // 10
    return f"{size_bytes / 1_024:.0f} kB" if small else f"{size_bytes / MEGABYTE:,.1f} MB"


def some(names: Sequence[Any], most: int, rest: str = "") -> str:
    """The first of some names, and how many more there are; `rest`: where they all are."""
    left = len(names) - most
    more = [f"and {left} more{rest}"] if left > 0 else []
    return ", ".join([*map(str, names[:most]), *more])


def named(names: Sequence[str], most: int) -> str:
    """The same in the midst of a sentence."""
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left} more" if left > 0 else "")
