"""Reads the bans topic: the standing ban that a message holds, as this host needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Final, NamedTuple

from enforcers.standing import HostBan, ends_of, holders_of, packed
from schemas import codec
from schemas.codec import HoldLine
from schemas.records import Hold


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


def read_standing(value: bytes, heeded: Heeded = ALL) -> HostBan:
    """The standing that a message holds, as far as its holds count; InvalidMessage when it holds none."""
    record = codec.read_standing(value)
    holds: Sequence[Hold | HoldLine] = record.holds
    if heeded is not ALL:
        holds = [hold for hold in holds if heeded.counts(hold.jail, hold.labels)]
    wanted = packed(ends_of(holds))
    holders = holders_of(holds, record.decision)
    return HostBan(record.prefix, record.decision, wanted, record.decided_at_ms, holders=holders)
