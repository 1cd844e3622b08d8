"""What another configuration changes, a sentence each: rules, sources, what is this host's alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

from banstream.config import Settings
from schemas.differences import differences, shown

KEYS: Final = {"max_log_bytes": "log.max_size", "log_url": "log.url"}
OWN: Final = ("sources", "start", "usedns", "timezone", "layout")
"""What of a jail is no rule."""
ELSEWHERE: Final = frozenset(
    {"jails", "files", "lateness_ms", "max_subjects", "waiting", "configuration", "sinks", "intakes"}
)
"""Told as rules, by their content, or in sentences of their own."""


def changed(old: Settings, new: Settings) -> list[str]:
    """What the new settings change."""
    keys = _keys("", _fields(old, ELSEWHERE), _fields(new, ELSEWHERE))
    return [
        *differences(old.rules(), new.rules()),
        *_sources(old, new),
        *_sinks(old, new),
        *_intakes(old, new),
        *keys,
    ]


def _sources(old: Settings, new: Settings) -> Iterator[str]:
    before = {jail.rules.name: jail for jail in old.jails}
    for jail in new.jails:
        name, was = jail.rules.name, before.get(jail.rules.name)
        if was is not None:
            yield from _keys(f"jail {name}: ", _own(was), _own(jail))


def _sinks(old: Settings, new: Settings) -> Iterator[str]:
    before, after = ({sink.name: sink for sink in settings.sinks} for settings in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            yield f"sink {name} is new"
        elif name not in after:
            yield f"sink {name} is gone"
        elif before[name] != after[name]:
            yield f"sink {name} is another: to {after[name].shown} as {after[name].format}"


def _intakes(old: Settings, new: Settings) -> Iterator[str]:
    before, after = ({each.name: each for each in settings.intakes} for settings in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            state = "new" if name not in before else "gone" if name not in after else "another"
            yield f"intake {name} is {state}"


def _own(jail: object) -> dict[str, Any]:
    return {name: getattr(jail, name) for name in OWN}


def _keys(begin: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name, value in new.items():
        if value == old[name]:
            continue
        if hasattr(value, "__dataclass_fields__"):
            yield from _keys(f"{name}.", _fields(old[name]), _fields(value))
        else:
            yield f"{begin}{name} = {shown(value)}, was {shown(old[name])}"


def _fields(settings: Any, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    names = (each.name for each in fields(settings))
    return {KEYS.get(name, name): getattr(settings, name) for name in names if name not in without}
