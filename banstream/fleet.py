"""What `banstream status` shows of a fleet: this host's shipper, and every host's enforcer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from banstream.authority import UNSIGNED, caution, caution_in_force
from banstream.config import Settings
from banstream.enrolled import Vouchers, hosts_of
from banstream.heard import Heard, heartbeats
from banstream.instants import now_ms
from banstream.reading import SILENT_MS, open_to_read, rules_in_force
from banstream.shipping import SHIPPER
from banstream.show import counted, instant, json_line, note, say, show, table
from eventlog.contract import EventLog
from producers.spool import Spool
from schemas.codec import to_wire
from schemas.topics import DEADLETTERS
from streams.partition import newest_position

CLOCK_S: Final = 60
COLUMNS: Final = (
    "host",
    "signed",
    "heard",
    "state",
    "lag ms",
    "in force",
    "failing",
    "failed",
    "refused",
    "drift",
)


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
        uplink = facts["uplink"]
        if uplink["away"]:
            say(f"THE LOG IS AWAY for {uplink['away_s']} s, events wait in the spool: {uplink['away']}")
        shown = ("spooled_frames", "spooled_bytes", "spool_bytes", "spool_refusals", "acknowledged")
        show(table("Spool", ("fact", "value"), [(name, uplink[name]) for name in shown]))
        show(
            table(
                "Sources",
                ("source",),
                [(source,) for source in (facts.get("producer") or {}).get("sources", ())],
            )
        )
        for problem, count in facts["notices"].items():
            say(f"WARNING: {problem} ({count})")
    for warning in _signing(settings):
        note(f"WARNING: {warning}")
    return 0 if facts["running"] else 1


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
        hosts = hosts_of(log)
        heard = [each for _, each in sorted(heartbeats(log, now_ms(), Vouchers(hosts)).items())]
        admitted = caution_in_force(rules_in_force(log), hosts)
        warnings = [*([] if admitted is None else [admitted]), *_floods(log, now_ms())]
    finally:
        log.close()
    now = now_ms()
    rows = [(each, each.state(now)) for each in heard]
    if as_json:
        for each, state in rows:
            facts = {
                "state": state,
                "heard_ms": now - each.at_ms,
                "clock_off_ms": each.beat.at_ms - each.at_ms,
                "signed": each.signed,
                "forged": each.forged,
            }
            json_line({**to_wire(each.beat), **facts})
    elif rows:
        show(table(counted(len(rows), "host"), COLUMNS, [_cells(each, state) for each, state in rows]))
        _warn(heard)
    else:
        say("No enforcer was heard of within the last hour.")
    for warning in (*warnings, *_forged(heard)):
        note(f"WARNING: {warning}")
    sound = all(state == "running" and not each.beat.failing for each, state in rows)
    return 0 if rows and sound else 1


def _forged(heard: Iterable[Heard]) -> Iterator[str]:
    """Whose name others use."""
    for each in heard:
        if each.forged:
            yield (
                f"{each.forged} heartbeats in the name of {each.beat.host} were not signed by it, and are "
                "not believed: somebody else who may write enforcements sends them, or it signs no longer"
            )


def _floods(log: EventLog, now: int) -> Iterator[str]:
    """The senders whose messages count for nothing now, because most of what they sent cannot be read."""
    for number in range(log.partitions):
        for sender, until_ms in newest_position(log, number).get("aside", {}).items():
            if now < until_ms:
                yield (
                    f"partition {number} puts aside what {sender} ships, since most of it cannot be read: "
                    f"{DEADLETTERS.name} says what it was; he counts again from {instant(until_ms)} on "
                    "unless more of it comes"
                )


def _warn(heard: Iterable[Heard]) -> None:
    for beat, at_ms, *_ in heard:
        off_s = (beat.at_ms - at_ms) / 1_000
        if abs(off_s) > CLOCK_S:
            say(f"WARNING: the clock of {beat.host} is off by {off_s:+.0f} s, and so are its bans' ends")


def _cells(heard: Heard, state: str) -> tuple[object, ...]:
    beat = heard.beat
    counts = (beat.in_force, beat.failing, beat.failed, beat.refused, beat.drift)
    signed = "yes" if heard.signed else "no"
    return (beat.host, signed, instant(heard.at_ms), state, beat.lag_ms, *counts)
