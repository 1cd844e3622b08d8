"""How lines become events: filters by name, from the library, from a user's file, or from fail2ban's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from producers.filters.native.filter import NativeFilter, own_filter, read_filter
from producers.filters.native.remembered import with_needles
from producers.filters.rows import EventRow, Filter, Matcher, Needle, Needles
from producers.library import LIBRARY, OWN_ENDING, check_name, library_names
from schemas.errors import ConfigError

__all__ = [
    "EventRow",
    "Filter",
    "Matcher",
    "NativeFilter",
    "Needle",
    "Needles",
    "every_filter",
    "filters_of",
    "load_filter",
    "load_native",
]


NONE_KNOWN: Final[Mapping[str, Filter]] = {}


@cache
def every_filter() -> tuple[NativeFilter, ...]:
    """The library, in the order in which a line is routed, but for who reads requests: a jail names that.

    Those of many services come last, and of these who looks for probes alone.
    """
    library = [read_filter(LIBRARY / f"{name}.toml", name) for name in library_names()]
    filters = [each for each in library if "request" not in each.definition.counts]
    with_needles(pattern for each in filters if each.engine is None for pattern in each.rules.patterns)
    return tuple(sorted(filters, key=_turn))


def _turn(each: NativeFilter) -> tuple[bool, bool, str]:
    told = each.definition
    return told.generic, told.generic and "failed" not in told.counts, told.name


def load_filter(name: str, *, journal: bool = False) -> Filter:
    """The filter of a name, of a path that ends in `.toml`, or of fail2ban's, as `fail2ban.load` names it.

    `journal`: its lines are the journal's, which fail2ban's filters read otherwise than a file's.
    Raises ConfigError when there is none, and for what is wrong in it.
    """
    check_name(name)
    if _is_native(name):
        return load_native(name)
    from producers.filters import fail2ban  # noqa: PLC0415 - megabytes, for who uses fail2ban's filters

    return fail2ban.load(name, logtype="journal" if journal else "file")


def files_of(name: str) -> list[Path]:
    """The files that a filter outside the library is read from. Raises ConfigError as `load_filter`."""
    check_name(name)
    if _is_native(name):
        return [] if name in library_names() else [Path(name)]
    from producers.filters.fail2ban.files import parse_specification, read_text  # noqa: PLC0415 - as above

    return read_text(parse_specification(name)).files


def load_native(name: str) -> NativeFilter:
    """The filter of the library, or in a user's own file, that has samples to prove itself by.

    Raises ConfigError as `load_filter`, and for one of fail2ban's.
    """
    check_name(name)
    if not _is_native(name):
        raise ConfigError(f"{name}: a filter of fail2ban's has no samples to test")
    if name in library_names():
        return read_filter(LIBRARY / f"{name}.toml", name)
    return own_filter(Path(name), name)


def _is_native(name: str) -> bool:
    return name in library_names() or name.endswith(OWN_ENDING)


def filters_of(
    names: Sequence[str],
    *,
    auto: bool,
    journal: bool = False,
    layout: str = "",
    known: Mapping[str, Filter] = NONE_KNOWN,
) -> list[Filter]:
    """The filters of names, then, if `auto`, the rest of the library. Raises as `load_filter`.

    `layout`: how the lines of access logs begin. `known`: filters that need not be loaded, by name.
    """
    named = [known[name] if name in known else load_filter(name, journal=journal) for name in names]
    rest = [each for each in every_filter() if each.name not in names] if auto else []
    return laid_out([*named, *rest], layout)


def laid_out(filters: Sequence[Filter], layout: str) -> list[Filter]:
    """The filters, over access logs whose lines begin so."""
    return [each.laid_out(layout) if isinstance(each, NativeFilter) else each for each in filters]
