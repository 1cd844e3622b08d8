"""A frame of the events topic, read for the decider: runs of authentication events, and the rest one by one.

Authentication events stay plain rows; anything unusual about a line sends it through the strict codec, so
that both ways accept and refuse the same lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final, get_args

import orjson

from schemas.addresses import canonical_address
from schemas.codec import from_wire, load_line
from schemas.errors import InvalidMessage
from schemas.records import AuthEvent, Command, Kind, RulesChanged, Tick
from streams.decider import Row
from streams.routes import SEPARATOR

KINDS: Final = frozenset(get_args(Kind))
REQUIRED: Final[dict[str, type]] = {
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
}
OPTIONAL: Final[dict[str, type]] = {
    "user": str,
    "port": int,
    "service": str,
    "host": str,
    "skewed": bool,
}
_required = itemgetter(*REQUIRED)
_TYPES: Final = tuple(REQUIRED.values())
_NAMES: Final = frozenset(REQUIRED)
INT63: Final = 2**62

Other = Command | Tick | RulesChanged
Mark = tuple[str, str]
"""A source id and an incarnation of it."""


@dataclass(slots=True)
class Frame:
    """What a frame holds.

    Attributes:
        runs: in order; a list of rows, or the index and the record of anything else.
        wires: the JSON object of each line (None where there is none), for the lines of the decisions.
        refused: the index and the reason of each line that cannot be read.
        marks: the highest position of each source and incarnation among its events.
        repeated: events dropped because an earlier frame held them already.
    """

    runs: list[list[Row] | tuple[int, Other]] = field(default_factory=list)
    wires: list[dict[str, Any] | None] = field(default_factory=list)
    refused: list[tuple[int, InvalidMessage]] = field(default_factory=list)
    marks: dict[Mark, int] = field(default_factory=dict)
    repeated: int = 0

    def line_of(self, index: int) -> str | None:
        """The log line of an authentication event."""
        wire = self.wires[index]
        return None if wire is None else wire.get("line")


def read_frame(value: bytes, marks: dict[Mark, int], *, selective: bool, not_after_ms: int) -> Frame:
    """Read a frame.

    Args:
        value: the message's value.
        marks: the highest position folded so far, by source and incarnation; events at or below are dropped.
        selective: whether routes name source and host (streams.routes).
        not_after_ms: a later time is that of a wrong clock, and is taken for this instant.
    """
    frame = Frame()
    rows: list[Row] = []
    for index, line in enumerate(value.split(b"\n")):
        try:
            wire, other = _read_line(line)
        except InvalidMessage as error:
            frame.refused.append((index, error))
            frame.wires.append(None)
            continue
        frame.wires.append(wire)
        if other is not None:
            frame.runs += (rows, (index, other))
            rows = []
            continue
        mark, position = (wire["source"], wire["incarnation"]), wire["position"]
        if position <= marks.get(mark, -1):
            frame.repeated += 1
            continue
        frame.marks[mark] = position
        route = wire["filter"]
        if selective:
            route = SEPARATOR.join((route, wire["source"], wire.get("host") or ""))
        rows.append((wire["kind"], min(wire["at_ms"], not_after_ms), wire["ip"], index, route))
    frame.runs.append(rows)
    return frame


def _read_line(line: bytes) -> tuple[dict[str, Any], Other | None]:
    """The JSON object of a line, and its record where that is no authentication event."""
    try:
        wire = orjson.loads(line)
        values = _required(wire)
        if _is_plain_auth(wire, values):
            return wire, None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pass
    wire = load_line(line)
    match from_wire(wire):
        case AuthEvent():
            return wire, None
        case Command() | Tick() | RulesChanged() as other:
            return wire, other
        case record:
            raise InvalidMessage(f"a {record.TYPE} record does not belong among the events", field="type")


def _is_plain_auth(wire: dict[str, Any], values: tuple[Any, ...]) -> bool:
    return (
        tuple(map(type, values)) == _TYPES
        and values[0] == AuthEvent.TYPE
        and values[1] == 1
        and values[2] in KINDS
        and max(values[3], values[4], values[10]) < INT63
        and all(type(wire[key]) is OPTIONAL.get(key) for key in wire.keys() - _NAMES)
        and _is_canonical(values[7])
    )


def _is_canonical(ip: str) -> bool:
    try:
        return canonical_address(ip) == ip
    except ValueError:
        return False
