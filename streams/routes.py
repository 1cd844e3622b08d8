"""Which jails an event concerns: looked up once per filter, source and host, then remembered."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from streams.jail import JailState

SEPARATOR: Final = "\n"
MOST_REMEMBERED: Final = 10_000


class Routes(dict[str, tuple[JailState, ...]]):
    """From a route to its jails.

    A route is the filter's name, or filter, source and host joined by SEPARATOR where a jail asks for those.

    Attributes:
        selective: some jail selects by source or host, so that routes must name them.
        kinds: the kinds of event that can change anything in some jail.
    """

    __slots__ = ("_jails", "kinds", "selective")

    def __init__(self, jails: Iterable[JailState]) -> None:
        super().__init__()
        self._jails = tuple(jails)
        self.selective = any(jail.rules.sources or jail.rules.hosts for jail in self._jails)
        forgiving = {"succeeded"} if any(jail.rules.forgive for jail in self._jails) else set[str]()
        self.kinds = frozenset[str]().union(forgiving, *(jail.kinds for jail in self._jails))

    def __missing__(self, route: str) -> tuple[JailState, ...]:
        """Find the jails of a route not seen before."""
        filter_name, _, rest = route.partition(SEPARATOR)
        source, _, host = rest.partition(SEPARATOR)
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        found = tuple(jail for jail in self._jails if _selects(jail, filter_name, source, host))
        self[route] = found
        return found


def route_to(filter_name: str, source: str, host: str | None) -> str:
    """The route of an event where jails are selective."""
    return SEPARATOR.join((filter_name, source, host or ""))


def _selects(jail: JailState, filter_name: str, source: str, host: str) -> bool:
    rules = jail.rules
    if filter_name not in rules.filters or (rules.hosts and host not in rules.hosts):
        return False
    return not rules.sources or any(fnmatchcase(source, wanted) for wanted in rules.sources)
