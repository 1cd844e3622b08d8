"""Open Cybersecurity Schema Framework 1.8 (https://schema.ocsf.io): what security lakes read.

| record | class, activity |
|---|---|
| event failed, succeeded | 3002 Authentication, 1 Logon |
| event probed | 4001 Network Activity, 1 Open |
| ban, prolong, unban | 2004 Detection Finding, 1 Create, 2 Update, 3 Close: one finding, `finding_info.uid` |
| enforcement | 7004 Network Remediation Activity, 1 Isolate, 3 Restore |
| command, rules | 3004 Entity Management: 1 Create, 3 Update, 4 Delete |

`type_uid` is always `class_uid * 100 + activity_id`. What OCSF has no attribute for is in `unmapped`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import orjson

from schemas.behaviours import Alert
from schemas.codec import AuthLine
from schemas.records import AuthEvent, Ban, Command, Enforcement, Heartbeat, Prolong, RulesChanged, Unban
from schemas.steering import harmless
from schemas.techniques import Technique
from sinks.contract import FormatKind, Item, Options, SentBy, Writing
from sinks.facts import severity_of, technique_of_item
from sinks.formats.shapes import DocumentPath, Shapes
from sinks.sentences import alarm, reason, sentence

OcsfEvent = dict[str, Any]

VERSION: Final = "1.8.0"
ATTACK_VERSION: Final = "18.1"
CONTROL: Final = ["host", "security_control"]
UNKNOWN_USER: Final = {"uid": "-", "type_id": 0, "type": "Unknown"}
DENIED, OBSERVED = 2, 3
BLOCKED, DETECTED, LOGGED = 2, 15, 17
ACTIVITIES: Final = {
    "ban": 1,
    "allow": 1,
    "enroll": 1,
    "unban": 4,
    "disallow": 4,
    "revoke": 4,
    "forgive": 3,
    "remember": 3,
}
REMEDIED: Final = {"applied": 1, "failed": 2, "refused": 2, "skipped": 99}


PLACES: Final[Mapping[str, Sequence[DocumentPath]]] = {
    "at": [("time",)],
    "seen": [("metadata", "logged_time")],
    "id": [("metadata", "uid")],
    "line": [("message",), ("raw_data",)],
    "ip": [("src_endpoint", "ip"), ("observables", 0, "value")],
    "port": [("src_endpoint", "port")],
    "user": [("user", "name"), ("observables", 1, "value"), ("unmapped", "user")],
    "ref": [("metadata", "original_event_uid")],
}
"""Where events of one source differ."""


def writer(sender: SentBy, _: Options) -> Writing:
    """The function from an item to its event."""
    product = orjson.Fragment(
        orjson.dumps({"vendor_name": "banstream", "name": "banstream", "version": sender.version})
    )

    def event_of(item: Item, record: AuthLine) -> OcsfEvent:
        event = _of_line(item, record)
        event["metadata"]["product"] = product
        return event

    shapes = Shapes(event_of, PLACES, lambda at_ms: b"%d" % at_ms)

    def write(item: Item) -> bytes:
        record = item.record
        if isinstance(record, AuthLine) and not item.sample:
            return shapes.write(item, record)
        event = _of_line(item, record) if isinstance(record, AuthLine | AuthEvent) else _other(item)
        event["metadata"]["product"] = product
        return harmless(orjson.dumps(event))

    return write


def _class(item: Item, class_uid: int, activity_id: int) -> OcsfEvent:
    record: Any = item.record
    metadata: OcsfEvent = {"version": VERSION, "uid": item.id, "original_event_uid": item.ref}
    return {
        "class_uid": class_uid,
        "category_uid": class_uid // 1_000,
        "activity_id": activity_id,
        "type_uid": class_uid * 100 + activity_id,
        "time": record.at_ms,
        "severity_id": severity_of(item).ocsf,
        "metadata": metadata,
    }


LOGINS: Final = ("failed", "succeeded")
"""Events of other kinds are no authentication."""


def _of_line(item: Item, record: AuthLine | AuthEvent) -> OcsfEvent:
    probed = record.kind not in LOGINS
    event = _class(item, 4001, 1) if probed else _class(item, 3002, 1)
    source: OcsfEvent = {"ip": record.ip}
    if record.port is not None:
        source["port"] = record.port
    if record.country:
        source["location"] = {"country": record.country}
    observables = [{"name": "src_endpoint.ip", "type_id": 2, "value": record.ip}]
    if record.user and not probed:
        observables.append({"name": "user.name", "type_id": 4, "value": record.user})
    event |= {
        "message": record.line,
        "raw_data": record.line,
        "src_endpoint": source,
        "dst_endpoint": {"hostname": record.host or record.service or record.filter},
        "action_id": OBSERVED,
        "disposition_id": DETECTED if probed else LOGGED,
        "observables": observables,
        "unmapped": {"filter": record.filter, "filter_version": record.filter_version},
    }
    metadata: OcsfEvent = event["metadata"]
    metadata["logged_time"] = record.seen_at_ms
    metadata["log_name"] = record.source.removeprefix("file:")
    metadata["profiles"] = CONTROL
    event["device"] = {"hostname": record.host or "unknown", "type_id": 0}
    if not probed:
        event |= _logon(record)
    elif record.user:
        event["unmapped"]["user"] = record.user
    if (technique := technique_of_item(item)) is not None:
        event["attacks"] = _attacks(technique)
    return event


def _logon(record: AuthLine | AuthEvent) -> OcsfEvent:
    failed = record.kind == "failed"
    return {
        "status_id": 2 if failed else 1,
        "status": "Failure" if failed else "Success",
        "user": {"name": record.user, "type_id": 0, "type": "Unknown"} if record.user else UNKNOWN_USER,
        "service": {"name": record.service or record.filter},
        "is_remote": True,
        "logon_type_id": 3,
    }


def _other(item: Item) -> OcsfEvent:  # noqa: C901 - a case for each record
    record = item.record
    match record:
        case Ban():
            event = _ban(item, record)
        case Prolong():
            event = _finding(item, 2, 2, record.ban)
            event |= {"action_id": DENIED, "disposition_id": BLOCKED}
        case Unban():
            event = _finding(item, 3, 3 if record.reason == "allowed" else 4, record.ban)
            event |= {"is_alert": False}
            event["unmapped"]["reason"] = record.reason
        case Alert():
            event = _alert(item, record)
        case Enforcement():
            event = _enforcement(item, record)
        case Command():
            event = _command(item, record)
        case Heartbeat():
            event = _silent(item, record)
        case RulesChanged():
            event = _class(item, 3004, 3)
            event["entity"] = {"name": "rules", "policy": {"name": "banstream", "version": record.version}}
            event |= _by(record.who)
        case _:
            event = _class(item, 3004, 99)
            event["entity"] = {"name": item.happening}
    event["message"] = sentence(record)
    if item.sample:
        event["metadata"]["labels"] = ["sample"]
    return event


def _finding(item: Item, activity_id: int, status_id: int, ban: str) -> OcsfEvent:
    event = _class(item, 2004, activity_id)
    record: Any = item.record
    event["metadata"]["profiles"] = CONTROL
    event |= {
        "status_id": status_id,
        "is_alert": True,
        "finding_info": {
            "uid": f"{item.log}-{ban}",
            "title": f"{item.key} in jail {record.jail}",
            "analytic": {"name": record.jail, "type_id": 1, "type": "Rule"},
        },
        "observables": [_observable("evidences.src_endpoint", item.key)],
        "unmapped": {"jail": record.jail, "prefix": item.key},
    }
    if (until_ms := getattr(record, "until_ms", None)) is not None:
        event["unmapped"]["until"] = until_ms
    if record.who is not None:
        event |= _by(record.who)
    if record.why:
        event["comment"] = record.why
    return event


def _ban(item: Item, ban: Ban) -> OcsfEvent:
    event = _finding(item, 1, 1, ban.id)
    known = item.background
    shadow = ban.expired
    event |= {
        "action_id": OBSERVED if shadow else DENIED,
        "disposition_id": DETECTED if shadow else BLOCKED,
        "count": max(ban.count, 1),
        "policy": {"name": ban.jail, "version": ban.rules},
    }
    info: OcsfEvent = event["finding_info"]
    info |= {"desc": reason(ban), "last_seen_time": ban.at_ms, "created_time": ban.at_ms}
    if known.first_at_ms is not None:
        info["first_seen_time"] = known.first_at_ms
    if ban.evidence:
        info |= {
            "related_events_count": len(ban.evidence),
            "related_events": [{"uid": each} for each in ban.evidence],
        }
    event["unmapped"] |= {"failures": ban.count, "ban_count": ban.ban_count, "decision": ban.id}
    for name in ("users", "services", "hosts", "countries"):
        if values := getattr(known, name):
            event["unmapped"][name] = values
    if (technique := technique_of_item(item)) is not None:
        event["attacks"] = _attacks(technique)
    return event


def _alert(item: Item, record: Alert) -> OcsfEvent:
    names = ("measure", "usual", "deviation", "limit", "basis", "rules")
    return {
        **_class(item, 2004, 1),
        "status_id": 1,
        "is_alert": True,
        "count": max(record.count, 1),
        "finding_info": {
            "uid": f"{item.log}-{record.id}",
            "title": f"Jail {record.jail} is not as usual",
            "desc": alarm(record),
            "analytic": {"name": record.jail, "type_id": 2, "type": "Behavioral"},
            "first_seen_time": record.minute_ms,
            "last_seen_time": record.at_ms,
            "created_time": record.at_ms,
        },
        "unmapped": {"jail": record.jail, **{name: getattr(record, name) for name in names}},
    }


def _silent(item: Item, record: Heartbeat) -> OcsfEvent:
    return {
        **_class(item, 2004, 1),
        "status_id": 1,
        "is_alert": True,
        "finding_info": {
            "uid": item.id,
            "title": f"Host {record.host} is silent",
            "analytic": {"name": item.happening, "type_id": 1, "type": "Rule"},
            "created_time": record.at_ms,
        },
        "unmapped": {"host": record.host, "backend": record.backend},
    }


def _enforcement(item: Item, record: Enforcement) -> OcsfEvent:
    event = _class(item, 7004, 1 if record.verb == "ban" else 3)
    event["metadata"]["profiles"] = ["host"]
    event |= {
        "status_id": REMEDIED[record.outcome],
        "command_uid": record.decision,
        "connection_info": {"direction_id": 1},
        "device": {"hostname": record.host, "type_id": 0},
        "countermeasures": [COUNTERMEASURE],
        "observables": [_observable("connection_info", record.prefix)],
        "unmapped": {"prefix": record.prefix, "backend": record.backend, "outcome": record.outcome},
    }
    if record.detail:
        event["status_detail"] = record.detail
    if record.outcome == "refused":
        event["status_code"] = "refused"
    return event


COUNTERMEASURE: Final = {
    "d3f_tactic": {"name": "Isolate"},
    "d3f_technique": {"uid": "D3-ITF", "name": "Inbound Traffic Filtering"},
    "version": "1.0",
}


def _command(item: Item, record: Command) -> OcsfEvent:
    event = _class(item, 3004, ACTIVITIES[record.verb])
    about = record.prefix or record.host or "everything"
    event["entity"] = {"name": about, "type": "host" if record.host else "prefix"}
    event |= _by(record.who)
    event["unmapped"] = {"verb": record.verb, **({"jail": record.jail} if record.jail else {})}
    if record.why:
        event["comment"] = record.why
    return event


def _by(who: str | None) -> OcsfEvent:
    return {} if who is None else {"actor": {"user": {"name": who, "type_id": 0}}}


def _observable(name: str, subject: str) -> OcsfEvent:
    return {"name": name, "type_id": 12 if "/" in subject else 2, "value": subject}


@lru_cache(maxsize=64)
def _attacks(technique: Technique) -> orjson.Fragment:
    """The technique; the same bytes for all of its events."""
    attack: OcsfEvent = {
        "version": ATTACK_VERSION,
        "tactic": {"uid": technique.tactic, "name": technique.tactic_name},
        "technique": {"uid": technique.parent, "name": technique.parent_name},
    }
    if technique.is_sub:
        attack["sub_technique"] = {"uid": technique.uid, "name": technique.name}
    return orjson.Fragment(orjson.dumps([attack]))


KIND: Final = FormatKind(writer, content_type="application/x-ndjson")
