"""Which technique of MITRE ATT&CK an event is a sign of, as its filter says it.

| the filter | is asked |
|---|---|
| of the library, or a user's own that a jail of this configuration names | its table, else its file |
| fail2ban's, or one that is known elsewhere alone | by its name (sinks.techniques) |

A file's technique is that of failures and probes; where it is guessing, of failures alone: a probe is a scan,
and guessing without a user's name is brute force. A login that succeeded is no sign of anything. Where the
tables of one kind differ, an event's line is read once more to find its own; one that tells nothing by itself
is as the file says.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from banstream.config import Settings
from producers.filters.entries import unwrap
from producers.filters.native.definition import Definition
from producers.filters.native.filter import NativeFilter, own_filter, read_filter
from producers.library import LIBRARY, OWN_ENDING, library_names
from schemas.codec import AuthLine
from schemas.errors import ConfigError
from schemas.records import AuthEvent
from schemas.techniques import GUESSING
from sinks.techniques import technique_by_name, usual_technique

MOST_KNOWN: Final = 4_096


def own_filters(settings: Settings) -> tuple[str, ...]:
    """Users' own filters that the jails of a configuration name, sorted."""
    names = {name for jail in settings.jails for name in jail.rules.filters if name.endswith(OWN_ENDING)}
    return tuple(sorted(names))


EventSort = tuple[str, str, bool]
"""An event's filter, its kind, and whether it names a user."""


class Techniques:
    """Says it of events; asks each filter once."""

    def __init__(self, own: Iterable[str] = ()) -> None:
        """`own`: paths of users' own filters; no other that an event names is opened: a host may say any."""
        self._own = frozenset(own)
        self._library = frozenset(library_names())
        self._known: dict[EventSort, str | NativeFilter] = {}

    def __call__(self, event: AuthLine | AuthEvent) -> str:
        """The id of its technique; empty where none fits."""
        key = event.filter, event.kind, bool(event.user)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            found = self._known[key] = self._asked(event)
        return found if isinstance(found, str) else _of_line(found, event)

    def _asked(self, event: AuthLine | AuthEvent) -> str | NativeFilter:
        filter_ = self._filter(event.filter)
        if filter_ is None:
            return technique_by_name(event)
        told = {rule.technique for rule in filter_.definition.rules if rule.kind == event.kind}
        if len(told) > 1:
            return filter_
        return told.pop() if any(told) else _usual(filter_.definition, event)

    def _filter(self, name: str) -> NativeFilter | None:
        plain = name.partition("[")[0]
        try:
            if plain in self._library:
                return read_filter(LIBRARY / f"{plain}{OWN_ENDING}", plain)
            return own_filter(Path(name), name) if name in self._own else None
        except ConfigError:
            return None


def _usual(definition: Definition, event: AuthLine | AuthEvent) -> str:
    """As the file says it; who probes guesses nothing yet."""
    told = definition.technique
    if event.kind == "succeeded" or (event.kind == "request" and "request" not in definition.counts):
        return ""
    if told in {"", GUESSING}:
        return usual_technique(event.kind, named=bool(event.user))
    return told


def _of_line(filter_: NativeFilter, event: AuthLine | AuthEvent) -> str:
    found = filter_.rules.first(unwrap(event.line.encode("utf-8", "surrogatepass")))
    rule = None if found is None else found[0].rule
    told = "" if rule is None or rule.kind != event.kind else rule.technique
    return told or _usual(filter_.definition, event)
