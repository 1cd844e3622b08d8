"""One login attempt counts once: a connection's failures are the most lines of any one class.

sshd, PAM and the closing of the connection each report the same attempt in a line of their own. A line is of
a class; per connection every class is counted, and a line that lifts the largest count is a failure.

| the connection's lines | largest count | kinds |
|---|---|---|
| Failed password, three times | 1, 2, 3 | failed, failed, failed |
| Invalid user; Failed password; closed [preauth] | 1, 1, 1 | failed, probed, probed |
| closed by authenticating user root [preauth] | 1 | failed |
| Failed publickey (of a valid user); closed [preauth] | 0, 1 | probed, failed |
| Accepted; closed | | succeeded, none |

pam_unix is no class: a PAM conversation may run in a process of its own, whose line nobody can tie to a
connection, and sshd reports the same attempt a moment later under its own process id.

Connections are forgotten when they close; those that never do, in two generations of LIMIT.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from schemas.addresses import canonical_address
from schemas.errors import InvalidMessage

LIMIT: Final = 512
PORT_AT: Final = len(b" port ")
CACHED_ADDRESSES: Final = 8_192
NEVER: Final = -(10**9)
ALWAYS: Final = 10**9

PEER, RAW_ADDRESS, ADDRESS, PORT, HOST, RAW_USER, USER, LARGEST = range(8)
PROBE, SUCCESS, INVALID, NONE, PASSWORD, INTERACTIVE, KEY, PAM, CLOSED, REFUSED, EXCEEDED = range(8, 19)

CLASSES: Final = EXCEEDED + 1 - PROBE

IPV4: Final = re.compile(rb"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)")

Connection = list[Any]
"""[peer, raw address, address, port, host, raw user, user, largest, count of each class]: a list, because
it is the hot path's only mutable thing and a list's item is the cheapest to read and write. `peer` is sshd's
`ADDRESS port PORT`, or None while only a line without a port has spoken."""


def address_of(text: bytes) -> str | None:
    """The canonical form of a literal address; None for a host name, `UNKNOWN` and the like."""
    if IPV4.fullmatch(text):
        return text.decode("ascii")
    try:
        return canonical_address(text.decode("ascii"))
    except ValueError:
        return None


class Connections:
    """The connections of one stream, by the `host program[pid` that reports them."""

    __slots__ = ("_addresses", "_host", "_host_prefix", "_old", "young")

    def __init__(self) -> None:
        self.young: dict[bytes, Connection] = {}
        self._old: dict[bytes, Connection] = {}
        self._addresses: dict[bytes, str | None] = {}
        self._host_prefix = b""
        self._host = ""

    def find(self, key: bytes, address: bytes, peer: bytes | None) -> Connection | None:  # noqa: C901 - hot path
        """The connection of a process with a peer; a new one when the process has another peer by now.

        Args:
            key: `HOST PROGRAM[PID`, or empty in a file without headers: then the peer is all there is.
            address: the peer's address, as it stands in the line.
            peer: `ADDRESS port PORT`; None for a line without a port, which any peer of the address matches.

        Returns:
            None when the address is not a literal one.
        """
        where = key or peer or b""
        young = self.young
        found = young.get(where)
        if found is None and self._old:
            found = self._revived(where)
        if found is not None and found[RAW_ADDRESS] == address:
            if peer is None or found[PEER] == peer:
                return found
            if found[PEER] is None:
                found[PEER], found[PORT] = peer, int(peer[len(address) + PORT_AT :])
                return found
        ip = self._addresses.get(address) or self._address_of(address)
        if ip is None:
            return None
        if not key.startswith(self._host_prefix) or not self._host:
            self._host_prefix = key[: key.find(b" ") + 1]
            self._host = self._host_prefix[:-1].decode("utf-8", "replace")
        port = None if peer is None else int(peer[len(address) + PORT_AT :])
        # Written out, and not joined from parts: this is done for every connection, and a third faster.
        found = [peer, address, ip, port, None, None, None, 0, NEVER, ALWAYS, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        if key:
            found[HOST] = self._host
        if where:
            if len(young) >= LIMIT:
                self._age()
            young[where] = found
        return found

    def save(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "young": [_saved(*item) for item in self.young.items()],
            "old": [_saved(*item) for item in self._old.items()],
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on where `save` was called; InvalidMessage when it is no such state."""
        try:
            young = dict(map(_loaded, saved["young"]))
            old = dict(map(_loaded, saved["old"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidMessage(f"not the connections of a filter: {error!r}", field="young") from error
        for mine, theirs in ((self.young, young), (self._old, old)):
            mine.clear()
            mine.update(theirs)

    def _revived(self, key: bytes) -> Connection | None:
        found = self._old.pop(key, None)
        if found is not None:
            if len(self.young) >= LIMIT:
                self._age()
            self.young[key] = found
        return found

    def _age(self) -> None:
        """The young become the old, in place: the hot path holds on to the dict of the young."""
        self._old.clear()
        self._old.update(self.young)
        self.young.clear()

    def _address_of(self, text: bytes) -> str | None:
        if len(self._addresses) >= CACHED_ADDRESSES:
            self._addresses.clear()
        ip = self._addresses[text] = address_of(text)
        return ip


def _saved(key: bytes, connection: Connection) -> list[Any]:
    """All of a connection but its user."""
    peer, raw_address, *known = connection[:RAW_USER]
    return [
        key.decode("latin-1"),
        peer and peer.decode("latin-1"),
        raw_address.decode("latin-1"),
        *known,
        *connection[LARGEST:],
    ]


def _loaded(saved: Any) -> tuple[bytes, Connection]:
    key, peer, raw_address, address, port, host, *counts = saved
    if len(counts) != CLASSES + 1 or not all(type(count) is int for count in counts):
        raise ValueError("counts")
    peer = peer and peer.encode("latin-1")
    return key.encode("latin-1"), [
        peer,
        raw_address.encode("latin-1"),
        address,
        port,
        host,
        None,
        None,
        *counts,
    ]
