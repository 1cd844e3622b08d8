"""A replay of some events alone: of these hosts, sources or filters, as if no jail counted any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from schemas.errors import ConfigError
from schemas.rules import Jail, Rules


@dataclass(frozen=True, slots=True)
class Only:
    """Which events count; empty: all."""

    hosts: Sequence[str] = ()
    sources: Sequence[str] = ()
    filters: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.hosts or self.sources or self.filters)


def narrowed(rules: Rules, only: Only) -> Rules:
    """Rules that count these events alone; ConfigError where no jail is left that counts any."""
    if not only:
        return rules
    jails = [_narrowed(jail, only) for jail in rules.jails]
    left = tuple(jail for jail in jails if jail is not None)
    if not any(jail.on == "events" for jail in left):
        said = ", ".join((*only.filters, *only.sources, *only.hosts))
        raise ConfigError(f"no jail counts events of {said}: see what jails have")
    return replace(rules, jails=left)


def _narrowed(jail: Jail, only: Only) -> Jail | None:
    if jail.on == "bans":
        return jail
    filters = tuple(name for name in jail.filters if not only.filters or name in only.filters)
    hosts = tuple(name for name in only.hosts if not jail.hosts or name in jail.hosts)
    sources = tuple(
        wanted
        for wanted in only.sources
        if not jail.sources or any(fnmatchcase(wanted, own) for own in jail.sources)
    )
    if not filters or (only.hosts and not hosts) or (only.sources and not sources):
        return None
    return replace(jail, filters=filters, hosts=hosts or jail.hosts, sources=sources or jail.sources)
