"""Records of the log as people read them: a line each."""

from __future__ import annotations

import click

from banstream.phrases import as_user, place_of, what_for
from banstream.show import counted, instant, json_line, printable, until
from eventlog.follower import Located
from schemas.behaviours import Alert
from schemas.codec import to_wire
from schemas.deciding import Obeyed, Pardon, Sealed, Sighting, Verdict
from schemas.errors import InvalidMessage
from schemas.records import (
    AuthEvent,
    Ban,
    Command,
    DeadLetter,
    Decision,
    Enforcement,
    Heartbeat,
    ListChanged,
    Prolong,
    Record,
    RulesChanged,
    Standing,
    Tick,
    Unban,
)
from schemas.rules import Rules
from schemas.topics import EVENTS


def is_told(each: Located) -> bool:
    """Whether a record is for people: among the events nothing else counts, and steps are for machines."""
    if each.topic == EVENTS.name:
        return isinstance(each.record, AuthEvent)
    return not isinstance(each.record, Obeyed | Sealed | Tick)


def print_record(each: Located, *, as_json: bool, technique: str = "") -> None:
    """Print a record on stdout: as a JSON object with its place, or for people.

    `technique`: of ATT&CK, that it is a sign of; empty: not said.
    """
    if as_json:
        place = f"{each.partition}-{each.offset}-{each.index}"
        more = {"technique": technique} if technique else {}
        json_line({**to_wire(each.record), **more, "place": place})
    else:
        click.echo(printable(sentence(each.record)))


def untimed(count: int) -> str:
    """That so many events have no time of their own."""
    return (
        f"WARNING: {count} times an event is of a line without a time that can be read; the file's last "
        "change (or --now) is taken for it: such lines count together, though days may lie between them"
    )


def unnamed(count: int) -> str:
    """That so many events were left out of a replay."""
    return (
        f"WARNING: {count} times an event names a host, or another id, and no address; a replay leaves it "
        "out, since it asks no DNS"
    )


def sentence(record: Record) -> str:
    """A record in one line for people; text from logs is made harmless by whoever prints it."""
    match record:
        case Ban() | Unban() | Prolong():
            return _decision(record)
        case Obeyed() | Sealed() | Standing() | Sighting() | Pardon() | Verdict():
            return record.TYPE
        case Alert():
            return f"{instant(record.at_ms)}  ALERT     {record.jail}  {alerted(record)}"
        case _:
            return f"{instant(record.at_ms)}  {_fact(record)}"


def alerted(alert: Alert) -> str:
    """What an alert says, in numbers that can be counted again."""
    tightened = "; maxretry is halved while it lasts" if alert.tightened else ""
    since = instant(alert.minute_ms)[11:16]
    return (
        f"{alert.count} {alert.measure} since {since}, more than {alert.limit}: usual are {alert.usual} a "
        f"minute, give or take {alert.deviation} ({alert.basis}){tightened}"
    )


def _decision(record: Decision) -> str:
    match record:
        case Ban():
            counts = f"  {what_for(record.count, record.counted)}{as_user(record.user)}"
            why = (counts if record.who is None else _by(record)) + _at(record)
            said = f"BAN       {record.prefix}  {record.jail}  {until(record.until_ms)}{why}"
        case Unban():
            said = f"UNBAN     {record.prefix}  {record.jail}  {record.reason}{_by(record)}"
        case Prolong():
            said = f"PROLONG   {record.prefix}  {record.jail}  {until(record.until_ms)}{_by(record)}"
    return f"{instant(record.at_ms)}  {'SHADOW ' * record.shadow}{said}"


def _fact(
    record: AuthEvent | Command | RulesChanged | ListChanged | Enforcement | Tick | Heartbeat | DeadLetter,
) -> str:
    match record:
        case AuthEvent():
            user = f" user={record.user}" if record.user else ""
            asked = f"  {record.path}" if record.path else ""
            times = f" ({record.times} times within the second)" if record.times > 1 else ""
            return f"{record.kind:9} {record.ip}  {record.filter}{user}{asked}{times}{_at(record)}"
        case Command():
            whom = record.prefix or record.host or "everything"
            return f"{record.verb:9} {whom}{_by(record)}"
        case RulesChanged():
            return f"rules     {record.version}  {_jails(record)}"
        case ListChanged():
            part = f"part {record.part + 1} of {record.parts}, " if record.parts > 1 else ""
            return f"list      {record.name}  {part}{counted(len(record.prefixes), 'prefix', 'prefixes')}"
        case Enforcement():
            detail = f": {record.detail}" if record.detail else ""
            return f"enforced  {record.prefix}  {record.host}  {record.verb} {record.outcome}{detail}"
        case Tick() | Heartbeat() | DeadLetter():
            return record.TYPE


def _at(record: AuthEvent | Ban) -> str:
    """Where an address is, where that is known."""
    place = place_of(record.country, record.asn, record.as_name)
    return f"  {place}" if place else ""


def _jails(record: RulesChanged) -> str:
    """The jails that hold from then on."""
    try:
        names = [jail.name for jail in Rules.from_state(record.rules).jails]
    except (InvalidMessage, KeyError, TypeError):
        return "in force"
    return f"in force: {', '.join(names) or 'no jail'}"


def _by(record: Command | Decision) -> str:
    """The operator and the reason they gave; nothing where no operator was."""
    reason = f": {record.why}" if record.why else ""
    return f"  by {record.who}{reason}" if record.who else ""
