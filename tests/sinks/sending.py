"""A transport as a sink opens it, by its `to` and its keys; and items to hand to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.codec import AuthLine, encode, read_events
from schemas.records import AuthEvent, Heartbeat, Record
from schemas.topics import COMMANDS, DECISIONS, ENFORCEMENTS, EVENTS
from sinks.contract import Background, Item, Parcel, Sending, Transport
from sinks.identity import exported_id
from sinks.registry import format_kind, transport_kind
from sinks.selection import SILENT, WHATS, happening_of, subject_of
from sinks.techniques import technique_by_name
from tests.sinks.following import LOG, ORIGIN

TOPICS = {
    "auth": EVENTS,
    "enforcement": ENFORCEMENTS,
    "heartbeat": ENFORCEMENTS,
    "command": COMMANDS,
    "rules": COMMANDS,
}


def item(
    record: Record, ref: str = "3-8812-4", known: Background | None = None, *, sample: bool = False
) -> Item:
    """A record as an item; an event is a line, as a sink has it."""
    raw = encode(record)
    held: Record | AuthLine = record
    if isinstance(record, AuthEvent):
        (line,) = read_events(raw)
        held = line if isinstance(line, AuthLine) else record
    return Item(
        exported_id(held, LOG, ref),
        ref,
        WHATS[TOPICS.get(record.TYPE, DECISIONS).name],
        happening_of(held) or (SILENT if isinstance(held, Heartbeat) else ""),
        subject_of(held),
        LOG,
        held,
        raw,
        known or Background(),
        sample=sample,
        technique=technique_by_name(held) if isinstance(held, AuthLine | AuthEvent) else "",
    )


def written(record: Record, format_: str = "json", known: Background | None = None, **options: Any) -> bytes:
    """What a format makes of a record."""
    kind = format_kind(format_)
    assert kind is not None
    given = {name: option.default for name, option in kind.options.items()}
    return kind.writer(ORIGIN, {**given, **options})(item(record, known=known))


def sending(
    record: Record, format_: str = "json", known: Background | None = None, **options: Any
) -> Sending:
    """A record, written."""
    return Sending(item(record, known=known), written(record, format_, known, **options))


def transport(to: str, format_: str = "", **options: Any) -> Transport:
    """A transport. Options that are not given have their defaults."""
    kind = transport_kind(to)
    assert kind is not None
    given: Mapping[str, Any] = {
        **{name: option.default for name, option in kind.options.items()},
        **options,
    }
    assert kind.doubt(to, given) is None
    found = format_kind(format_ or kind.format)
    assert found is not None
    return kind.opened(to, given, Parcel(found.content_type, found.header, format_ or kind.format), ORIGIN)


def doubt(to: str, **options: Any) -> str | None:
    """What a transport says against its keys."""
    kind = transport_kind(to)
    assert kind is not None
    return kind.doubt(to, {**{name: option.default for name, option in kind.options.items()}, **options})
