"""How lines become events: filters by name, from the library, from a user's file, or from fail2ban's."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Final

from producers.filters import fail2ban
from producers.filters.native.filter import LIBRARY, NativeFilter, library_names, own_filter, read_filter
from producers.filters.rows import Filter, Matcher, Needle, Needles, Row
from schemas.errors import ConfigError

__all__ = [
    "AUTO",
    "Filter",
    "Matcher",
    "NativeFilter",
    "Needle",
    "Needles",
    "Row",
    "every_filter",
    "filter_names",
    "filters_of",
    "load_filter",
    "warnings_of",
]

AUTO: Final = "auto"
"""The name that stands for whichever filter of the library a line is for."""


def filter_names() -> list[str]:
    """The names of the library's filters."""
    return list(library_names())


@cache
def every_filter() -> tuple[NativeFilter, ...]:
    """The whole library, in the order in which a line is routed: those of many services come last."""
    filters = [read_filter(LIBRARY / f"{name}.toml", name) for name in library_names()]
    return tuple(sorted(filters, key=lambda each: (each.definition.generic, each.name)))


def load_filter(name: str) -> Filter:
    """The filter of a name, of a path that ends in `.toml`, or of fail2ban's, as `fail2ban.load` names it.

    Raises ConfigError when there is none, and for what is wrong in it.
    """
    if name in library_names():
        return read_filter(LIBRARY / f"{name}.toml", name)
    if name.endswith(".toml"):
        return own_filter(Path(name), name)
    if fail2ban.is_named(name):
        return fail2ban.load(name)
    close = get_close_matches(name, library_names(), n=1, cutoff=0.75)
    near = "".join(f"; did you mean {each}?" for each in close)
    raise ConfigError(f"no filter is named {name!r}{near}; see `banstream filters list`")


def filters_of(names: Sequence[str], *, auto: bool) -> list[Filter]:
    """The filters of names, then, if `auto`, the rest of the library. Raises ConfigError."""
    named = [load_filter(name) for name in names]
    return [*named, *(each for each in every_filter() if each.name not in names)] if auto else named


def warnings_of(filter_: Filter) -> list[str]:
    """What a person should know of a filter that is used nevertheless, a sentence each."""
    return fail2ban.slow(filter_) if isinstance(filter_, fail2ban.Fail2banFilter) else []
