"""What a producer watches, made from the jails of the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from fnmatch import fnmatch
from pathlib import Path

from banstream.jails import JailSettings, Start
from producers.intakes.settings import Intake
from producers.producer import WatchedSource
from producers.requests import REQUEST
from producers.sparing import Arguments
from producers.zones import zone_of


def watches(
    jails: tuple[JailSettings, ...], labels: Mapping[str, str], intakes: Sequence[Intake] = ()
) -> list[WatchedSource]:
    """Each source once, with every filter that some jail wants on it; `labels` are put on every event."""
    found: dict[str, WatchedSource] = {}
    listening = {intake.listen: intake for intake in intakes}
    for jail in jails:
        for spec in jail.sources if jail.reads else ():
            old = found.get(spec)
            found[spec] = WatchedSource(
                source=spec,
                filters=tuple(dict.fromkeys((*(old.filters if old else ()), *_named(jail)))),
                auto=jail.auto or (old is not None and old.auto),
                start=jail.start if old is None else _earlier(old.start, jail.start),
                usedns=jail.usedns if old is None else _either(old.usedns, jail.usedns),
                labels=labels,
                timezone=jail.timezone,
                layout=jail.layout,
                kept=(old.kept if old else frozenset()).union(_named(jail) if jail.keeps_filters else ()),
                decoy_paths=(old.decoy_paths if old else frozenset[str]()).union(jail.rules.decoy_paths),
                rated=REQUEST in jail.rules.kinds or (old is not None and old.rated),
                commands=_commands(jail, old),
                recent_ms=max(jail.rules.findtime_ms, old.recent_ms if old else 0),
                intake=listening.get(spec),
            )
    return list(found.values())


def form_of_file(path: str, jails: Sequence[JailSettings]) -> tuple[tzinfo | None, str]:
    """The zone of a file's times, and the layout of its lines if it is an access log.

    As the jails say that read it, or what it was rotated from; else all jails. Where these do not agree: the
    local zone (None), and no layout.
    """
    name = str(Path(path).absolute())
    own = [jail for jail in jails if any(fnmatch(f"file:{name}", f"{each}*") for each in jail.sources)]
    zones = {jail.timezone for jail in own or jails}
    layouts = {jail.layout for jail in own or jails}
    zone = zones.pop() if len(zones) == 1 else ""
    return zone_of(zone) if zone else None, layouts.pop() if len(layouts) == 1 else ""


def _commands(jail: JailSettings, old: WatchedSource | None) -> dict[str, frozenset[Arguments]]:
    """By filter, which commands are asked whom to spare."""
    found = dict(old.commands) if old else {}
    command = jail.rules.ignorecommand
    for name in jail.rules.filters if command else ():
        found[name] = found.get(name, frozenset[Arguments]()) | {command}
    return found


def _named(jail: JailSettings) -> tuple[str, ...]:
    return () if jail.auto else jail.rules.filters


def _earlier(one: Start, other: Start) -> Start:
    """Where two jails' sources begin: at the earlier of both places."""
    return "beginning" if "beginning" in {one, other} else "recent" if "recent" in {one, other} else "end"


def _either(one: bool | None, other: bool | None) -> bool | None:  # noqa: FBT001 - the two are alike
    """Whether names become addresses for two jails on one source: where one wants them, they do."""
    return one if other is None else other if one is None else one or other
