"""A record as a sentence, for people: the `message` of every format; text from logs is made harmless."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from schemas.behaviours import Alert
from schemas.codec import AuthLine
from schemas.durations import format_duration
from schemas.records import (
    AuthEvent,
    Ban,
    Command,
    Enforcement,
    Heartbeat,
    Prolong,
    Record,
    RulesChanged,
    Unban,
)
from schemas.steering import printable


def sentence(record: Record | AuthLine) -> str:
    """What a record says; of an event, its line."""
    return printable(_said(record))


def reason(ban: Ban) -> str:
    """Why somebody is banned."""
    if ban.who is not None:
        return f"by {ban.who}{f': {ban.why}' if ban.why else ''}"
    within = f" within {format_duration(ban.findtime_ms)}" if ban.findtime_ms is not None else ""
    return f"{ban.count} {ban.counted}{within} in jail {ban.jail}"


def alarm(alert: Alert) -> str:
    """By what a jail's minute is not as usual."""
    return (
        f"{alert.count} {alert.measure} in the minute from {rfc3339(alert.minute_ms)}, more than "
        f"{alert.limit}; usual are {alert.usual}, give or take {alert.deviation} ({alert.basis})"
    )


def rfc3339(at_ms: int) -> str:
    """An instant as RFC 3339 has it, in UTC, to the millisecond."""
    return f"{_second(at_ms // 1_000)}.{at_ms % 1_000:03d}Z"


def until(at_ms: int | None) -> str:
    """When a ban ends."""
    return "for ever" if at_ms is None else f"until {_second(at_ms // 1_000)}Z"


@lru_cache(maxsize=1_024)
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")


def _said(record: Record | AuthLine) -> str:  # noqa: C901 - a case for each record
    match record:
        case AuthLine() | AuthEvent():
            said = record.line
        case Ban():
            late = ", which had ended when it was decided" if record.expired else ""
            end = until(record.until_ms)
            said = f"{record.prefix} banned by jail {record.jail} {end}: {reason(record)}{late}"
        case Unban():
            said = f"{record.prefix} unbanned in jail {record.jail}: {record.reason}{_by(record)}"
        case Prolong():
            end = until(record.until_ms)
            said = f"the ban of {record.prefix} in jail {record.jail} now lasts {end}{_by(record)}"
        case Enforcement():
            detail = f": {record.detail}" if record.detail else ""
            where = f"on {record.host} by {record.backend}{detail}"
            said = f"{record.verb} of {record.prefix} {record.outcome} {where}"
        case Command():
            said = f"{record.verb} {record.prefix or record.host or 'everything'}{_by(record)}"
        case Alert():
            said = f"jail {record.jail} is not as usual: {alarm(record)}"
        case Heartbeat():
            said = f"host {record.host} is silent: nothing is heard of its enforcer any more"
        case RulesChanged():
            said = f"rules {record.version} in force{_by(record)}"
        case _:
            said = record.TYPE
    return said


def _by(record: Unban | Prolong | Command | RulesChanged) -> str:
    why = "" if isinstance(record, RulesChanged) else record.why
    return f"{f' by {record.who}' if record.who else ''}{f': {why}' if why else ''}"
