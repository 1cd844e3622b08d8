"""Reads the bans topic: the standing ban that a message holds, as this host needs it.

A start reads every ban in force, and the codec needs ten times as long for a record as JSON itself does.
What the producers of this topic write nearly always, an IPv4 address and one hold, is read directly; all
else goes through the codec. A property test holds both to the same results.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from enforcers.layout import IS_V4
from enforcers.standing import Ends, ends_of
from schemas.codec import VERSION, decode
from schemas.errors import InvalidMessage
from schemas.records import Standing

FIELDS: Final = {"type", "v", "prefix", "decision", "decided_at_ms", "holds"}
INT64: Final = 2**63


def read_standing(value: bytes) -> tuple[str, str, Ends]:
    """The prefix, the decision and until when it is banned; InvalidMessage when the message holds none."""
    return _plain(value) or _any(value)


def _plain(value: bytes) -> tuple[str, str, Ends] | None:
    """The same for the most usual record; None for every other, valid or not."""
    try:
        wire: dict[str, Any] = orjson.loads(value)
        prefix, decision, (hold,) = wire["prefix"], wire["decision"], wire["holds"]
        until_ms = hold["until_ms"]
        usual = (
            wire.keys() == FIELDS
            and wire["type"] == "standing"
            and type(wire["v"]) is int
            and wire["v"] == VERSION
            and IS_V4(prefix)
            and type(decision) is type(hold["jail"]) is type(hold["ban"]) is str
            and type(wire["decided_at_ms"]) is type(until_ms) is int
            and max(until_ms, wire["decided_at_ms"]) < INT64
            and len(hold) == 3  # noqa: PLR2004 - jail, ban and until_ms, no ports
        )
    except (ValueError, TypeError, KeyError):
        return None
    return (prefix, decision, (((), until_ms),)) if usual else None


def _any(value: bytes) -> tuple[str, str, Ends]:
    record = decode(value)
    if not isinstance(record, Standing):
        raise InvalidMessage(f"expected a standing, not {record.TYPE}", field="type")
    return record.prefix, record.decision, ends_of(record.holds)
