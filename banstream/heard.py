"""Whom a fleet has heard of: each enforcer's newest heartbeat, read from the end of the log."""

from __future__ import annotations

from typing import Final, NamedTuple

from banstream.backwards import pages_back
from banstream.enforcing import HEARTBEAT_MS
from banstream.enrolled import Vouchers
from eventlog.contract import EventLog, Message
from eventlog.follower import located
from schemas.records import Heartbeat
from schemas.shipments import shipment_of
from schemas.topics import ENFORCEMENTS

MANY: Final = 4_096
"""Heartbeats are small."""
HEARD_MS: Final = 3_600_000
"""A host that was not heard of for longer is not shown."""
QUIET_MS: Final = 3 * HEARTBEAT_MS


class Heard(NamedTuple):
    """A heartbeat, and when the log had it, by the log's clock: a host's own may be wrong.

    Attributes:
        signed: by the host that it names; else anybody who may write enforcements may have said it.
        forged: how many came after it in that host's name that the host did not sign.
    """

    beat: Heartbeat
    at_ms: int
    signed: bool = False
    forged: int = 0

    def state(self, now_ms: int) -> str:
        """How an enforcer is, in a word."""
        if self.beat.stopped:
            return "stopped"
        if now_ms - self.at_ms > QUIET_MS:
            return "silent"
        return "observing" if self.beat.observing else "running"


def heartbeats(log: EventLog, now_ms: int, vouchers: Vouchers) -> dict[str, Heard]:
    """Each host's newest heartbeat; of one that signs the newest that it signed."""
    found: dict[str, Heard] = {}
    orders: dict[str, int] = {}
    unsigned: dict[str, int] = {}
    least = log.offset_at(ENFORCEMENTS.name, 0, now_ms - HEARD_MS)
    for message in pages_back(log, (ENFORCEMENTS.name, 0), least, most=MANY):
        for each in located(ENFORCEMENTS.name, message, b'"type":"heartbeat"'):
            if isinstance(beat := each.record, Heartbeat):
                order = _order(message, beat.host)
                if order is None or order < orders.get(beat.host, 0) or vouchers.author(message) != beat.host:
                    known = found.setdefault(beat.host, Heard(beat, message.at_ms))
                    if not known.signed:
                        unsigned[beat.host] = unsigned.get(beat.host, 0) + 1
                    continue
                # One that is older and further on: what was taken before was repeated by somebody.
                repeated = beat.host in orders
                forged = unsigned[beat.host] = unsigned.get(beat.host, 0) + repeated
                orders[beat.host] = order
                found[beat.host] = Heard(beat, message.at_ms, signed=True, forged=forged)
    return found


def _order(message: Message, host: str) -> int | None:
    """The order of a message that says a host has signed it; None where it does not say so."""
    shipment = shipment_of(message.key)
    if shipment is None or shipment.signature is None or shipment.host != host:
        return None
    return shipment.order_ms
