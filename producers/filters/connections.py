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

A PAM conversation runs in a process of its own, so that the line of pam_unix may come under another process
id. Such a line without a connection is counted at once, and the next failure that the same host reports of
the same address pays it back as `probed`.

Connections are forgotten when they close; those that never do, in two generations of LIMIT.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from schemas.addresses import canonical_address
from schemas.errors import InvalidMessage

LIMIT: Final = 512
OWED_PER_ADDRESS: Final = 16
NEVER: Final = -(10**9)
ALWAYS: Final = 10**9

PEER, ADDRESS, PORT, HOST, RAW_USER, USER, LARGEST = range(7)
PROBE, SUCCESS, INVALID, NONE, PASSWORD, INTERACTIVE, KEY, PAM, PAM_UNIX, CLOSED, REFUSED, EXCEEDED = range(
    7, 19
)

FRESH: Final = [0, NEVER, ALWAYS, *[0] * (EXCEEDED - SUCCESS)]
"""LARGEST and the counts of a new connection: a probe never lifts the largest, a success always does."""

IPV4: Final = re.compile(rb"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)")

Connection = list[Any]
"""[peer, address, port, host, raw user, user, largest, count of each class]: a list, because it is the
hot path's only mutable thing and a list's item is the cheapest to read and write. `peer` is sshd's
`ADDRESS port PORT`, or None while only PAM has spoken."""


def address_of(text: bytes) -> str | None:
    """The canonical form of a literal address; None for a host name, `UNKNOWN` and the like."""
    if IPV4.fullmatch(text):
        return text.decode("ascii")
    try:
        return canonical_address(text.decode("ascii"))
    except ValueError:
        return None


def judge(connection: Connection, code: int) -> str | None:
    """Count one more line of a class; the kind of its event, None after a success."""
    count = connection[code] + 1
    connection[code] = count
    largest = connection[LARGEST]
    if count > largest:
        connection[LARGEST] = count
        return "failed" if count < ALWAYS else "succeeded"
    return None if largest >= ALWAYS else "probed"


class Connections:
    """The connections of one stream, by the `host program[pid` that reports them."""

    __slots__ = ("_old", "owed", "young")

    def __init__(self) -> None:
        self.young: dict[bytes, Connection] = {}
        self._old: dict[bytes, Connection] = {}
        self.owed: dict[tuple[str | None, str | None], list[bytes]] = {}

    def find(self, key: bytes, peer: bytes) -> Connection | None:
        """The connection of a process with a peer; a new one when the process has another by now.

        None when the peer is not a literal address.
        """
        found = self._known(key or peer)
        if found is not None and found[PEER] == peer:
            return found
        address, _, port = peer.partition(b" port ")
        if (ip := address_of(address)) is None:
            return None
        if found is None or found[PEER] is not None or found[ADDRESS] != ip:
            found = self._new(key or peer, ip, _host_of(key))
        elif self.owed:
            self._pay(key, found)
        found[PEER] = peer
        found[PORT] = int(port)
        return found

    def find_portless(self, key: bytes, address: bytes) -> Connection | None:
        """The connection of a process with an address, as PAM reports it: without a port.

        None when it is not a literal address. Without a process it is no known connection's.
        """
        if (ip := address_of(address)) is None:
            return None
        if not key:
            return [None, ip, None, None, None, None, *FRESH]
        found = self._known(key)
        if found is not None and found[ADDRESS] == ip:
            return found
        return self._new(key, ip, _host_of(key))

    def drop(self, key: bytes, peer: bytes) -> None:
        """The connection has closed."""
        self.young.pop(key or peer, None)

    def owe(self, key: bytes, connection: Connection) -> None:
        """A failure was counted of a connection that nobody but PAM has seen yet."""
        if len(self.owed) >= LIMIT:
            self.owed.clear()
        debts = self.owed.setdefault((connection[HOST], connection[ADDRESS]), [])
        debts[:] = [*debts[1 - OWED_PER_ADDRESS :], key]

    def settle(self, key: bytes, connection: Connection) -> str:
        """The kind of a failure, when one may be owed for the same host and address."""
        debts = self.owed.get((connection[HOST], connection[ADDRESS]))
        if not debts or key in debts:
            return "failed"
        self._pay(debts[0], connection)
        return "probed"

    def _pay(self, key: bytes, connection: Connection) -> None:
        about = connection[HOST], connection[ADDRESS]
        debts = self.owed.get(about, [])
        if key in debts:
            debts.remove(key)
            if not debts:
                del self.owed[about]

    def save(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "young": [_saved(*item) for item in self.young.items()],
            "old": [_saved(*item) for item in self._old.items()],
            "owed": [
                [host, ip, *(key.decode("latin-1") for key in keys)] for (host, ip), keys in self.owed.items()
            ],
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on where `save` was called; InvalidMessage when it is no such state."""
        try:
            young = dict(map(_loaded, saved["young"]))
            old = dict(map(_loaded, saved["old"]))
            owed = {(host, ip): [key.encode("latin-1") for key in keys] for host, ip, *keys in saved["owed"]}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidMessage(f"not the connections of a filter: {error!r}", field="young") from error
        for mine, theirs in ((self.young, young), (self._old, old)):
            mine.clear()
            mine.update(theirs)
        self.owed = owed

    def _known(self, key: bytes) -> Connection | None:
        found = self.young.get(key)
        if found is None and (found := self._old.pop(key, None)) is not None:
            self._admit(key, found)
        return found

    def _new(self, key: bytes, ip: str | None, host: str | None) -> Connection:
        connection: Connection = [None, ip, None, host, None, None, *FRESH]
        self._admit(key, connection)
        return connection

    def _admit(self, key: bytes, connection: Connection) -> None:
        if len(self.young) >= LIMIT and key not in self.young:
            self._old.clear()
            self._old.update(self.young)
            self.young.clear()
        self._old.pop(key, None)
        self.young[key] = connection


def _host_of(key: bytes) -> str | None:
    return key.partition(b" ")[0].decode("utf-8", "replace") if key else None


def _saved(key: bytes, connection: Connection) -> list[Any]:
    peer = connection[PEER]
    return [
        key.decode("latin-1"),
        peer and peer.decode("latin-1"),
        *connection[ADDRESS : HOST + 1],
        *connection[LARGEST:],
    ]


def _loaded(saved: Any) -> tuple[bytes, Connection]:
    key, peer, address, port, host, *counts = saved
    if len(counts) != len(FRESH) or not all(type(count) is int for count in counts):
        raise ValueError("counts")
    return key.encode("latin-1"), [
        peer and peer.encode("latin-1"),
        address,
        port,
        host,
        None,
        None,
        *counts,
    ]
