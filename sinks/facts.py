"""What a record says, field by field under one name each: what the flat formats are made of.

Values are texts and whole numbers; what a record does not have is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from schemas.behaviours import Alert
from schemas.codec import AuthLine
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
from schemas.techniques import SPRAYING, TECHNIQUES, Technique
from sinks.contract import Item
from sinks.selection import SILENT
from sinks.sentences import rfc3339, sentence

FlatFacts = dict[str, str | int]


class Severity(NamedTuple):
    """How bad it is, in the numbers of each world (docs/sinks.md has the table)."""

    syslog: int
    cef: int
    ocsf: int
    otel: int


INFORMATIONAL: Final = Severity(6, 1, 1, 9)
PROBED: Final = Severity(5, 2, 1, 9)
NOTICE: Final = Severity(5, 3, 1, 10)
REFUSED: Final = Severity(4, 5, 2, 13)
PROLONGED: Final = Severity(4, 5, 3, 13)
BANNED: Final = Severity(4, 6, 3, 13)
BANNED_WIDELY: Final = Severity(4, 8, 4, 13)
BROKEN: Final = Severity(3, 8, 4, 17)
OF_HAPPENINGS: Final[Mapping[str, Severity]] = {
    "succeeded": INFORMATIONAL,
    "probed": PROBED,
    "failed": NOTICE,
    "ban": BANNED,
    "expired ban": NOTICE,
    "prolong": PROLONGED,
    "alert": PROLONGED,
    "unban": INFORMATIONAL,
    "enforcement applied": INFORMATIONAL,
    "enforcement skipped": INFORMATIONAL,
    "enforcement refused": REFUSED,
    "enforcement failed": BROKEN,
    "command": NOTICE,
    "rules": NOTICE,
    "request": INFORMATIONAL,
    SILENT: BROKEN,
}


def severity_of(item: Item) -> Severity:
    """How bad a record is."""
    record = item.record
    if isinstance(record, AuthLine):
        return OF_HAPPENINGS[record.kind]
    if isinstance(record, Ban) and not record.expired:
        wide = record.until_ms is None or "/" in record.prefix or record.jail == "recidive"
        return BANNED_WIDELY if wide else BANNED
    if isinstance(record, Unban) and record.reason == "operator":
        return NOTICE
    return OF_HAPPENINGS.get(item.happening, NOTICE)


def technique_of_item(item: Item) -> Technique | None:
    """What an event is a sign of, and a ban: what most of its evidence is."""
    record = item.record
    if isinstance(record, Ban):
        spraying = record.counted == "different users"
        return TECHNIQUES.get(SPRAYING if spraying else item.background.technique)
    return TECHNIQUES.get(item.technique)


def address_of(item: Item) -> str | None:
    """The one address that a record is about; None for a network, and where it is about none."""
    return item.key if item.key and "/" not in item.key else None


def facts_of(item: Item) -> FlatFacts:
    """Everything that a record says, as one flat table; `message` last."""
    record: Any = item.record
    found: FlatFacts = {"id": item.id, "ref": item.ref, "record": getattr(record, "TYPE", "auth")}
    found |= {"kind": item.happening, "at": rfc3339(getattr(record, "at_ms", 0))}
    if (address := address_of(item)) is not None:
        found["ip"] = address
    elif item.key:
        found["prefix"] = item.key
    for name in FIELDS[type(record)]:
        value = getattr(record, name)
        if value is not None and value != "":
            found[NAMES.get(name, name)] = value
    if (end_ms := getattr(record, "until_ms", None)) is not None:
        found["until"] = rfc3339(end_ms)
    found |= _background(item)
    if (technique := technique_of_item(item)) is not None:
        found["technique"] = technique.uid
    if item.sample:
        found["sample"] = 1
    found["message"] = sentence(record)
    return found


FIELDS: Final[Mapping[type[Record | AuthLine], tuple[str, ...]]] = {
    **dict.fromkeys(
        (AuthLine, AuthEvent), ("port", "user", "service", "host", "source", "filter", "country")
    ),
    Ban: ("jail", "rules", "count", "ban_count", "step", "who", "why"),
    Unban: ("jail", "ban", "reason", "while_banned", "who", "why"),
    Prolong: ("jail", "ban", "who", "why"),
    Alert: ("jail", "rules", "measure", "usual", "deviation", "limit", "basis"),
    Enforcement: ("decision", "verb", "outcome", "host", "backend", "detail"),
    Command: ("verb", "jail", "who", "why"),
    RulesChanged: ("version", "who"),
    Heartbeat: ("host", "backend", "in_force"),
}
NAMES: Final = {"count": "failures", "version": "rules"}


def _background(item: Item) -> FlatFacts:
    known = item.background
    found: FlatFacts = {}
    if known.first_at_ms is not None:
        found["first"] = rfc3339(known.first_at_ms)
    for name in ("users", "services", "hosts", "countries"):
        if values := getattr(known, name):
            found[name] = ", ".join(values)
    return found
