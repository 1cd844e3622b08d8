"""How people are told of jails, sizes and lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from banstream.show import counted
from schemas.durations import format_duration
from schemas.rules import Jail

MEGABYTE = 1_000_000


def threshold(jail: Jail) -> str:
    """When a jail bans, and for how long."""
    what = "failure" if jail.kinds == ("failed",) else "event"
    kinds = "" if jail.kinds == ("failed",) else f" ({' or '.join(jail.kinds)})"
    lasting = "for ever" if jail.bantime_ms is None else f"for {format_duration(jail.bantime_ms)}"
    return f"{counted(jail.maxretry, what)}{kinds} within {format_duration(jail.findtime_ms)} ban {lasting}"


def size(size_bytes: int) -> str:
    """A size as people read it."""
    return (
        f"{size_bytes / MEGABYTE:,.1f} MB" if size_bytes >= MEGABYTE / 10 else f"{size_bytes / 1_000:.0f} kB"
    )


def some(names: Sequence[Any], most: int, rest: str = "") -> str:
    """The first of some names, and how many more there are; `rest`: where they all are."""
    left = len(names) - most
    more = [f"and {left} more{rest}"] if left > 0 else []
    return ", ".join([*map(str, names[:most]), *more])
