"""What a producer watches, made from the jails of the configuration."""

from __future__ import annotations

from collections.abc import Mapping

from banstream.jails import JailSettings, Start
from producers.producer import WatchedSource


def watches(jails: tuple[JailSettings, ...], labels: Mapping[str, str]) -> list[WatchedSource]:
    """Each source once, with every filter that some jail wants on it; `labels` are put on every event."""
    found: dict[str, WatchedSource] = {}
    for jail in jails:
        for spec in jail.sources:
            old = found.get(spec)
            found[spec] = WatchedSource(
                source=spec,
                filters=tuple(dict.fromkeys((*(old.filters if old else ()), *_named(jail)))),
                auto=jail.auto or (old is not None and old.auto),
                start=jail.start if old is None else _earlier(old.start, jail.start),
                labels=labels,
                timezone=jail.timezone,
                recent_ms=max(jail.rules.findtime_ms, old.recent_ms if old else 0),
            )
    return list(found.values())


def _named(jail: JailSettings) -> tuple[str, ...]:
    return () if jail.auto else jail.rules.filters


def _earlier(one: Start, other: Start) -> Start:
    """Where two jails' sources begin: at the earlier of both places."""
    return "beginning" if "beginning" in {one, other} else "recent" if "recent" in {one, other} else "end"
