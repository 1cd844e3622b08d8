"""Elastic Common Schema 9.4 (https://www.elastic.co/docs/reference/ecs): what Elastic's own rules read.

| record | kind, categories, type, action |
|---|---|
| event failed, succeeded | event; authentication; start; `ssh_login` of sshd, else `login` |
| event probed | event; intrusion_detection, network; info; `probe` |
| ban, prolong | alert; intrusion_detection, network; denied |
| unban | event; intrusion_detection, network; allowed |
| enforcement | event; network, configuration; denied or allowed, change; `enforce_ban`, `enforce_unban` |
| command, rules | event; configuration; change |

A network is no `source.ip`, which takes one address: it is in `source.address` and `banstream.prefix`, always
with its length. What ECS has no field for is under `banstream`.
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
from sinks.facts import address_of, severity_of, technique_of_item
from sinks.formats.shapes import DocumentPath, Shapes
from sinks.sentences import alarm, reason, rfc3339, sentence

EcsDocument = dict[str, Any]

ECS: Final = {"version": "9.4.0"}
MODULE: Final = "banstream"
INTRUSION: Final = ["intrusion_detection", "network"]
OUTCOMES: Final = {"failed": "failure", "succeeded": "success", "probed": "unknown", "request": "unknown"}
ENFORCED: Final = {"applied": "success", "failed": "failure", "refused": "failure", "skipped": "unknown"}
LINUX: Final = {"type": "linux"}
FILE: Final = "file:"


PLACES: Final[Mapping[str, Sequence[DocumentPath]]] = {
    "at": [("@timestamp",)],
    "seen": [("event", "created")],
    "id": [("event", "id")],
    "line": [("event", "original"), ("message",)],
    "ip": [("source", "ip"), ("source", "address"), ("related", "ip", 0)],
    "port": [("source", "port")],
    "user": [("user", "name"), ("related", "user", 0)],
    "ref": [("banstream", "ref")],
}
"""Where events of one source differ."""


def writer(sender: SentBy, _: Options) -> Writing:
    """The function from an item to its document."""
    observer = {"vendor": MODULE, "product": MODULE, "type": "ips"}
    observer |= {"version": sender.version, "hostname": sender.host}

    shapes = Shapes(_event, PLACES, lambda at_ms: b'"%b"' % rfc3339(at_ms).encode("ascii"))

    def write(item: Item) -> bytes:
        record = item.record
        if isinstance(record, AuthLine) and not item.sample:
            return shapes.write(item, record)
        if isinstance(record, AuthLine | AuthEvent):
            return harmless(orjson.dumps(_event(item, record)))
        document = {**_common(item), **_others(item)}
        document["observer"] = observer
        return harmless(orjson.dumps(document))

    return write


def _event(item: Item, record: AuthLine | AuthEvent) -> EcsDocument:
    category, type_ = SORTS[record.kind]
    action = ACTIONS.get(record.kind) or ("ssh_login" if record.filter == "sshd" else "login")
    document: EcsDocument = {
        "@timestamp": rfc3339(record.at_ms),
        "ecs": ECS,
        "event": {
            "id": item.id,
            "kind": "event",
            "category": category,
            "type": type_,
            "outcome": OUTCOMES[record.kind],
            "action": action,
            "severity": severity_of(item).cef,
            "module": MODULE,
            "dataset": "banstream.events",
            "created": rfc3339(record.seen_at_ms),
            "original": record.line,
        },
        "message": record.line,
        "source": {"ip": record.ip, "address": record.ip},
        "banstream": {
            "ref": item.ref,
            "source": record.source,
            "filter": {"name": record.filter, "version": record.filter_version},
        },
    }
    related: EcsDocument = {"ip": [record.ip]}
    document["related"] = related
    if record.port is not None:
        document["source"]["port"] = record.port
    if record.country:
        document["source"]["geo"] = {"country_iso_code": record.country}
    if record.user:
        document["user"] = {"name": record.user}
        related["user"] = [record.user]
    if record.host:
        document["host"] = {"name": record.host, "id": record.host, "os": LINUX}
        related["hosts"] = [record.host]
    if record.service:
        document["service"] = {"name": record.service}
    if record.source.startswith(FILE):
        document["log"] = {"file": {"path": record.source[len(FILE) :]}}
    if (technique := technique_of_item(item)) is not None:
        document["threat"] = _threat(technique)
    return document


INFO: Final = ["info"]
SORTS: Final = {
    "failed": (["authentication"], ["start"]),
    "succeeded": (["authentication"], ["start"]),
    "probed": (INTRUSION, INFO),
    "request": (["web"], ["access"]),
}
"""By its kind, an event's category and type."""
ACTIONS: Final = {"probed": "probe", "request": "request"}


def _common(item: Item) -> EcsDocument:
    """What all but events have."""
    record: Any = item.record
    document: EcsDocument = {
        "@timestamp": rfc3339(record.at_ms),
        "ecs": ECS,
        "message": sentence(record),
        "banstream": {"ref": item.ref},
        "event": {
            "id": item.id,
            "kind": "event",
            "severity": severity_of(item).cef,
            "module": MODULE,
            "dataset": f"banstream.{item.what}",
        },
    }
    if item.key:
        document["source"] = {"address": item.key}
        document["banstream"]["prefix"] = _with_length(item.key)
    if (address := address_of(item)) is not None:
        document["source"]["ip"] = address
        document["related"] = {"ip": [address]}
    if (who := getattr(record, "who", None)) is not None:
        document["user"] = {"name": who}
    if item.sample:
        document["tags"] = ["sample"]
    return document


def _others(item: Item) -> EcsDocument:  # noqa: PLR0911 - a case for each record
    record = item.record
    match record:
        case Ban():
            return _ban(item, record)
        case Unban() | Prolong():
            return _change(item, record)
        case Alert():
            return _alert(item, record)
        case Enforcement():
            return _enforcement(item, record)
        case Command():
            return _command(item, record)
        case Heartbeat():
            return _silent(item, record)
        case RulesChanged():
            rule = {"ruleset": MODULE, "version": record.version}
            return {"event": _told(item, CONFIGURATION, CHANGE, "rules_changed"), "rule": rule}
        case _:
            return {}


CONFIGURATION: Final = ["configuration"]
CHANGE: Final = ["change"]


def _told(item: Item, category: list[str], type_: list[str], action: str, **more: Any) -> EcsDocument:
    event: EcsDocument = _common(item)["event"]
    return {**event, "category": category, "type": type_, "action": action, "outcome": "success", **more}


def _ban(item: Item, ban: Ban) -> EcsDocument:
    known = item.background
    told: EcsDocument = {"kind": "alert", "reason": reason(ban), "end": rfc3339(ban.at_ms)}
    if known.first_at_ms is not None:
        told["start"] = rfc3339(known.first_at_ms)
    own: EcsDocument = {"id": ban.id, "failures": ban.count, "count": ban.ban_count, "evidence": ban.evidence}
    if ban.until_ms is not None:
        own["until"] = rfc3339(ban.until_ms)
    common = _common(item)
    rule: EcsDocument = {"name": ban.jail, "version": ban.rules, "ruleset": MODULE}
    document: EcsDocument = {
        "event": _told(item, INTRUSION, INFO if ban.expired else ["denied"], "ban", **told),
        "banstream": {**common["banstream"], "ban": own},
        "rule": rule,
        "related": {**common.get("related", {}), **_related(item)},
    }
    if len(known.countries) == 1 and "source" in common:
        document["source"] = {**common["source"], "geo": {"country_iso_code": known.countries[0]}}
    if known.services:
        own["services"] = list(known.services)
    if (technique := technique_of_item(item)) is not None:
        document["threat"] = _threat(technique)
        rule["category"] = technique.parent_name
    return document


def _related(item: Item) -> EcsDocument:
    known = item.background
    found = {"user": list(known.users), "hosts": list(known.hosts)}
    return {name: values for name, values in found.items() if values}


def _change(item: Item, record: Unban | Prolong) -> EcsDocument:
    common = _common(item)
    own: EcsDocument = {"id": record.ban}
    if isinstance(record, Unban):
        event = _told(item, INTRUSION, ["allowed"], "unban", reason=record.why or record.reason)
        own["reason"] = record.reason
    else:
        event = _told(item, INTRUSION, ["denied"], "prolong", kind="alert", reason=record.why or "prolonged")
        if record.until_ms is not None:
            own["until"] = rfc3339(record.until_ms)
    rule = {"name": record.jail, "ruleset": MODULE}
    return {"event": event, "rule": rule, "banstream": {**common["banstream"], "ban": own}}


def _alert(item: Item, record: Alert) -> EcsDocument:
    own = {
        name: getattr(record, name) for name in ("measure", "count", "usual", "deviation", "limit", "basis")
    }
    start = rfc3339(record.minute_ms)
    return {
        "event": _told(item, INTRUSION, INFO, "alert", kind="alert", reason=alarm(record), start=start),
        "rule": {"name": record.jail, "version": record.rules, "ruleset": MODULE},
        "banstream": {**_common(item)["banstream"], "alert": own},
    }


def _enforcement(item: Item, record: Enforcement) -> EcsDocument:
    common = _common(item)
    types = ["denied" if record.verb == "ban" else "allowed", "change"]
    category = ["network", "configuration"]
    event = _told(item, category, types, f"enforce_{record.verb}", outcome=ENFORCED[record.outcome])
    own = {"decision": record.decision, "backend": record.backend, "outcome": record.outcome}
    document: EcsDocument = {
        "event": event,
        "host": {"name": record.host, "id": record.host, "os": LINUX},
        "banstream": {**common["banstream"], "enforcement": own},
        "related": {**common.get("related", {}), "hosts": [record.host]},
    }
    if record.detail:
        document["error"] = {"message": record.detail}
    return document


def _silent(item: Item, record: Heartbeat) -> EcsDocument:
    event = _told(item, ["host"], INFO, "host_silent", kind="alert", outcome="unknown")
    host = {"name": record.host, "id": record.host, "os": LINUX}
    return {"event": event, "host": host, "related": {"hosts": [record.host]}}


def _command(item: Item, record: Command) -> EcsDocument:
    event = _told(item, CONFIGURATION, CHANGE, f"command_{record.verb}")
    if record.why:
        event["reason"] = record.why
    return {"event": event, **({"rule": {"name": record.jail, "ruleset": MODULE}} if record.jail else {})}


def _with_length(prefix: str) -> str:
    """A prefix as a CIDR: Elasticsearch's ip_range refuses an address alone."""
    return prefix if "/" in prefix else f"{prefix}/{128 if ':' in prefix else 32}"


@lru_cache(maxsize=64)
def _threat(technique: Technique) -> orjson.Fragment:
    """The technique; the same bytes for all of its documents."""
    parent: EcsDocument = {"id": [technique.parent], "name": [technique.parent_name]}
    if technique.is_sub:
        parent["subtechnique"] = {"id": [technique.uid], "name": [technique.name]}
    tactic = {"id": [technique.tactic], "name": [technique.tactic_name]}
    threat = {"framework": "MITRE ATT&CK", "tactic": tactic, "technique": parent}
    return orjson.Fragment(orjson.dumps(threat))


KIND: Final = FormatKind(writer, content_type="application/x-ndjson")
