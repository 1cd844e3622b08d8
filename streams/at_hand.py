"""Where the event at hand is from, as far as it says: for the bans that it causes, and for who asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from streams.jail import JailState
from streams.routes import SEPARATOR, origin_of
from streams.runs import Run

NOWHERE: Final[dict[str, Any]] = {"country": None, "asn": None, "as_name": None}


def whereabouts(run: Run, reference: int) -> dict[str, Any]:
    """What a ban has of where its event is from, if anything; `reference`: of that event, of the run."""
    if run.event_of is None:
        if SEPARATOR not in run.route:
            return {}
        at = origin_of(run.route)
        return {"country": at.country, "asn": at.asn}
    event = run.event_of(reference - run.base)
    if event is None or (event.country is None and event.asn is None):
        return {}
    return {name: getattr(event, name) for name in NOWHERE}


def heed(jails: Iterable[JailState], run: Run) -> None:
    """Let the thresholds of jails go by where a run's events are from."""
    for jail in jails:
        if jail.ladder is not None and jail.ladder.is_scoped:
            at = origin_of(run.route)
            jail.ladder.be_at(at.country, at.asn)
