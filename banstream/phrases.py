"""How people are told of jails, sizes and lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from banstream.show import counted
from schemas.durations import format_duration
from schemas.rules import Jail

MEGABYTE: Final = 1 << 20
ONE_OF: Final[Mapping[str, str]] = {"failures": "failure", "bans": "ban", "addresses": "address"}
"""What is counted (schemas.records.Counted), where there is one."""


def threshold(jail: Jail) -> str:
    """When a jail bans, and for how long."""
    plain = jail.kinds == ("failed",) or jail.on == "bans"
    what = "ban" if jail.on == "bans" else "failure" if plain else "event"
    kinds = "" if plain else f" ({' or '.join(jail.kinds)})"
    lasting = "for ever" if jail.bantime_ms is None else f"for {format_duration(jail.bantime_ms)}"
    growing = ", longer each time" if jail.increment is not None and jail.bantime_ms is not None else ""
    within = format_duration(jail.findtime_ms)
    return f"{counted(jail.maxretry, what)}{kinds} within {within} ban {lasting}{growing}"


def what_for(count: int, of: str) -> str:
    """What decided a ban: `5 failures`, `3 bans`."""
    return counted(count, ONE_OF.get(of, of), of)


def escalating(jail: Jail) -> str | None:
    """When a jail bans a network, and for how long; None where it does not."""
    rules = jail.escalate
    if rules is None:
        return None
    lasting = "for ever" if rules.bantime_ms is None else f"for {format_duration(rules.bantime_ms)}"
    within = format_duration(rules.findtime_ms)
    return f"{rules.addresses} addresses of a /{rules.ipv4} or /{rules.ipv6} within {within} ban it {lasting}"


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
