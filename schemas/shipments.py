"""The key of a message that a shipper appends to the events: who sent it, and when by his own clock.

`HOST@INSTANT`, such as `web1@1795351806062`. The log stamps the message by its own clock, so the two together
say how wrong the host's clock is, however long the events had waited before they were sent. Messages of
others have no key, and any other key is nothing.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_KEY: Final = re.compile(r"(.+)@(\d{1,15})", re.DOTALL)


class Shipment(NamedTuple):
    """Who sent a message, and when by his own clock (Unix milliseconds)."""

    host: str
    sent_at_ms: int


def key_of(shipment: Shipment) -> str:
    """The key that says so."""
    return f"{shipment.host}@{shipment.sent_at_ms}"


def shipment_of(key: str | None) -> Shipment | None:
    """What a key says; None for any other."""
    match = None if key is None else _KEY.fullmatch(key)
    return None if match is None else Shipment(match[1], int(match[2]))
