"""The wire format: one JSON object a record, one or more records a frame, one line each (NDJSON).

A field is written when it differs from its default. A reader refuses a missing field, a wrong type and a
newer `v` with InvalidMessage, keeps fields it does not know in `extra`, and never raises anything else,
whatever the bytes.

| on the wire | in a record |
|---|---|
| string, integer (64 bit, signed), boolean | str, int, bool; within the bounds that its type has |
| one of a fixed set of strings | Literal |
| absent or null | None, where the field allows it |
| array | tuple |
| object | Mapping, or a record of its own (Hold) |

What comes by the hundred thousand (events, sightings, standing bans, enforcements) is read, and some of it
written, as a line: the fields of its record, checked as they are read, in a tenth of the time that the record
takes. What a line does not take, be it a field of a newer writer or a mistake, is read field by field; so
both ways accept and refuse the same, with the same reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, cast

import msgspec
import orjson

from schemas.addresses import are_addresses, is_ipv4, is_prefix
from schemas.bounds import (
    AsNumber,
    CountryCode,
    DelayMs,
    InstantMs,
    Labels,
    Name,
    Port,
    Position,
    ShortText,
    Statement,
    Times,
    ToldMs,
)
from schemas.deciding import Sighting
from schemas.errors import InvalidMessage
from schemas.fields import BY_TYPE, FIELDS, KNOWN, check_object, read, shown
from schemas.records import EnforcementVerb, Kind, Outcome, Record, Standing

VERSION: Final = 1
MOST_BYTES: Final = 8 << 20
"""A frame is no larger, unpacked: eight times what writers begin another one at."""
MOST_LINES: Final = 16_384
"""A frame has no more lines: a shipper writes some 512, a decider as many unbans as make 1 MiB."""
NO_LABELS: Final[Labels] = MappingProxyType({})
"""What lines without labels share: an object of its own for each would cost more than checking its bounds."""


class AuthLine(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """An AuthEvent as its line."""

    type: Literal["auth"]
    v: Literal[1]
    kind: Kind
    at_ms: ToldMs
    seen_at_ms: ToldMs
    filter: Name
    filter_version: Name
    ip: str
    source: Name
    incarnation: Name
    position: Position
    line: ShortText
    user: ShortText | None = None
    port: Port | None = None
    service: Name | None = None
    host: Name | None = None
    labels: Labels = NO_LABELS
    skewed: bool = False
    country: CountryCode | None = None
    asn: AsNumber | None = None
    as_name: Name | None = None
    path: ShortText | None = None
    times: Times = 1
    spared: tuple[Name, ...] = ()


class HoldLine(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A Hold within a line."""

    jail: Name
    ban: Name
    until_ms: InstantMs | None
    ports: tuple[Port, ...] = ()
    labels: Labels = NO_LABELS


class StandingLine(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A Standing as its line."""

    type: Literal["standing"]
    v: Literal[1]
    prefix: str
    decision: Name
    decided_at_ms: InstantMs
    holds: tuple[HoldLine, ...]


class EnforcementLine(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """An Enforcement as its line."""

    type: Literal["enforcement"]
    v: Literal[1]
    decision: Name
    prefix: str
    verb: EnforcementVerb
    host: Name
    backend: Name
    outcome: Outcome
    at_ms: InstantMs
    detail: Statement | None = None
    delay_ms: DelayMs | None = None


class SightingLine(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A Sighting as its line."""

    type: Literal["sighting"]
    v: Literal[1]
    jail: Name
    user: ShortText
    prefix: str
    at_ms: InstantMs
    event: Name


_auth_line: Final = msgspec.json.Decoder(AuthLine).decode
_sighting_line: Final = msgspec.json.Decoder(SightingLine).decode
_standing_line: Final = msgspec.json.Decoder(StandingLine).decode
_lines_written: Final = msgspec.json.Encoder().encode_lines


def lines_of(frame: bytes) -> list[bytes]:
    """The lines of a frame, one a record; InvalidMessage, for the frame as a whole, where it is too large.

    It takes no more memory than a frame within bounds does, however many lines there are.
    """
    if len(frame) > MOST_BYTES:
        raise InvalidMessage(f"a frame of {len(frame)} bytes; {MOST_BYTES} at most are read")
    lines = frame.split(b"\n", MOST_LINES)
    if len(lines) > MOST_LINES:
        raise InvalidMessage(f"a frame of more lines than {MOST_LINES}, which are the most that are read")
    return lines


def frame_of(lines: Iterable[bytes]) -> bytes:
    """Lines as a frame."""
    return b"\n".join(lines)


def encode(record: Record) -> bytes:
    """One record as one JSON object, without a newline."""
    try:
        return dump_line(to_wire(record))
    except TypeError as error:
        raise InvalidMessage(f"a {record.TYPE} record cannot be written as JSON: {error}") from error


def encode_frame(records: Iterable[Record]) -> bytes:
    """Records as a frame."""
    return frame_of(map(encode, records))


def encode_lines(lines: Sequence[AuthLine | EnforcementLine]) -> bytes:
    """Lines as a frame: the same bytes as their records'."""
    return _lines_written(lines)[:-1]


def wires_of(lines: Sequence[AuthLine]) -> list[dict[str, Any]]:
    """The JSON objects of lines, as dicts."""
    wires: list[dict[str, Any]] = msgspec.to_builtins(lines)
    return wires


def lines_from(wires: Sequence[Mapping[str, Any]]) -> list[AuthLine]:
    """The lines that JSON objects hold, whatever their `ip`; InvalidMessage where one holds none."""
    try:
        return msgspec.convert(wires, list[AuthLine])
    except msgspec.ValidationError as error:
        raise InvalidMessage(str(error)) from error


def changed(line: AuthLine, /, **fields: Any) -> AuthLine:
    """A line with other values in some fields."""
    return msgspec.structs.replace(line, **fields)


def to_wire(record: Record) -> dict[str, Any]:
    """The JSON object of a record, as a dict."""
    wire: dict[str, Any] = {"type": record.TYPE, "v": VERSION}
    wire.update(_plain(record))
    wire.update(record.extra)
    return wire


def decode(line: bytes) -> Record:
    """The record that one line holds; InvalidMessage when it holds none."""
    return from_wire(load_line(line))


def decode_frame(frame: bytes) -> list[Record | InvalidMessage]:
    """The records of a frame, in order; a line that holds none is an InvalidMessage in its place.

    Raises:
        InvalidMessage: the whole frame is too large to be taken apart.
    """
    return [_decoded(line) for line in lines_of(frame)]


def read_events(frame: bytes) -> Sequence[AuthLine | Record | InvalidMessage]:
    """What the lines of a frame of events hold, in order: an AuthLine, or as `decode_frame`, which see."""
    lines = lines_of(frame)
    try:
        events = list(map(_auth_line, lines))
    except msgspec.DecodeError:
        return list(map(_event, lines))
    return events if are_addresses([event.ip for event in events]) else list(map(_event, lines))


def read_told(frame: bytes) -> list[Record | InvalidMessage]:
    """As `decode_frame`, which see, of what a partition is told: sightings in a tenth of the time."""
    return [_told(line) for line in lines_of(frame)]


def read_standing(line: bytes) -> StandingLine | Standing:
    """The standing ban that a line holds; InvalidMessage when it holds none."""
    try:
        standing = _standing_line(line)
    except msgspec.DecodeError:
        standing = None
    if standing is not None and (is_ipv4(standing.prefix) or is_prefix(standing.prefix)):
        return standing
    record = decode(line)
    if not isinstance(record, Standing):
        raise InvalidMessage(f"expected a standing, not {record.TYPE}", field="type")
    return record


def load_line(line: bytes) -> dict[str, Any]:
    """The JSON object of one line, its fields unchecked; InvalidMessage when it is none."""
    try:
        wire = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidMessage(f"not JSON: {error}") from error
    if type(wire) is not dict:
        raise InvalidMessage(f"not a JSON object but {type(wire).__name__}")
    return cast("dict[str, Any]", wire)


def dump_line(wire: Mapping[str, Any]) -> bytes:
    """A JSON object as one line; TypeError where it cannot be written."""
    return orjson.dumps(wire)


def from_wire(wire: Mapping[str, Any]) -> Record:
    """The record that a JSON object holds; InvalidMessage when it holds none."""
    version = wire.get("v")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise InvalidMessage(f"version {shown(version)}; this program reads 1 to {VERSION}", field="v")
    name = wire.get("type")
    record_type = BY_TYPE.get(name) if isinstance(name, str) else None
    if record_type is None:
        raise InvalidMessage(f"unknown type {shown(name)}; known are {', '.join(BY_TYPE)}", field="type")
    values = read(record_type, wire)
    extra = wire.keys() - KNOWN[record_type]
    if extra:
        values["extra"] = check_object({key: value for key, value in wire.items() if key in extra})
    return record_type(**values)


def _event(line: bytes) -> AuthLine | Record | InvalidMessage:
    try:
        event = _auth_line(line)
    except msgspec.DecodeError:
        return _decoded(line)
    return event if are_addresses([event.ip]) else _decoded(line)


def _told(line: bytes) -> Record | InvalidMessage:
    try:
        told = _sighting_line(line)
    except msgspec.DecodeError:
        return _decoded(line)
    if not (is_ipv4(told.prefix) or is_prefix(told.prefix)):
        return _decoded(line)
    return Sighting(jail=told.jail, user=told.user, prefix=told.prefix, at_ms=told.at_ms, event=told.event)


def _decoded(line: bytes) -> Record | InvalidMessage:
    try:
        return decode(line)
    except InvalidMessage as error:
        return error


def _plain(record: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults; nested records become dicts."""
    plain: dict[str, Any] = {}
    for field in FIELDS[type(record)]:
        value = getattr(record, field.name)
        if value != field.default:
            plain[field.name] = _nested(value) if type(value) is tuple else value
    return plain


def _nested(values: tuple[Any, ...]) -> list[Any]:
    return [_plain(value) if type(value) in FIELDS else value for value in values]
