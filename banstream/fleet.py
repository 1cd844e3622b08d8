"""`banstream status --fleet`: every host's roles and every partition, what is wrong first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from banstream.authority import caution_in_force
from banstream.config import Settings
from banstream.enrolled import Vouchers, hosts_of
from banstream.heard import Heard, heartbeats
from banstream.instants import now_ms
from banstream.overview import VERSION
from banstream.partitions import PartitionView, owners, partitions, troubles
from banstream.reading import open_to_read, rules_in_force
from banstream.shippers import Shipper, shippers
from banstream.show import counted, instant, json_line, moment, note, say, show, table, tell, warn
from banstream.tables import Bad
from enforcers.backends import CONFIGURED_NULL
from eventlog.contract import EventLog
from schemas.codec import to_wire
from schemas.durations import format_duration
from schemas.topics import DEADLETTERS
from streams.partition import newest_position

CLOCK_S: Final = 60
SLOW_MS: Final = 10_000
"""An enforcer that reads bans so late is told."""
HOSTS: Final = ("host", "roles", "state", "heard", "last event", "in force", "trouble")
PARTITIONS: Final = ("partition", "worker", "state", "waiting", "since", "last commit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A fleet at a moment.

    Attributes:
        heard: every enforcer that was heard of within the last hour.
        shippers: every host that shipped lately, or may.
        partitions: by number.
        warnings: what else is to be said; it makes nothing worse.
    """

    at_ms: int
    heard: Sequence[Heard]
    shippers: Sequence[Shipper]
    partitions: Sequence[PartitionView]
    warnings: Sequence[str]

    def troubles(self) -> Iterator[str]:
        """What needs a look, the worst first."""
        yield from troubles(self.partitions, self.at_ms)
        if not self.heard:
            yield "no enforcer was heard of within the last hour"
        for each in self.heard:
            if (said := _trouble(each, self.at_ms)) is not None:
                yield said


def show_fleet(settings: Settings, *, as_json: bool) -> int:
    """Show a fleet; the exit code."""
    found = look(settings)
    wrong = list(found.troubles())
    if as_json:
        _print_json(found)
    else:
        for said in wrong:
            tell(said, wrong=True)
        show_hosts(found)
        _show_partitions(found)
        for said in _clocks(found.heard):
            warn(said)
    for warning in found.warnings:
        note(f"WARNING: {warning}")
    return 1 if wrong else 0


def look(settings: Settings) -> Fleet:
    """Look at a fleet. Raises Transient and LogError."""
    log = open_to_read(settings)
    try:
        hosts, at_ms = hosts_of(log), now_ms()
        heard = [each for _, each in sorted(heartbeats(log, at_ms, Vouchers(hosts)).items())]
        rules = rules_in_force(log)
        admitted = caution_in_force(rules, hosts)
        unruled = [] if rules else ["no rules are in force: no event is decided; `banstream rules push`"]
        return Fleet(
            at_ms=at_ms,
            heard=heard,
            shippers=shippers(log, hosts),
            partitions=partitions(log, owners(settings), at_ms),
            warnings=[
                *unruled,
                *([] if admitted is None else [admitted]),
                *_floods(log, at_ms),
                *_forged(heard),
            ],
        )
    finally:
        log.close()


def _print_json(found: Fleet) -> None:
    """Each enforcer's heartbeat a line, then each shipper, then each partition."""
    for each in found.heard:
        facts = {
            "state": each.state(found.at_ms),
            "heard_ms": found.at_ms - each.at_ms,
            "clock_off_ms": each.beat.at_ms - each.at_ms,
            "signed": each.signed,
            "forged": each.forged,
        }
        json_line({**to_wire(each.beat), **facts})
    for shipper in found.shippers:
        json_line(shipper.to_wire(found.at_ms))
    for view in found.partitions:
        json_line(view.to_wire())


def show_hosts(found: Fleet) -> None:
    """Every host, those with trouble first."""
    heard = {each.beat.host: each for each in found.heard}
    ships = {each.host: each for each in found.shippers}
    wrong = {name for name, each in heard.items() if _trouble(each, found.at_ms) is not None}
    names = sorted(heard.keys() | ships.keys(), key=lambda name: (name not in wrong, name))
    if names:
        rows = [_row(found.at_ms, name, heard.get(name), ships.get(name)) for name in names]
        show(table(counted(len(names), "host"), HOSTS, rows))
    else:
        say("No host is enrolled, none ships, and none enforces.")


def _row(at_ms: int, name: str, heard: Heard | None, shipper: Shipper | None) -> tuple[object, ...]:
    ships = shipper is not None and shipper.last_ms is not None
    roles = [*(["enforce"] if heard else []), *(["ship"] if ships else [])] or ["not heard of"]
    last = "" if shipper is None or shipper.last_ms is None else _ago(at_ms, shipper.last_ms)
    if heard is None:
        stranger = "not enrolled" if shipper is not None and ships and not shipper.enrolled else ""
        return name, ", ".join(roles), "", "", last, "", stranger
    state = heard.state(at_ms)
    shown: object = state if _is_well(heard, state) else Bad(state)
    trouble = ", ".join(_counts(heard))
    return name, ", ".join(roles), shown, _ago(at_ms, heard.at_ms), last, heard.beat.in_force, trouble


def _counts(heard: Heard) -> Iterator[str]:
    """What an enforcer has to complain of, how often since its start; its version where it is another."""
    beat = heard.beat
    if beat.failing:
        yield f"{beat.failing} failing now"
    for name, count in (("failed", beat.failed), ("refused", beat.refused), ("put right", beat.drift)):
        if count:
            yield f"{count} {name}"
    if beat.lag_ms > SLOW_MS:
        yield f"{format_duration(beat.lag_ms)} late"
    if not heard.signed:
        yield "not signed"
    if beat.version != VERSION:
        yield f"version {beat.version or 'unknown'}"


def _is_well(heard: Heard, state: str) -> bool:
    """Whether an enforcer does what its configuration says."""
    return state == "running" or (state == "observing" and heard.beat.observing == CONFIGURED_NULL)


def _trouble(heard: Heard, at_ms: int) -> str | None:
    """Why an enforcer needs a look."""
    name, state = heard.beat.host, heard.state(at_ms)
    if not _is_well(heard, state):
        if state == "observing":
            return f"{name} enforces nothing: {heard.beat.observing}"
        return f"{name} is {state} since {moment(heard.at_ms, at_ms)}: no ban reaches its firewall"
    if heard.beat.failing:
        return f"{name}: its firewall does not take {counted(heard.beat.failing, 'ban')}"
    return None


def _show_partitions(found: Fleet) -> None:
    """Every partition, those with trouble first."""
    wrong = {view.number for view in found.partitions if view.trouble(found.at_ms) is not None}
    rows = [
        (
            view.number,
            view.owner or "-",
            Bad(view.state) if view.number in wrong else view.state,
            view.waiting,
            "" if view.since_ms is None else moment(view.since_ms, found.at_ms),
            "never" if view.committed_ms is None else moment(view.committed_ms, found.at_ms),
        )
        for view in sorted(found.partitions, key=lambda view: (view.number not in wrong, view.number))
    ]
    show(table(counted(len(rows), "partition"), PARTITIONS, rows))


def _ago(at_ms: int, then_ms: int) -> str:
    """How long before an instant another was, as people say it."""
    return f"{format_duration(max(0, at_ms - then_ms))} ago"


def _forged(heard: Sequence[Heard]) -> Iterator[str]:
    """Whose name others use."""
    for each in heard:
        if each.forged:
            yield (
                f"{counted(each.forged, 'heartbeat')} in the name of {each.beat.host} not signed by it, and "
                "not believed: somebody else who may write enforcements sends them, or it signs no longer"
            )


def _floods(log: EventLog, at_ms: int) -> Iterator[str]:
    """The senders whose messages count for nothing now, because most of what they sent cannot be read."""
    for number in range(log.partitions):
        for sender, until_ms in newest_position(log, number).get("aside", {}).items():
            if at_ms < until_ms:
                yield (
                    f"partition {number} puts aside what {sender} ships, since most of it cannot be read: "
                    f"{DEADLETTERS.name} says what it was; he counts again from {instant(until_ms)} on "
                    "unless more of it comes"
                )


def _clocks(heard: Sequence[Heard]) -> Iterator[str]:
    for beat, at_ms, *_ in heard:
        off_s = (beat.at_ms - at_ms) / 1_000
        if abs(off_s) > CLOCK_S:
            yield f"the clock of {beat.host} is off by {off_s:+.0f} s, and so are its bans' ends"
