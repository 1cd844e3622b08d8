"""Reads the bans topic: the standing ban that a message holds, as this host needs it.

A start reads every ban in force, and the codec needs ten times as long for a record as JSON itself does.
What the producers of this topic write nearly always, an IPv4 address and one hold, is read directly; all
else goes through the codec. A property test holds both to the same results.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

import orjson

from enforcers.layout import IS_V4
from enforcers.standing import Ends, ends_of
from schemas.codec import VERSION, decode
from schemas.errors import InvalidMessage
from schemas.records import Standing

FIELDS: Final = {"type", "v", "prefix", "decision", "decided_at_ms", "holds"}
INT64: Final = 2**63


class Word(NamedTuple):
    """The newest word on a prefix: the decision, its instant, and until when it is banned by whom we heed."""

    prefix: str
    decision: str
    decided_at_ms: int
    ends: Ends


def read_standing(value: bytes, jails: AbstractSet[str] | None = None) -> Word:
    """The standing that a message holds; InvalidMessage when it holds none.

    `jails`: only what these jails hold counts; None for all.
    """
    return _plain(value, jails) or _any(value, jails)


def _plain(value: bytes, jails: AbstractSet[str] | None) -> Word | None:
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
    if not usual:
        return None
    heeded = jails is None or hold["jail"] in jails
    return Word(prefix, decision, wire["decided_at_ms"], (((), until_ms),) if heeded else ())


def _any(value: bytes, jails: AbstractSet[str] | None) -> Word:
    record = decode(value)
    if not isinstance(record, Standing):
        raise InvalidMessage(f"expected a standing, not {record.TYPE}", field="type")
    holds = [hold for hold in record.holds if jails is None or hold.jail in jails]
    return Word(record.prefix, record.decision, record.decided_at_ms, ends_of(holds))
