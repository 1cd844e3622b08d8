"""Where the event at hand is from, as far as it says: for the bans that it causes, and for who asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from schemas.whereabouts import Scope
from streams.jail import JailState
from streams.routes import origin_of
from streams.runs import Run

WHEREABOUTS: Final = ("country", "asn", "as_name")


def whereabouts(run: Run, reference: int) -> dict[str, Any]:
    """What a ban has of where its event is from; `reference`: of that event, which is of the run."""
    event = None if run.event_of is None else run.event_of(reference - run.base)
    return {} if event is None else {name: getattr(event, name) for name in WHEREABOUTS}


def is_within(run: Run, scope: Scope | None) -> bool:
    """Whether a run's events are of a scope."""
    if scope is None:
        return True
    at = origin_of(run.route)
    return scope.has(at.country, at.asn)


def heed(jails: Iterable[JailState], run: Run) -> None:
    """Let the thresholds of jails go by where a run's events are from."""
    for jail in jails:
        if jail.ladder is not None and jail.ladder.is_scoped:
            at = origin_of(run.route)
            jail.ladder.be_at(at.country, at.asn)
