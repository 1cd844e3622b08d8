"""What one host makes of a ban: what it wants in the firewall, and how far that is what is held.

A prefix may be held by several jails. For each group of ports the latest end counts; a group that the hold
on all ports outlasts adds nothing and is left out. A hold that has ended wants nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import intern
from typing import Final

import msgspec

from schemas.codec import HoldLine
from schemas.records import Hold, Outcome

Ports = tuple[int, ...]
End = tuple[Ports, int | None]
"""A group of ports (empty: all), and until when it is banned, in Unix milliseconds (None: for ever)."""
Ends = tuple[End, ...]
Packed = int | Ends
"""Ends as they are kept: one for all ports as its instant alone; false where there are none."""
Holders = str | tuple[tuple[str, int | None, str], ...]
"""The one jail that holds a prefix by the newest decision; else each with its end and its ban."""

TOLERANCE_MS: Final = 2_000
"""An element that ends this close to its ban's end is right: the kernel and a listing round differently."""


class HostBan(msgspec.Struct, gc=False):
    """What this host knows of one prefix.

    There may be a hundred thousand: a Struct takes a fifth of a dataclass's time, and no garbage collection;
    and one end for all ports, as nearly every ban has, is kept as the integer alone.

    Attributes:
        prefix: the prefix.
        decision: the id of the decision that last changed it; empty when the firewall held it unasked.
        wanted: the ends that it wants, packed; none when it let the prefix go.
        holding: the ends that the firewall holds, packed, as far as this process knows.
        outcome: what came of the decision here; None before anything did.
        counted: the breaker counts it as banned.
        decided_at_ms: the decision's instant; None where the prefix was freed or held unasked.
        holders: whose the decision is.
    """

    prefix: str
    decision: str
    wanted: Packed
    decided_at_ms: int | None = None
    holding: Packed = ()
    outcome: Outcome | None = None
    counted: bool = False
    holders: Holders = ()

    @property
    def ends(self) -> Ends:
        """What the decision wants."""
        return spread(self.wanted)

    @property
    def held(self) -> Ends:
        """What the firewall holds."""
        return spread(self.holding)


def packed(ends: Ends) -> Packed:
    """Ends as they are kept."""
    if len(ends) == 1:
        ports, until_ms = ends[0]
        if until_ms and not ports:
            return until_ms
    return ends


def spread(kept: Packed) -> Ends:
    """Ends as they were before they were packed."""
    return (((), kept),) if isinstance(kept, int) else kept


def ends_of(holds: Sequence[Hold | HoldLine]) -> Ends:
    """Until when each group of ports is banned by these holds."""
    if len(holds) == 1 and not holds[0].ports:
        return (((), holds[0].until_ms),)
    ends: dict[Ports, int | None] = {}
    for hold in holds:
        ports = tuple(sorted(set(hold.ports))) if hold.ports else ()
        ends[ports] = _later(ends[ports], hold.until_ms) if ports in ends else hold.until_ms
    if len(ends) > 1 and () in ends:
        everything = ends[()]
        ends = {
            ports: end for ports, end in ends.items() if not ports or _later(everything, end) != everything
        }
    return tuple(ends.items())


def holders_of(holds: Sequence[Hold | HoldLine], decision: str) -> Holders:
    """Which jails these holds are of; names are kept once, whatever the number of bans."""
    if len(holds) == 1 and holds[0].ban == decision:
        return intern(holds[0].jail)
    return tuple((intern(hold.jail), hold.until_ms, hold.ban) for hold in holds)


def jails_of(holders: Holders) -> tuple[str, ...]:
    """The jails that hold a prefix."""
    return (holders,) if isinstance(holders, str) else tuple(jail for jail, _, _ in holders)


def live(ends: Ends, now_ms: int) -> Ends:
    """Those that have not ended."""
    for _, until_ms in ends:
        if until_ms is not None and until_ms <= now_ms:
            return tuple(end for end in ends if end[1] is None or end[1] > now_ms)
    return ends


def missing(wanted: Ends, held: Ends) -> Ends:
    """What has to be banned, so that what is wanted is held until its end."""
    if not held:
        return wanted
    return tuple([end for end in wanted if not any(_same(end, other) for other in held)])


def surplus(wanted: Ends, held: Ends) -> tuple[Ports, ...]:
    """The groups of ports that are held and not wanted."""
    groups = {ports for ports, _ in wanted}
    return tuple(ports for ports, _ in held if ports not in groups)


def _later(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else max(first, second)


def _same(first: End, second: End) -> bool:
    (ports, until_ms), (other_ports, other_until_ms) = first, second
    if ports != other_ports or until_ms is None or other_until_ms is None:
        return first == second
    return abs(until_ms - other_until_ms) <= TOLERANCE_MS
