"""Reads the bans topic: the standing ban that a message holds, as this host needs it.

A start reads every ban in force, and the codec needs ten times as long for a record as JSON itself does.
What the producers of this topic write nearly always, an IPv4 address and one hold, is read directly; all
else goes through the codec. A property test holds both to the same results.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
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


class Heeded(NamedTuple):
    """Whose bans count on this host.

    Attributes:
        jails: those of these jails; None for all.
        labels: this host's; a ban that carries another value of one of them is for other hosts.
    """

    jails: AbstractSet[str] | None = None
    labels: Mapping[str, str] = MappingProxyType({})

    def counts(self, jail: str, labels: Mapping[str, str]) -> bool:
        """Whether a hold of a jail with these labels counts."""
        if self.jails is not None and jail not in self.jails:
            return False
        return all(self.labels.get(name, value) == value for name, value in labels.items())


ALL: Final = Heeded()


def read_standing(value: bytes, heeded: Heeded = ALL) -> Word:
    """The standing that a message holds, as far as its holds count; InvalidMessage when it holds none."""
    return _plain(value, heeded) or _any(value, heeded)


def _plain(value: bytes, heeded: Heeded) -> Word | None:
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
            and len(hold) == 3  # noqa: PLR2004 - jail, ban and until_ms; no ports, no labels
        )
    except (ValueError, TypeError, KeyError):
        return None
    if not usual:
        return None
    ends: Ends = (((), until_ms),) if heeded.counts(hold["jail"], {}) else ()
    return Word(prefix, decision, wire["decided_at_ms"], ends)


def _any(value: bytes, heeded: Heeded) -> Word:
    record = decode(value)
    if not isinstance(record, Standing):
        raise InvalidMessage(f"expected a standing, not {record.TYPE}", field="type")
    holds = [hold for hold in record.holds if heeded.counts(hold.jail, hold.labels)]
    return Word(record.prefix, record.decision, record.decided_at_ms, ends_of(holds))
