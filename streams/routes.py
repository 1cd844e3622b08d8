"""Which jails an event concerns: looked up once per filter, source and host, then remembered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

import orjson

from schemas.sparing import command_id
from streams.jail import JailState

SEPARATOR: Final = "\n"
REQUEST: Final = "request"
"""The kind of events that jails count by the number of requests that they stand for (streams.asking)."""
MOST_REMEMBERED: Final = 10_000


class Origin(NamedTuple):
    """Where an event came from, as far as jails ask."""

    filter_name: str
    source: str
    host: str
    labels: Mapping[str, str]
    country: str | None = None
    asn: int | None = None
    spared: Sequence[str] = ()


class Regions(NamedTuple):
    """What some jail names of an address' facts: what else there is makes no difference.

    Attributes:
        commands: by what events call them (schemas.sparing).
    """

    countries: frozenset[str] = frozenset()
    systems: frozenset[int] = frozenset()
    commands: frozenset[str] = frozenset()

    def of(self, country: str | None, asn: int | None, spared: Iterable[str] = ()) -> str:
        """An address' facts, as routes have them; empty where it has none of them."""
        named = [country if country in self.countries else None, asn if asn in self.systems else None]
        known = sorted({each for each in spared if each in self.commands})
        return (
            orjson.dumps([*named, known]).decode() if known or any(each is not None for each in named) else ""
        )


class Routes(dict[str, tuple[JailState, ...]]):
    """From a route to its jails.

    A route is the filter's name, or filter, source, host and labels (as JSON, so that nothing in them is
    taken for a separator) joined by SEPARATOR where a jail asks for those.

    Attributes:
        selective: some jail selects by source, host or labels, so that routes must name them.
        kinds: the kinds of event that can change anything in some jail, but for requests.
        asking: some jail counts requests, or has paths for decoys.
        decoys: the users that are decoys of some jail.
        valued: some jail asks for what rows do not always have: users, ports, and what is asked for.
        regions: what jails name of where addresses are.
    """

    __slots__ = ("_jails", "asking", "decoys", "kinds", "regions", "selective", "valued")

    def __init__(self, jails: Iterable[JailState]) -> None:
        super().__init__()
        jails = tuple(jails)
        self._jails = tuple(jail for jail in jails if jail.rules.on == "events")
        self.regions = _regions_of(jails)
        self.selective = any(jail.rules.scopes or jail.rules.ignorecommand for jail in jails) or any(
            jail.rules.sources or jail.rules.hosts or jail.rules.labels for jail in self._jails
        )
        self.asking = any(REQUEST in jail.kinds or jail.rules.decoy_paths for jail in self._jails)
        self.valued = self.asking or any(
            jail.rules.distinct in {"user", "port"}
            or jail.rules.count != "address"
            or jail.rules.behaviour is not None
            for jail in self._jails
        )
        self.decoys = frozenset(name for jail in self._jails for name in jail.rules.decoy_users)
        forgiving = {"succeeded"} if any(jail.rules.heeds_success for jail in self._jails) else set[str]()
        self.kinds = frozenset[str]().union(forgiving, *(jail.kinds for jail in self._jails)) - {REQUEST}

    def __missing__(self, route: str) -> tuple[JailState, ...]:
        """Find the jails of a route not seen before."""
        origin = origin_of(route) if self.selective else Origin(route.partition(SEPARATOR)[0], "", "", {})
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        found = tuple(jail for jail in self._jails if _selects(jail, origin))
        self[route] = found
        return found


def _regions_of(jails: Sequence[JailState]) -> Regions:
    """What jails and their thresholds name of where addresses are."""
    scopes = (scope for jail in jails for scope in jail.rules.scopes)
    regions = tuple(region for scope in scopes for region in scope.regions)
    return Regions(
        frozenset(country for region in regions for country in region.country),
        frozenset(asn for region in regions for asn in region.asn),
        frozenset(command_id(jail.rules.ignorecommand) for jail in jails if jail.rules.ignorecommand),
    )


def origin_of(route: str) -> Origin:
    """What a route names: its filter, and more where jails ask for that."""
    if SEPARATOR not in route:
        return Origin(route, "", "", {})
    filter_name, source, host, labels, whereabouts = route.split(SEPARATOR)
    facts = orjson.loads(whereabouts) if whereabouts else ()
    return Origin(filter_name, source, host, orjson.loads(labels) if labels else {}, *facts)


def route_to(
    filter_name: str,
    source: str,
    host: str | None,
    labels: Mapping[str, str] | None = None,
    whereabouts: str = "",
) -> str:
    """The route of an event where jails are selective; `whereabouts`: as Regions has it."""
    text = orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode() if labels else ""
    parts = (filter_name, source, host or "", text, whereabouts)
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
    if rules.ignorecommand and command_id(rules.ignorecommand) in origin.spared:
        return False
    if rules.scope is not None and not rules.scope.has(origin.country, origin.asn):
        return False
    return not rules.sources or any(fnmatchcase(origin.source, wanted) for wanted in rules.sources)
