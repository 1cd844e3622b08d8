"""What other rules change, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from schemas.durations import format_duration, parse_duration
from schemas.rules import Rules

MS: Final = "_ms"
FOR_EVER: Final = "bantime"
"""The key of which None means for ever; of others it means none."""
MOST_LISTED: Final = 10


def differences(old: Rules, new: Rules) -> list[str]:
    """What other rules change, a sentence each; none exactly where they are equal.

    First what holds for all, then jail by jail in the order of their names.
    """
    told = list(_of_all(old, new))
    before, after = ({jail.name: jail for jail in rules.jails} for rules in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            told.append(f"jail {name} is new")
        elif name not in after:
            told.append(f"jail {name} is gone; its bans stay until their end")
        else:
            told += (f"jail {name}: {said}" for said in _within("", before[name], after[name]))
    if list(before) != list(after) and before.keys() == after.keys():
        told.append(f"jails stand in another order, and decide in it: {_listed(tuple(after))}")
    return told


def shown(value: object, key: str = "") -> str:  # noqa: PLR0911 - one for each kind of value
    """A value as people read it; of a `key` that is a duration, as one."""
    match value:
        case None:
            return format_duration(None) if key == FOR_EVER + MS else "none"
        case bool():
            return str(value)
        case int() if key.endswith(MS):
            text = format_duration(value)
            return text if parse_duration(text) == value else f"{value} ms"
        case float():
            return f"{value:g}"
        case tuple():
            return _listed(tuple(map(shown, value))) or "none"
        case Mapping():
            return ", ".join(f"{name}={each}" for name, each in value.items()) or "none"
        case _ if is_dataclass(value):
            told = ((each.name, getattr(value, each.name)) for each in fields(value))
            named = (f"{_key(name)} = {shown(each, name)}" for name, each in told if _says(name, each))
            return f"{{ {', '.join(named)} }}"
        case _:
            return str(value)


def _of_all(old: Rules, new: Rules) -> Iterator[str]:
    for name in (each.name for each in fields(Rules) if each.name != "jails"):
        yield from _changed(name, getattr(old, name), getattr(new, name))


def _within(path: str, old: Any, new: Any) -> Iterator[str]:
    """What differs between two of a kind."""
    for each in fields(new):
        yield from _changed(f"{path}{each.name}", getattr(old, each.name), getattr(new, each.name))


def _changed(name: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if is_dataclass(old) and type(old) is type(new):
        yield from _within(f"{name}.", old, new)
    elif isinstance(old, tuple) and len(old) == len(new) and all(map(is_dataclass, (*old, *new))):
        for place, (one, other) in enumerate(zip(old, new, strict=True), start=1):
            yield from _within(f"{name}.{place}.", one, other)
    elif isinstance(old, tuple) and _are_names((*old, *new)) and not set(old).isdisjoint(new):
        yield f"{name} {_gains(old, new)}"
    else:
        yield f"{_key(name)} = {shown(new, name)}, was {shown(old, name)}"


def _gains(old: tuple[str, ...], new: tuple[str, ...]) -> str:
    """How a list of names has changed."""
    more = tuple(each for each in new if each not in old)
    less = tuple(each for each in old if each not in new)
    parts = [f"gains {_listed(more)}"] * bool(more) + [f"loses {_listed(less)}"] * bool(less)
    return ", and ".join(parts) or f"stand in another order: {_listed(new)}"


def _are_names(values: tuple[object, ...]) -> bool:
    return all(isinstance(each, str) for each in values)


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more


def _says(name: str, value: object) -> bool:
    """Whether a field of a table is worth a word."""
    return (value is not None or name == FOR_EVER + MS) and value is not False and value not in {(), ""}


def _key(name: str) -> str:
    """A field as the configuration calls it."""
    return name.removesuffix(MS)
