"""What `banstream status` shows of a fleet: this host's shipper, and every host's enforcer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from banstream.authority import caution_in_force
from banstream.config import Settings
from banstream.enrolled import Vouchers, hosts_of
from banstream.heard import Heard, heartbeats
from banstream.instants import now_ms
from banstream.reading import open_to_read, rules_in_force
from banstream.show import counted, instant, json_line, note, say, show, table
from eventlog.contract import EventLog
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
