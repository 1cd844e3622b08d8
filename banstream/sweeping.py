"""A sweep: the settings of a grid as rules, each over all jails or over one.

`maxretry=3..8` and `findtime=1m,10m,1h` make 18 settings; `sshd.maxretry=...` is about that jail alone. What
is about all jails leaves alone those on bans and, of maxretry, those with several steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

from banstream import values
from schemas.bounds import MOST_RETRY
from schemas.durations import format_duration
from schemas.errors import ConfigError, InvalidMessage
from schemas.rules import Jail, Rules

MOST_SETTINGS: Final = 400
RANGE: Final = re.compile(r"(\d{1,9})\.\.(\d{1,9})", re.ASCII)
SHAPE: Final = "expected [JAIL.]KEY=VALUES, such as maxretry=3..8 or sshd.findtime=1m,10m,1h"


def _retries(word: str) -> int:
    return values.between(1, MOST_RETRY)(int(word) if word.isdecimal() else word)


READERS: Final[Mapping[str, tuple[str, Callable[[str], int | None]]]] = {
    "maxretry": ("maxretry", _retries),
    "findtime": ("findtime_ms", values.duration_ms),
    "bantime": ("bantime_ms", values.bantime_ms),
}
"""What may be swept, by its name: a jail's field, and how a value is read."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that is swept: of a jail, or of all (empty), a key and its values."""

    jail: str
    key: str
    values: tuple[int | None, ...]

    @property
    def name(self) -> str:
        """As it was given."""
        return f"{self.jail}.{self.key}" if self.jail else self.key


@dataclass(frozen=True, slots=True)
class Setting:
    """One place in the grid, and the rules that it makes; `chosen`: a value for each axis."""

    chosen: tuple[tuple[Axis, int | None], ...]
    rules: Rules

    @property
    def shown(self) -> list[str]:
        """Its values for people, in the order of the axes."""
        return [_shown(axis.key, value) for axis, value in self.chosen]

    def to_wire(self) -> dict[str, Any]:
        """Its values by name, durations in milliseconds."""
        return {axis.name + ("" if axis.key == "maxretry" else "_ms"): value for axis, value in self.chosen}


def _shown(key: str, value: int | None) -> str:
    if key == "maxretry":
        return str(value)
    return "for ever" if value is None else format_duration(value)


def read_axis(text: str) -> Axis:
    """One `--sweep`; ConfigError that says what is wrong with it."""
    name, equals, said = text.partition("=")
    jail, _, key = name.rpartition(".")
    if not equals or key not in READERS:
        raise ConfigError(f"--sweep {text}: {SHAPE}; keys are {', '.join(READERS)}")
    try:
        found = tuple(dict.fromkeys(READERS[key][1](word) for word in _words(said)))
    except ValueError as error:
        raise ConfigError(f"--sweep {text}: expected {error}") from error
    return Axis(jail, key, found)


def _words(said: str) -> Iterator[str]:
    for word in said.split(","):
        span = RANGE.fullmatch(word.strip())
        if span is None:
            yield word.strip()
            continue
        first, last = int(span[1]), int(span[2])
        if not first <= last <= first + MOST_SETTINGS:
            raise ValueError(f"FIRST..LAST, at most {MOST_SETTINGS} of them, not {word.strip()}")
        yield from map(str, range(first, last + 1))


def settings_of(rules: Rules, swept: Sequence[str]) -> list[Setting]:
    """The grid of these `--sweep`s over rules; ConfigError where one of its places is no rules."""
    axes = [read_axis(text) for text in swept]
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names):
        raise ConfigError("--sweep: each key once: its values are separated by commas")
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > MOST_SETTINGS:
        raise ConfigError(f"--sweep: {count} settings; expected at most {MOST_SETTINGS}")
    places = product(*(axis.values for axis in axes))
    return [_setting(rules, tuple(zip(axes, place, strict=True))) for place in places]


def _setting(rules: Rules, chosen: tuple[tuple[Axis, int | None], ...]) -> Setting:
    made = rules
    for axis, value in sorted(chosen, key=lambda each: bool(each[0].jail)):
        made = _changed(made, axis, value)
    try:
        Rules.from_wire(made.to_wire())
    except InvalidMessage as error:
        said = " ".join(f"{axis.name}={_shown(axis.key, value)}" for axis, value in chosen)
        raise ConfigError(f"--sweep: {said} makes no rules: {error}") from error
    return Setting(chosen, made)


def _changed(rules: Rules, axis: Axis, value: int | None) -> Rules:
    field = READERS[axis.key][0]
    concerned = [jail.name for jail in rules.jails if _concerns(axis, jail)]
    if not concerned:
        known = ", ".join(jail.name for jail in rules.jails) or "none"
        raise ConfigError(f"--sweep {axis.name}: no such jail that it could be about; jails are {known}")
    change: dict[str, Any] = {field: value}
    jails = (replace(jail, **change) if jail.name in concerned else jail for jail in rules.jails)
    return replace(rules, jails=tuple(jails))


def _concerns(axis: Axis, jail: Jail) -> bool:
    if axis.jail:
        return jail.name == axis.jail
    return jail.on == "events" and not (jail.steps and axis.key != "bantime")
