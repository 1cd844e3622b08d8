"""What an uplink puts on the messages that it sends: who sends them, when, and his signature.

What a host signs has to grow from one message to the next (schemas.shipments): through a restart, and
whatever becomes of its clock. So the last order is kept in the spool before anything is sent under it, and a
start goes on CUT_MS after what it finds there, since a power cut may take the spool's last moments back. How
far the order is ahead of the clock stands in the key, and harms nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from eventlog.contract import Append
from producers.spool import Spool
from schemas.shipments import Shipment, instant_ms, key_of
from schemas.signatures import public_text, signed_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CUT_MS: Final = 60_000
"""More than a power cut takes back of a file that nobody syncs (Linux writes it out within 35 s)."""

Seal = Callable[[Sequence[Append]], list[Append]]
"""Gives messages the keys under which they are sent now; called for each try anew."""


def unsigned(host: str, now_ms: Callable[[], int]) -> Seal:
    """The seal of a host that only says who it is."""

    def seal(messages: Sequence[Append]) -> list[Append]:
        key = key_of(Shipment(host, instant_ms(now_ms())))
        return [replace(message, key=key) for message in messages]

    return seal


class Signing:
    """The seal of a host that signs."""

    def __init__(
        self, host: str, now_ms: Callable[[], int], spool: Spool, private: Ed25519PrivateKey
    ) -> None:
        """Sign as `host`, whose clock is `now_ms`; keep in `spool` how far it has come with this key."""
        self._host = host
        self._now_ms = now_ms
        self._spool = spool
        self._private = private
        self._reader = f"signed/{public_text(private)}"
        self._last_ms: int | None = None

    def __call__(self, messages: Sequence[Append]) -> list[Append]:
        """Each message signed, in this order."""
        sent_at_ms = instant_ms(self._now_ms())
        first_ms = self._reserve(len(messages), sent_at_ms)
        return [
            self._signed(message, Shipment(self._host, sent_at_ms, order_ms - sent_at_ms))
            for order_ms, message in enumerate(messages, first_ms)
        ]

    def _reserve(self, count: int, now_ms: int) -> int:
        """The first of as many orders that nothing was signed under; none of them is ever given again."""
        if self._last_ms is None:
            kept = self._spool.position(self._reader)
            self._last_ms = -1 if kept is None else int(kept) + CUT_MS
        first_ms = max(now_ms, self._last_ms + 1)
        self._last_ms = first_ms + count - 1
        self._spool.keep(self._reader, b"%d" % self._last_ms)
        return first_ms

    def _signed(self, message: Append, shipment: Shipment) -> Append:
        key = signed_key(self._private, message.topic, message.partition, shipment, message.value)
        return replace(message, key=key)
