"""Reads the bans topic: the standing ban that a message holds, as this host needs it."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Final, NamedTuple

from enforcers.standing import Ends, ends_of
from schemas import codec


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
    record = codec.read_standing(value)
    holds = [hold for hold in record.holds if heeded.counts(hold.jail, hold.labels)]
    return Word(record.prefix, record.decision, record.decided_at_ms, ends_of(holds))
