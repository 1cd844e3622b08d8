"""OpenTelemetry's log records as OTLP/JSON has them: one `logRecords` item each; the transport wraps them.

There is no convention for logins or bans: `eventName` is ours, attributes are OpenTelemetry's where it has
one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from schemas.steering import harmless
from sinks.contract import FormatKind, Item, Options, SentBy, Writing
from sinks.facts import facts_of, severity_of

NAMES: Final[Mapping[str, str]] = {
    "id": "log.record.uid",
    "ip": "client.address",
    "port": "client.port",
    "user": "user.name",
    "who": "user.name",
    "host": "host.name",
    "jail": "security_rule.name",
    "rules": "security_rule.version",
    "technique": "threat.technique.id",
    "detail": "error.type",
    "failures": "banstream.ban.failures",
    "until": "banstream.ban.until",
}
LEFT_OUT: Final = frozenset({"at", "message"})
FILE: Final = "file:"
NS: Final = 1_000_000


def writer(_: SentBy, __: Options) -> Writing:
    """The same for everybody."""
    return write


def write(item: Item) -> bytes:
    """An item as a log record."""
    facts = facts_of(item)
    record: Any = item.record
    at_ms = getattr(record, "at_ms", 0)
    source = str(facts.get("source", ""))
    attributes = [
        _attribute(NAMES.get(name, f"banstream.{name}"), value)
        for name, value in facts.items()
        if name not in LEFT_OUT
    ]
    if source.startswith(FILE):
        attributes.append(_attribute("log.file.path", source[len(FILE) :]))
    word = "auth." if item.what == "events" else ""
    return harmless(
        orjson.dumps(
            {
                "timeUnixNano": str(at_ms * NS),
                "observedTimeUnixNano": str(getattr(record, "seen_at_ms", at_ms) * NS),
                "severityNumber": severity_of(item).otel,
                "eventName": f"banstream.{word}{item.happening.replace(' ', '_')}",
                "body": {"stringValue": facts["message"]},
                "attributes": attributes,
            }
        )
    )


def _attribute(name: str, value: str | int) -> dict[str, Any]:
    told = {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}
    return {"key": name, "value": told}


KIND: Final = FormatKind(writer, content_type="application/json")
