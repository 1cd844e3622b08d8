"""Looking: status, bans, events, and watch, which follows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from banstream.config import load_settings
from banstream.instants import Instant, now_ms
from banstream.options import PREFIX, config_option, json_option
from banstream.pulse import health
from banstream.reading import Placed, heartbeat, is_up, open_to_read, placed, records
from banstream.show import flush, instant, json_line, note, printable, say, show, table, until
from eventlog.contract import EventLog
from schemas.codec import decode, to_wire
from schemas.records import AuthEvent, Ban, Command, Decision, Prolong, Record, Standing, Unban
from schemas.topics import BANS, DECISIONS, EVENTS

FOLLOW_S = 0.1


@click.command("status")
@click.argument("jail", required=False)
@click.option("--fleet", is_flag=True, help="Every host whose enforcer was heard of within the last hour.")
@click.option(
    "--health",
    "role",
    type=click.Choice(["up", "ship", "decide", "enforce"]),
    help="Only whether this role is alive here, for supervisors: exit code 0 or 1, from $RUNTIME_DIRECTORY.",
)
@json_option
@config_option
def status_command(
    jail: str | None, fleet: bool, role: str | None, as_json: bool, config_file: str | None
) -> int:
    """What is going on: whether `up` runs, its jails and sources, the firewall, and every warning.

    Where the log is a fleet's: how this host's `ship` is. Exit code 1 when it, or `up`, is not running; with
    --fleet, when there is no host, or one is silent or has bans that its firewall does not take.
    """
    if role is not None:
        return _tell_health(role, as_json=as_json)
    settings = load_settings(config_file, check="names")
    if fleet or settings.log_url.startswith("kafka://"):
        from banstream import fleet as hosts

        if jail is not None:
            raise click.UsageError("a fleet's jails are its workers'; name no jail here")
        return (
            hosts.show_fleet(settings, as_json=as_json)
            if fleet
            else hosts.show_shipper(settings, as_json=as_json)
        )
    log = open_to_read(settings)
    try:
        beat, running = heartbeat(log), is_up(log, now_ms())
    finally:
        log.close()
    facts: dict[str, Any] = {"running": running, **(beat or {})}
    jails: dict[str, Any] = facts.get("decider") or {}
    if jail is not None and jail not in jails:
        raise click.UsageError(f"there is no jail {jail!r}; known are {', '.join(jails) or 'none'}")
    if jail is not None:
        facts["decider"] = {jail: jails[jail]}
    if as_json:
        json_line(facts)
    else:
        _show_status(facts)
    return 0 if running else 1


def _tell_health(role: str, *, as_json: bool) -> int:
    found = health(role)
    if as_json:
        json_line({"role": role, "alive": found.alive, "said": found.said})
    else:
        say(found.said)
    return 0 if found.alive else 1


def _show_status(facts: dict[str, Any]) -> None:
    if "pid" not in facts:
        say("`banstream up` has never run on this log.")
        return
    state = "running" if facts["running"] else "not running; last heard of"
    say(f"banstream up: {state} (process {facts['pid']}, {instant(facts['at_ms'])})")
    if facts["observing"]:
        say(f"OBSERVING ONLY, nothing is enforced: {facts['observing']}")
    columns = ("jail", "failing", "banned", "failures", "bans", "ignored")
    rows = [(name, *(counts[key] for key in columns[1:])) for name, counts in facts["decider"].items()]
    show(table("Jails", columns, rows))
    show(table("Enforcer", ("fact", "value"), facts["enforcer"].items()))
    show(table("Sources", ("source",), [(source,) for source in facts["sources"]]))
    for problem, count in {**facts["notices"], **facts["waiting"]}.items():
        say(f"WARNING: {problem} ({count})")


@click.command("bans")
@json_option
@config_option
def bans_command(as_json: bool, config_file: str | None) -> int:
    """The bans in force, oldest decision first. Exit code 1 when there is none."""
    log = open_to_read(load_settings(config_file, check="names"))
    try:
        standings = [decode(message.value) for message in log.latest(BANS.name)]
    finally:
        log.close()
    holds = [
        (standing, hold)
        for standing in standings
        if isinstance(standing, Standing)
        for hold in standing.holds
    ]
    if as_json:
        for standing in standings:
            json_line(to_wire(standing))
    elif holds:
        rows = [
            (standing.prefix, hold.jail, instant(standing.decided_at_ms), instant(hold.until_ms), hold.ban)
            for standing, hold in holds
        ]
        show(table(f"{len(holds)} bans in force", ("prefix", "jail", "since", "until", "decision"), rows))
    else:
        say("No bans in force.")
    return 0 if holds else 1


@click.command("events")
@click.argument("prefix", type=PREFIX, required=False)
@click.option("--since", type=Instant(), metavar="INSTANT", help="From this instant on [default: all].")
@click.option("--last", type=click.IntRange(1), metavar="N", help="Only the last N.")
@json_option
@config_option
def events_command(
    prefix: str | None, since: int | None, last: int | None, as_json: bool, config_file: str | None
) -> int:
    """The events read from the logs, oldest first; only those of one address when it is named."""
    log = open_to_read(load_settings(config_file, check="names"))
    containing = f'"ip":"{prefix}"'.encode() if prefix else b""
    try:
        found: Iterator[Placed] | list[Placed] = records(
            log, EVENTS.name, since_ms=since, containing=containing
        )
        if last is not None:
            found = list(found)[-last:]
        count = 0
        for each in found:
            _print(each, as_json=as_json)
            count += 1
    finally:
        log.close()
    return 0 if count else 1


@click.command("watch")
@json_option
@config_option
def watch_command(as_json: bool, config_file: str | None) -> int:
    """Events and decisions as they happen, until Ctrl-C."""
    log = open_to_read(load_settings(config_file, check="names"))
    topics = [(topic.name, number) for topic in (EVENTS, DECISIONS) for number in range(log.partitions)]
    offsets = {place: log.end(*place) for place in topics}
    note("Watching; Ctrl-C ends it.")
    try:
        while True:
            if not _follow(log, offsets, as_json=as_json):
                time.sleep(FOLLOW_S)
    except KeyboardInterrupt:
        return 0
    finally:
        log.close()


def _follow(log: EventLog, offsets: dict[tuple[str, int], int], *, as_json: bool) -> bool:
    found = False
    for (topic, partition), offset in offsets.items():
        for message in log.read(topic, partition, offset):
            found = True
            offsets[topic, partition] = message.offset + 1
            for each in placed(message):
                _print(each, as_json=as_json)
    if found:
        flush()
    return found


def _print(each: Placed, *, as_json: bool) -> None:
    if as_json:
        place = f"{each.partition}-{each.offset}-{each.index}"
        json_line({**to_wire(each.record), "place": place})
    else:
        click.echo(printable(sentence(each.record)))


def sentence(record: Record) -> str:
    """A record in one line for people; text from logs is made harmless by whoever prints it."""
    match record:
        case AuthEvent():
            user = f" user={record.user}" if record.user else ""
            return f"{instant(record.at_ms)}  {record.kind:9} {record.ip}  {record.filter}{user}"
        case Ban():
            why = f"  {record.count} failures" if record.who is None else _by(record)
            return (
                f"{instant(record.at_ms)}  BAN       {record.prefix}  {record.jail}"
                f"  {until(record.until_ms)}{why}"
            )
        case Unban():
            return (
                f"{instant(record.at_ms)}  UNBAN     {record.prefix}  {record.jail}"
                f"  {record.reason}{_by(record)}"
            )
        case Prolong():
            return (
                f"{instant(record.at_ms)}  PROLONG   {record.prefix}  {record.jail}"
                f"  {until(record.until_ms)}{_by(record)}"
            )
        case Command():
            return f"{instant(record.at_ms)}  {record.verb:9} {record.prefix or 'everything'}{_by(record)}"
        case _:
            return f"{record.TYPE}"


def _by(record: Command | Decision) -> str:
    """The operator and the reason they gave; nothing where no operator was."""
    reason = f": {record.why}" if record.why else ""
    return f"  by {record.who}{reason}" if record.who else ""
