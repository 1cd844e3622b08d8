"""The key of a message that a shipper appends to the events: who sent it, when by his own clock, and signed.

| key | says |
|---|---|
| `web1@1795351806062` | web1 sent it at this instant, or somebody who says so |
| `web1@1795351806062@SIGNATURE` | web1 did: schemas.signatures |
| `web1@1795351806062+5@SIGNATURE` | web1 did, after what he had sent when his clock showed up to 5 ms more |

The log stamps the message by its own clock, so the two together say how wrong the host's clock is, however
long the events had waited before they were sent. So the instant is always the clock's, and what grows from
one signed message to the next is the instant and what it is ahead, together: also where two are sent within
a millisecond, and after a clock was set back. Messages of others have no key, and any other key is nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MOST_HOST_BYTES: Final = 256
MOST_INSTANT_MS: Final = 10**13 - 1
"""13 digits, in the year 2286."""
SIGNATURE_CHARACTERS: Final = 86
"""64 bytes as base64url without padding."""
_DIGITS: Final = 13
_KEY_CHARACTERS: Final = MOST_HOST_BYTES + 2 * (_DIGITS + 1) + 1 + SIGNATURE_CHARACTERS


class Shipment(NamedTuple):
    """Who sent a message, when by his own clock (Unix milliseconds), and what he signed it with.

    Attributes:
        host: his name; it may hold an `@`.
        sent_at_ms: by his own clock, 0 to MOST_INSTANT_MS.
        ahead_ms: how much further what he had sent before has come; only where it is signed.
        signature: None where nobody vouches for it.
    """

    host: str
    sent_at_ms: int
    ahead_ms: int = 0
    signature: str | None = None

    @property
    def order_ms(self) -> int:
        """What grows with every message that a host signs."""
        return self.sent_at_ms + self.ahead_ms


def is_host(name: str) -> bool:
    """Whether a key can carry this name."""
    try:
        return 0 < len(name.encode()) <= MOST_HOST_BYTES
    except UnicodeEncodeError:
        return False


def key_of(shipment: Shipment) -> str:
    """The key that says so: without a signature what is signed of it."""
    ahead = f"+{shipment.ahead_ms}" if shipment.ahead_ms else ""
    signature = f"@{shipment.signature}" if shipment.signature else ""
    return f"{shipment.host}@{shipment.sent_at_ms}{ahead}{signature}"


def shipment_of(key: str | None) -> Shipment | None:
    """What a key says; None for any other: `key_of` of it is the same key again."""
    if key is None or len(key) > _KEY_CHARACTERS:
        return None
    rest, _, last = key.rpartition("@")
    signature = None
    if len(last) == SIGNATURE_CHARACTERS:
        signature = last
        rest, _, last = rest.rpartition("@")
    instant, plus, ahead = last.partition("+")
    if not (is_host(rest) and _is_number(instant)):
        return None
    if plus and not (signature and _is_number(ahead) and ahead != "0"):
        return None
    return Shipment(rest, int(instant), int(ahead or 0), signature)


def instant_ms(clock_ms: int) -> int:
    """What a clock shows, as a key can carry it."""
    return min(max(clock_ms, 0), MOST_INSTANT_MS)


def _is_number(text: str) -> bool:
    """Whether a text is how a number from 0 to MOST_INSTANT_MS is written."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS and (text[0] != "0" or text == "0")
