"""What `banstream status` shows of a fleet: this host's shipper, and every host's enforcer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson

from banstream.config import Settings
from banstream.instants import now_ms
from banstream.reading import SILENT_MS, open_to_read, records
from banstream.roles import HEARTBEAT_MS, SHIPPER
from banstream.show import instant, json_line, say, show, table
from eventlog.contract import EventLog
from producers.spool import Spool
from schemas.codec import to_wire
from schemas.records import Heartbeat
from schemas.topics import ENFORCEMENTS

HEARD_MS: Final = 3_600_000
"""A host that was not heard of for longer is not shown."""
QUIET_MS: Final = 3 * HEARTBEAT_MS
COLUMNS: Final = ("host", "heard", "state", "lag ms", "in force", "failing", "failed", "refused", "drift")


def show_shipper(settings: Settings, *, as_json: bool) -> int:
    """Show how this host's `ship` is, from its spool, whether or not the broker is there; the exit code."""
    facts = shipper(settings)
    if as_json:
        json_line(facts)
    elif "pid" not in facts:
        say("`banstream ship` has never run here; `banstream status --fleet` shows every host's enforcer.")
    else:
        state = "running" if facts["running"] else "not running; last heard of"
        say(f"banstream ship: {state} (process {facts['pid']}, {instant(facts['at_ms'])})")
        if facts["away"]:
            say(f"THE LOG IS AWAY for {facts['away_s']} s, events wait in the spool: {facts['away']}")
        shown = ("spooled_frames", "spooled_bytes", "spool_bytes", "spool_refusals", "acknowledged")
        show(table("Spool", ("fact", "value"), [(name, facts[name]) for name in shown]))
        show(table("Sources", ("source",), [(source,) for source in facts["sources"]]))
        for problem, count in facts["notices"].items():
            say(f"WARNING: {problem} ({count})")
    return 0 if facts["running"] else 1


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
    facts: dict[str, Any] = {} if value is None else orjson.loads(value)
    running = (
        value is not None
        and not facts["stopped"]
        and now_ms() - facts["at_ms"] < SILENT_MS
        and Path(f"/proc/{facts['pid']}").exists()
    )
    return {"running": running, **facts}


def show_fleet(settings: Settings, *, as_json: bool) -> int:
    """Show every host whose enforcer was heard of within HEARD_MS; the exit code."""
    log = open_to_read(settings)
    try:
        heard = heartbeats(log, now_ms())
    finally:
        log.close()
    now = now_ms()
    rows = [(beat, _state(beat, now)) for _, beat in sorted(heard.items())]
    if as_json:
        for beat, state in rows:
            json_line({**to_wire(beat), "state": state, "heard_ms": now - beat.at_ms})
    elif rows:
        cells = [
            (
                beat.host,
                instant(beat.at_ms),
                state,
                beat.lag_ms,
                *(beat.in_force, beat.failing, beat.failed, beat.refused, beat.drift),
            )
            for beat, state in rows
        ]
        show(table(f"{len(rows)} hosts", COLUMNS, cells))
    else:
        say("No enforcer was heard of within the last hour.")
    sound = all(state == "running" and not beat.failing for beat, state in rows)
    return 0 if rows and sound else 1


def heartbeats(log: EventLog, now: int) -> dict[str, Heartbeat]:
    """Each host's newest heartbeat."""
    found = records(log, ENFORCEMENTS.name, since_ms=now - HEARD_MS, containing=b'"type":"heartbeat"')
    return {each.record.host: each.record for each in found if isinstance(each.record, Heartbeat)}


def _state(beat: Heartbeat, now: int) -> str:
    """How an enforcer is, in a word or two. Instants are its own clock's, which may differ from ours."""
    if beat.stopped:
        return "stopped"
    if abs(now - beat.at_ms) > QUIET_MS:
        return "silent"
    return "observing" if beat.observing else "running"
