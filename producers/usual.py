"""Where this machine has the lines of a filter, when nobody says."""

from __future__ import annotations

from collections.abc import Sequence

from producers.filters import load_filter
from producers.library import AUTO
from producers.sources import SSHD_JOURNAL, SSHD_LOGS, check_source, default_sources, missing_files

SSHD = "sshd"
FILE = "file:"


def usual_sources(filters: Sequence[str]) -> tuple[str, ...]:
    """What there is of the places where these filters' services log; empty when there is none.

    For `auto` and for sshd: the log of logins, else the journal of sshd. A journal is there where it can be
    asked, whether or not it has anything yet.
    """
    if not filters or set(filters) & {AUTO, SSHD}:
        return tuple(default_sources())
    return tuple(filter(is_there, _places(filters)))


def usual_places(filters: Sequence[str]) -> tuple[str, ...]:
    """Where these filters' services log, whether or not this machine has anything there."""
    if not filters or set(filters) & {AUTO, SSHD}:
        return (*(f"{FILE}{path}" for path in SSHD_LOGS), SSHD_JOURNAL)
    return _places(filters)


def _places(filters: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(spec for name in filters for spec in load_filter(name).sources))


def is_there(spec: str) -> bool:
    """Whether this machine has a source: a file, or a journal that can be asked."""
    return not check_source(spec) and not (spec.startswith(FILE) and missing_files(spec))
