"""Plain JSON: the record as it stands in the log, with its id and place, and of a ban what its evidence says.

`uid` is what leaves the log under the same name always; `id` is a decision's own.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import orjson

from schemas.codec import AuthLine, to_wire
from schemas.steering import harmless
from schemas.techniques import TECHNIQUES
from sinks.contract import FormatKind, Item, Options, SentBy, Writing
from sinks.facts import technique_of_item

TOLD: Final = ("first_at_ms", "users", "services", "hosts", "countries")
"""What is told of a ban's evidence."""

_encode: Final = msgspec.json.Encoder().encode


def writer(_: SentBy, __: Options) -> Writing:
    """The same for everybody."""
    return write


def write(item: Item) -> bytes:
    """An item as one JSON object, on one line."""
    if isinstance(item.record, AuthLine):
        head = f'{{"uid":"{item.id}","ref":"{item.ref}","log":"{item.log}",'.encode("ascii")
        more = b'"sample":true,' if item.sample else b""
        if item.technique in TECHNIQUES:
            more += b'"technique":"%b",' % item.technique.encode("ascii")
        return harmless(head + more + _encode(item.record)[1:])
    own: dict[str, Any] = {"uid": item.id, "ref": item.ref, "log": item.log}
    if item.sample:
        own["sample"] = True
    wire = {**own, **to_wire(item.record), **own}
    known = item.background
    told = {name: getattr(known, name) for name in TOLD}
    if (technique := technique_of_item(item)) is not None:
        told["technique"] = technique.uid
    wire |= {name: value for name, value in told.items() if value}
    return harmless(orjson.dumps(wire))


KIND: Final = FormatKind(writer, content_type="application/x-ndjson")
