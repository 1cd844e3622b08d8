"""Which jails an event concerns: looked up once per filter, source and host, then remembered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

import orjson

from streams.jail import JailState

SEPARATOR: Final = "\n"
MOST_REMEMBERED: Final = 10_000


class Origin(NamedTuple):
    """Where an event came from, as far as jails ask."""

    filter_name: str
    source: str
    host: str
    labels: Mapping[str, str]


class Routes(dict[str, tuple[JailState, ...]]):
    """From a route to its jails.

    A route is the filter's name, or filter, source, host and labels (as JSON, so that nothing in them is
    taken for a separator) joined by SEPARATOR where a jail asks for those.

    Attributes:
        selective: some jail selects by source, host or labels, so that routes must name them.
        kinds: the kinds of event that can change anything in some jail.
        decoys: the users that are decoys of some jail.
        valued: some jail counts users or ports, so that rows must have them.
    """

    __slots__ = ("_jails", "decoys", "kinds", "selective", "valued")

    def __init__(self, jails: Iterable[JailState]) -> None:
        super().__init__()
        self._jails = tuple(jails)
        self.selective = any(
            jail.rules.sources or jail.rules.hosts or jail.rules.labels for jail in self._jails
        )
        self.valued = any(
            jail.rules.distinct in {"user", "port"}
            or jail.rules.count != "address"
            or jail.rules.behaviour is not None
            for jail in self._jails
        )
        self.decoys = frozenset(name for jail in self._jails for name in jail.rules.decoy_users)
        forgiving = {"succeeded"} if any(jail.rules.forgive for jail in self._jails) else set[str]()
        self.kinds = frozenset[str]().union(forgiving, *(jail.kinds for jail in self._jails))

    def __missing__(self, route: str) -> tuple[JailState, ...]:
        """Find the jails of a route not seen before."""
        origin = _origin_of(route) if self.selective else Origin(route.partition(SEPARATOR)[0], "", "", {})
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        found = tuple(jail for jail in self._jails if _selects(jail, origin))
        self[route] = found
        return found


def _origin_of(route: str) -> Origin:
    """What a route names, where jails ask for more than the filter."""
    filter_name, source, host, labels = route.split(SEPARATOR)
    return Origin(filter_name, source, host, orjson.loads(labels) if labels else {})


def route_to(filter_name: str, source: str, host: str | None, labels: Mapping[str, str] | None = None) -> str:
    """The route of an event where jails are selective."""
    text = orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode() if labels else ""
    parts = (filter_name, source, host or "", text)
    route = SEPARATOR.join(parts)
    if route.count(SEPARATOR) >= len(parts):  # whoever may write events may write it into a name
        route = SEPARATOR.join(part.replace(SEPARATOR, " ") for part in parts)
    return route


def _selects(jail: JailState, origin: Origin) -> bool:
    rules = jail.rules
    if origin.filter_name not in rules.filters or (rules.hosts and origin.host not in rules.hosts):
        return False
    if not rules.labels.items() <= origin.labels.items():
        return False
    return not rules.sources or any(fnmatchcase(origin.source, wanted) for wanted in rules.sources)
