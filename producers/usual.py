"""Where this machine has the lines of a filter, when nobody says."""

from __future__ import annotations

from collections.abc import Sequence

from producers.filters import load_filter
from producers.library import AUTO
from producers.sources import check_source, default_sources, missing_files

SSHD = "sshd"
FILE = "file:"


def usual_sources(filters: Sequence[str]) -> tuple[str, ...]:
    """What there is of the places where these filters' services log; empty when there is none.

    For `auto` and for sshd: the log of logins, else the journal of sshd. A journal is there where it can be
    asked, whether or not it has anything yet.
    """
    if not filters or set(filters) & {AUTO, SSHD}:
        return tuple(default_sources())
    specs = (spec for name in filters for spec in load_filter(name).sources)
    return tuple(dict.fromkeys(filter(_is_there, specs)))


def _is_there(spec: str) -> bool:
    return not check_source(spec) and not (spec.startswith(FILE) and missing_files(spec))
