"""The key of what an enforcer appends: its host's name, or that, the instant and a signature.

It is the key of a shipper's message (schemas.shipments), signed for the topic of the enforcements, so that
neither can be taken for the other. It grows while the process lives: who reads refuses what comes again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from schemas.shipments import Shipment, instant_ms
from schemas.signatures import signed_key
from schemas.topics import ENFORCEMENTS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

RecordSeal = Callable[[bytes], str]
"""The key for a message of the enforcements that has this value."""


def unsigned(host: str) -> RecordSeal:
    """The seal of a host that only says who it is."""
    return lambda _: host


class RecordSigning:
    """The seal of a host that signs."""

    def __init__(self, host: str, now_ms: Callable[[], int], private: Ed25519PrivateKey) -> None:
        """Sign as `host`, whose clock is `now_ms`."""
        self._host = host
        self._now_ms = now_ms
        self._private = private
        self._last_ms = -1

    def __call__(self, value: bytes) -> str:
        """The key, later than that before."""
        sent_at_ms = instant_ms(self._now_ms())
        self._last_ms = max(sent_at_ms, self._last_ms + 1)
        shipment = Shipment(self._host, sent_at_ms, self._last_ms - sent_at_ms)
        return signed_key(self._private, ENFORCEMENTS.name, 0, shipment, value)
