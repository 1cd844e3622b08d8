"""Records of the log as people read them: a line each."""

from __future__ import annotations

import click

from banstream.show import instant, json_line, printable, until
from eventlog.follower import Located
from schemas.codec import to_wire
from schemas.records import AuthEvent, Ban, Command, Decision, Obeyed, Prolong, Record, Unban
from schemas.topics import EVENTS


def is_told(each: Located) -> bool:
    """Whether a record is for people: among the events nothing else counts, and steps are for machines."""
    if each.topic == EVENTS.name:
        return isinstance(each.record, AuthEvent)
    return not isinstance(each.record, Obeyed)


def print_record(each: Located, *, as_json: bool) -> None:
    """Print a record on stdout: as a JSON object with its place, or for people."""
    if as_json:
        place = f"{each.partition}-{each.offset}-{each.index}"
        json_line({**to_wire(each.record), "place": place})
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
            whom = record.prefix or record.host or "everything"
            return f"{instant(record.at_ms)}  {record.verb:9} {whom}{_by(record)}"
        case _:
            return f"{record.TYPE}"


def _by(record: Command | Decision) -> str:
    """The operator and the reason they gave; nothing where no operator was."""
    reason = f": {record.why}" if record.why else ""
    return f"  by {record.who}{reason}" if record.who else ""
