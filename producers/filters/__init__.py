"""How lines become events: filters by name, from the library, from a user's file, or from fail2ban's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from producers.filters.native.filter import NativeFilter, own_filter, read_filter
from producers.filters.native.remembered import with_needles
from producers.filters.rows import Filter, Matcher, Needle, Needles, Row
from producers.library import LIBRARY, OWN_ENDING, check_name, library_names

__all__ = [
    "Filter",
    "Matcher",
    "NativeFilter",
    "Needle",
    "Needles",
    "Row",
    "every_filter",
    "filters_of",
    "load_filter",
    "warnings_of",
]


@cache
def every_filter() -> tuple[NativeFilter, ...]:
    """The whole library, in the order in which a line is routed: those of many services come last."""
    filters = [read_filter(LIBRARY / f"{name}.toml", name) for name in library_names()]
    with_needles(pattern for each in filters if each.engine is None for pattern in each.rules.patterns)
    return tuple(sorted(filters, key=lambda each: (each.definition.generic, each.name)))


def load_filter(name: str) -> Filter:
    """The filter of a name, of a path that ends in `.toml`, or of fail2ban's, as `fail2ban.load` names it.

    Raises ConfigError when there is none, and for what is wrong in it.
    """
    check_name(name)
    if name in library_names():
        return read_filter(LIBRARY / f"{name}.toml", name)
    if name.endswith(OWN_ENDING):
        return own_filter(Path(name), name)
    from producers.filters import fail2ban  # noqa: PLC0415 - megabytes, for who uses fail2ban's filters

    return fail2ban.load(name)


def filters_of(names: Sequence[str], *, auto: bool) -> list[Filter]:
    """The filters of names, then, if `auto`, the rest of the library. Raises ConfigError."""
    named = [load_filter(name) for name in names]
    return [*named, *(each for each in every_filter() if each.name not in names)] if auto else named


def warnings_of(filter_: Filter) -> list[str]:
    """What a person should know of a filter that is used nevertheless, a sentence each."""
    if isinstance(filter_, NativeFilter):
        return []
    from producers.filters import fail2ban  # noqa: PLC0415 - as in load_filter

    return fail2ban.slow(filter_) if isinstance(filter_, fail2ban.Fail2banFilter) else []
