"""A frame of the events topic, read for the decider: runs of authentication events, and the rest one by one.

Authentication events stay plain rows; anything unusual about a line sends it through the strict codec, so
that both ways accept and refuse the same lines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_args

import orjson

from eventlog.contract import Message
from schemas.addresses import canonical_address
from schemas.codec import from_wire, load_line
from schemas.errors import InvalidMessage
from schemas.records import AuthEvent, Command, Kind, RulesChanged, Tick
from streams.decider import Row, Run
from streams.routes import route_to
from streams.window import reference

KINDS: Final = frozenset(get_args(Kind))
TYPES: Final[dict[str, type]] = {
    "type": str,
    "v": int,
    "kind": str,
    "at_ms": int,
    "seen_at_ms": int,
    "filter": str,
    "filter_version": str,
    "ip": str,
    "source": str,
    "incarnation": str,
    "position": int,
    "line": str,
    "user": str,
    "port": int,
    "service": str,
    "host": str,
    "skewed": bool,
    "labels": dict,
}
REQUIRED: Final = frozenset(list(TYPES)[:12])
MOST_SHAPES: Final = 64
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PLAIN_IPV4: Final = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}").fullmatch
_shapes: dict[tuple[str, ...], tuple[type, ...] | None] = {}
"""By the keys of a JSON object, in order: the types of a plain event's values; None where it is none."""

Other = Command | Tick | RulesChanged
Mark = tuple[str, str, str]
"""A source id, an incarnation of it, and the filter: each filter's events of a source come in their order."""
ANY_FILTER: Final = ""
"""In marks of before, when there was one for all filters of a source: the least that each has seen."""
Sender = tuple[str, str]
"""A source id and an incarnation of it."""


@dataclass(slots=True)
class Frame:
    """What a frame holds.

    Attributes:
        runs: in order; events that take one route, or the index and the record of anything else.
        wires: the JSON object of each line (None where there is none), for the lines of the decisions.
        refused: the index and the reason of each line that cannot be read.
        marks: the highest position of each source, incarnation and filter among its events.
        sent_again: events dropped because an earlier frame held them already, by source and incarnation.
    """

    runs: list[Run | tuple[int, Other]] = field(default_factory=list)
    wires: list[dict[str, Any] | None] = field(default_factory=list)
    refused: list[tuple[int, InvalidMessage]] = field(default_factory=list)
    marks: dict[Mark, int] = field(default_factory=dict)
    sent_again: Counter[Sender] = field(default_factory=Counter)

    def line_of(self, index: int) -> str | None:
        """The log line of an authentication event."""
        wire = self.wires[index]
        return None if wire is None else wire.get("line")


def read_frame(
    message: Message, marks: Mapping[Mark, int], *, selective: bool, not_after_ms: int, behind_ms: int = 0
) -> Frame:
    """Read the frame of a message.

    Args:
        message: of the events topic.
        marks: the highest position folded so far; events at or below their own are dropped.
        selective: whether routes name source, host and labels (streams.routes).
        not_after_ms: a later time is that of a wrong clock, and is taken for this instant.
        behind_ms: how much the sender's clock is behind the log's; its events are put right by it.
    """
    frame = Frame()
    base = reference(message.offset)
    rows: list[Row] = []
    run: Run | None = None
    source = incarnation = name = ""
    seen = highest = -1
    for index, line in enumerate(message.value.split(b"\n")):
        try:
            wire, other = read_line(line)
        except InvalidMessage as error:
            frame.refused.append((index, error))
            frame.wires.append(None)
            continue
        frame.wires.append(wire)
        if other is not None:
            frame.runs.append((index, other))
            run = None
            continue
        if wire["filter"] != name or wire["incarnation"] != incarnation or wire["source"] != source:
            mark = source, incarnation, name = wire["source"], wire["incarnation"], wire["filter"]
            seen = seen_of(marks, mark)
            highest = max(seen, frame.marks.get(mark, -1))
        position = wire["position"]
        if position <= seen:
            frame.sent_again[source, incarnation] += 1
            continue
        if position > highest:
            highest = frame.marks[source, incarnation, name] = position
        route = _route_of(wire) if selective else wire["filter"]
        if run is None or route != run.route:
            rows = []
            run = Run(base, route, rows)
            frame.runs.append(run)
        at_ms = wire["at_ms"] + behind_ms
        rows.append((wire["kind"], min(not_after_ms, at_ms), wire["ip"], index))
    return frame


def seen_of(marks: Mapping[Mark, int], mark: Mark) -> int:
    """Up to which position the events of a source, incarnation and filter are folded; -1: none is."""
    seen = marks.get(mark)
    return marks.get((mark[0], mark[1], ANY_FILTER), -1) if seen is None else seen


def _route_of(wire: dict[str, Any]) -> str:
    return route_to(wire["filter"], wire["source"], wire.get("host"), wire.get("labels"))


def read_line(line: bytes) -> tuple[dict[str, Any], Other | None]:
    """The JSON object of a line, and its record where that is no authentication event."""
    try:
        wire = orjson.loads(line)
    except orjson.JSONDecodeError:
        wire = None
    if type(wire) is dict and _is_plain_auth(wire):
        return wire, None
    wire = load_line(line)
    match from_wire(wire):
        case AuthEvent():
            return wire, None
        case Command() | Tick() | RulesChanged() as other:
            return wire, other
        case record:
            raise InvalidMessage(f"a {record.TYPE} record does not belong among the events", field="type")


def _is_plain_auth(wire: dict[str, Any]) -> bool:
    """Whether it is an authentication event with nothing unusual about it, that the codec would take."""
    keys = tuple(wire)
    types = _shapes[keys] if keys in _shapes else _shape(keys)
    return (
        types is not None
        and tuple(map(type, wire.values())) == types
        and wire["type"] == AuthEvent.TYPE
        and wire["v"] == 1
        and wire["kind"] in KINDS
        and not (wire["at_ms"] | wire["seen_at_ms"] | wire["position"] | wire.get("port", 0)) >> 62
        and _is_canonical(wire["ip"])
        and ("labels" not in wire or all(type(label) is str for label in wire["labels"].values()))
    )


def _shape(keys: tuple[str, ...]) -> tuple[type, ...] | None:
    if len(_shapes) >= MOST_SHAPES:
        _shapes.clear()
    plain = set(keys) >= REQUIRED and all(key in TYPES for key in keys)
    _shapes[keys] = tuple(TYPES[key] for key in keys) if plain else None
    return _shapes[keys]


def _is_canonical(ip: str) -> bool:
    if _PLAIN_IPV4(ip):  # five times as fast as asking, for an address never seen before
        return True
    try:
        return canonical_address(ip) == ip
    except ValueError:
        return False
