"""Which hosts ship, and when each did last: from the end of the events, within a bound."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from banstream.backwards import pages_back
from eventlog.contract import EventLog, Message
from schemas.shipments import Shipment, shipment_of
from schemas.topics import EVENTS
from streams.hosts import Hosts

STRETCH: Final = 128
MOST_BYTES: Final = 4 << 20
MOST_MESSAGES: Final = 2_000
"""Of each partition so much is read; each may be a signature to be checked."""

MOST_STRANGERS: Final = 100
"""Whoever may write events may give himself any name: so many that are not enrolled are shown."""


class Shipper(NamedTuple):
    """A host that ships, or is enrolled to.

    Attributes:
        last_ms: when the log took what it sent last, or when that was sent, whichever is earlier: who repeats
            what a host has signed makes it no younger. None: nothing of it is near the end of the log.
        signed: it signed that.
        enrolled: it is enrolled, with a key in force.
    """

    host: str
    last_ms: int | None
    signed: bool
    enrolled: bool

    def to_wire(self, now_ms: int) -> dict[str, Any]:
        """As `status --fleet --json` has it."""
        age_ms = None if self.last_ms is None else now_ms - self.last_ms
        return {"type": "shipper", **self._asdict(), "last_event_ms": age_ms}


def shippers(log: EventLog, hosts: Hosts) -> list[Shipper]:
    """Every host that shipped lately, or may. Raises Transient and LogError."""
    hosts = Hosts.load(hosts.dump())
    enrolled = {
        name for name, host in hosts.enrolled.items() if any(key.until_ms is None for key in host.keys)
    }
    found: dict[str, Shipper] = {}
    for number in range(log.partitions):
        size, seen = 0, set[str]()
        for nth, message in enumerate(pages_back(log, (EVENTS.name, number), most=STRETCH)):
            shipment = shipment_of(message.key)
            known = shipment is not None and (shipment.host in enrolled or len(found) < MOST_STRANGERS)
            if shipment is not None and known and shipment.host not in seen and _is_theirs(hosts, message):
                seen.add(shipment.host)
                _take(found, message.at_ms, shipment, enrolled=shipment.host in enrolled)
            size += len(message.value)
            if size > MOST_BYTES or nth > MOST_MESSAGES or (enrolled and seen >= enrolled):
                break
    for name in enrolled - found.keys():
        found[name] = Shipper(name, None, signed=False, enrolled=True)
    return [found[name] for name in sorted(found)]


def _is_theirs(hosts: Hosts, message: Message) -> bool:
    """Whether a message counts as its host's, whatever came before it."""
    shipment = shipment_of(message.key)
    if shipment is not None and shipment.host in hosts.enrolled:
        for key in hosts.enrolled[shipment.host].keys:
            key.last_ms = -1
    return hosts.admit(message).refusal is None


def _take(found: dict[str, Shipper], at_ms: int, shipment: Shipment, *, enrolled: bool) -> None:
    """Take in what a host sent, where it is younger than what is known of it."""
    known = found.get(shipment.host)
    last_ms = min(at_ms, shipment.sent_at_ms)
    if known is None or known.last_ms is None or known.last_ms < last_ms:
        signed = enrolled and shipment.signature is not None
        found[shipment.host] = Shipper(shipment.host, last_ms, signed=signed, enrolled=enrolled)
