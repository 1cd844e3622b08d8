"""What `banstream status` shows of this host's shipper: whether or not the broker is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from banstream.authority import UNSIGNED, caution
from banstream.config import Settings
from banstream.glance import show_sources
from banstream.instants import now_ms
from banstream.phrases import size
from banstream.reading import in_this_life, is_running
from banstream.shipping import SHIPPER
from banstream.show import counted, instant, json_line, note, say, tell, warn
from producers.spool import Spool
from schemas.durations import format_duration


def show_shipper(settings: Settings, *, as_json: bool) -> int:
    """Show how this host's `ship` is, from its spool, whether or not the broker is there; the exit code."""
    facts = shipper(settings)
    if as_json:
        json_line(facts)
    elif "pid" not in facts:
        never = "`banstream ship` has never run here; `banstream status --fleet` shows every host's enforcer."
        say("`banstream ship` runs; it could not say yet how it is." if facts["running"] else never)
    else:
        _show(facts)
    for warning in _signing(settings):
        note(f"WARNING: {warning}")
    return 0 if facts["running"] else 1


def _show(facts: dict[str, Any]) -> None:
    """For people: what is wrong first."""
    if facts["running"]:
        say(f"banstream ship: running (process {facts['pid']}) since {instant(facts['started_at_ms'])}")
    else:
        tell(f"banstream ship: not running; last heard of at {instant(facts['at_ms'])}", wrong=True)
    uplink = facts["uplink"]
    if uplink["away"]:
        lasting = format_duration(round(uplink["away_s"] * 1_000))
        said = f"THE LOG IS AWAY for {lasting}, events wait in the spool: {uplink['away']}"
        tell(said, wrong=True)
    if uplink["spool_refusals"]:
        warn(f"the spool was full {counted(uplink['spool_refusals'], 'time')}; lines waited in their files")
    for jail in facts.get("waiting_jails", ()):
        warn(jail["said"])
    for problem, count in facts["notices"].items():
        warn(f"{problem} ({counted(count, 'time')})")
    waiting = counted(uplink["spooled_frames"], "message")
    sizes = f"{size(uplink['spooled_bytes'])} of {size(uplink['spool_bytes'])}"
    say(f"Spool: {waiting} wait, {sizes}; {uplink['acknowledged']} sent since the start")
    if facts.get("producer") is not None:
        show_sources(facts, facts["notices"])


def _signing(settings: Settings) -> Iterator[str]:
    """What is to be said of whether this host signs, and others have to."""
    if settings.ship.key_file is None:
        yield UNSIGNED
    if (own := caution(settings)) is not None:
        yield own


def shipper(settings: Settings) -> dict[str, Any]:
    """What this host's shipper last said of itself, and whether it runs."""
    path = settings.ship.spool
    if not path.exists():
        return {"running": False}
    spool = Spool.open(path, settings.ship.spool_bytes, read_only=True)
    try:
        value = spool.position(SHIPPER)
    finally:
        spool.close()
    said = None if value is None else orjson.loads(value)
    running = is_running(path, "ship", said, now_ms())
    return {"running": running, **in_this_life(said, running=running)}
