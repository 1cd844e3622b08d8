"""Graylog Extended Log Format 1.1: JSON of one level, own fields after an underscore, texts and numbers."""

from __future__ import annotations

from typing import Any, Final

import orjson

from schemas.steering import harmless
from sinks.contract import FormatKind, Item, Options, SentBy, Writing
from sinks.facts import facts_of, severity_of

NAMES: Final = {"id": "_event_id", "ip": "_src_ip", "port": "_src_port"}
"""`_id` is Graylog's own."""
LEFT_OUT: Final = frozenset({"at", "message", "host"})


def writer(sender: SentBy, _: Options) -> Writing:
    """The function from an item to its message."""

    def write(item: Item) -> bytes:
        facts = facts_of(item)
        message: dict[str, Any] = {
            "version": "1.1",
            "host": facts.get("host") or sender.host,
            "short_message": facts["message"] or item.happening,
            "timestamp": getattr(item.record, "at_ms", 0) / 1_000,
            "level": severity_of(item).syslog,
        }
        message |= {
            NAMES.get(name, f"_{name}"): value for name, value in facts.items() if name not in LEFT_OUT
        }
        return harmless(orjson.dumps(message))

    return write


KIND: Final = FormatKind(writer, content_type="application/json")
