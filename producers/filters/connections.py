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
| Accepted; Failed password of the same peer | | succeeded, failed: that is another connection |

pam_unix is no class: a PAM conversation may run in a process of its own, whose line nobody can tie to a
connection, and sshd reports the same attempt a moment later under its own process id.

Connections are forgotten when they close; those that never do, in two generations of LIMIT. Of logins that
succeeded the last DONE_LIMIT are remembered for DONE_MS, so that how they close is nothing odd. An attempt
after a success is never of the same connection: whoever has an account may come back from the same port.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from producers.filters.headers import PRIORITY
from producers.filters.memory import Memory, remembered
from schemas.addresses import IPV4, canonical_address

LIMIT: Final = 512
PORT_MARK: Final = b" port "
"""What stands between a peer's address and its port."""
DONE_LIMIT: Final = 32
CACHED_ADDRESSES: Final = 8_192
NEVER: Final = -(10**9)
ALWAYS: Final = 10**9

PEER, RAW_ADDRESS, ADDRESS, PORT, HOST, RAW_USER, USER, LARGEST = range(8)
PROBE, SUCCESS, INVALID, NONE, PASSWORD, INTERACTIVE, KEY, PAM, CLOSED, REFUSED, EXCEEDED = range(8, 19)
DONE_AT: Final = 19
DONE_MS: Final = 86_400_000

CLASSES: Final = range(PROBE, EXCEEDED + 1)
AFTER_SUCCESS: Final = frozenset({PROBE, SUCCESS})
"""What a connection may say once a login has succeeded."""

IS_PRIORITY: Final = re.compile(PRIORITY).fullmatch
IS_IPV4: Final = re.compile(IPV4.encode()).fullmatch

Connection = list[Any]
"""[peer, raw address, address, port, host, raw user, user, largest, count of each class, when it succeeded]:
a list, because it is the hot path's only mutable thing and a list's item is the cheapest to read and write.
`peer` is sshd's `ADDRESS port PORT`, or None while only a line without a port has spoken."""


def address_of(text: bytes) -> str | None:
    """The canonical form of a literal address; None for a host name, `UNKNOWN` and the like."""
    if IS_IPV4(text):
        return text.decode("ascii")
    try:
        return canonical_address(text.decode("ascii"))
    except ValueError:
        return None


class Connections:
    """The connections of one stream, by the `host program[pid` that reports them.

    They age in two generations, each as large as a memory is: a line of a known connection looks it up
    and no more. To move each to the end at every line instead, in one memory of both, costs `match` 5 to 8 %.

    Only those are kept of which something is counted. A probe counts nothing: its connection is the guest of
    one moment, so that the next line of the same process, most often an attempt, need not read it again.

    Attributes:
        young: those of late.
        keyed: some process has reported one: the stream's lines have headers.
    """

    __slots__ = (
        "_addresses",
        "_done",
        "_guest",
        "_guest_at",
        "_host",
        "_host_prefix",
        "_old",
        "keyed",
        "young",
    )

    def __init__(self) -> None:
        self.young: Memory[bytes, Connection] = Memory(LIMIT)
        self.keyed = False
        self._old: Memory[bytes, Connection] = Memory(LIMIT)
        self._done: Memory[bytes, Connection] = Memory(DONE_LIMIT)
        self._guest: Connection | None = None
        self._guest_at: bytes | None = None
        self._addresses: dict[bytes, str | None] = {}
        self._host_prefix = b""
        self._host: str | None = None

    def find(  # noqa: C901 - hot
        self, key: bytes, address: bytes, peer: bytes | None, port: bytes | None, code: int
    ) -> Connection | None:
        """The connection that a line of a class is about; a new one when the process has another peer by now.

        Args:
            key: `HOST PROGRAM[PID`, or empty in a file without headers: then the peer is all there is.
            address: the peer's address, as it stands in the line.
            peer: `ADDRESS port PORT`; None for a line without a port, which any peer of the address matches.
            port: the peer's.
            code: the line's class.

        Returns:
            None when the address is not a literal one.
        """
        at = key or peer
        if at is None:
            return self._made(key, address, None, None)
        young = self.young
        found = young.get(at)
        if found is None:
            found = self._remembered(at, address, peer, code)
        if found is not None:
            party = found[PEER]
            if found[RAW_ADDRESS] != address or (party != peer and not (party is None or peer is None)):
                found = None
            elif party is None and port is not None:
                found[PEER], found[PORT] = peer, int(port)
        if found is None:
            found = self._made(key, address, peer, port)
            if found is None:
                return None
            if code == PROBE:
                self._guest, self._guest_at = found, at
                return found
        if code != PROBE:
            self._guest_at = None
            if code != SUCCESS:
                if len(young) >= LIMIT and at not in young:
                    self._age()
                young[at] = found
        return found

    def finish(self, at: bytes, connection: Connection, at_ms: int) -> None:
        """A login of this connection succeeded, at this instant."""
        connection[DONE_AT] = at_ms
        self.drop(at)
        self._done.keep(at, connection)

    def drop(self, at: bytes) -> None:
        """The connection of this key, or without keys of this peer, has closed."""
        self.young.pop(at, None)
        if self._old:
            self._old.pop(at, None)
        if self._done:
            self._done.pop(at, None)

    def save(self) -> dict[str, Any]:
        """Everything that counts, as JSON."""
        return {name: kept.save(_saved) for name, kept in self._kept().items()}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on where `save` was called; InvalidMessage when it is no such state."""
        found = {name: remembered(saved.get(name), self._loaded, name) for name in self._kept()}
        for name, kept in self._kept().items():
            kept.clear()
            kept.update(found[name])

    def _kept(self) -> dict[str, Memory[bytes, Connection]]:
        return {"young": self.young, "old": self._old, "done": self._done}

    def _made(self, key: bytes, address: bytes, peer: bytes | None, port: bytes | None) -> Connection | None:
        ip = self._addresses.get(address) or self._address_of(address)
        if ip is None:
            return None
        host = None
        if key:
            if not self._host_prefix or not key.startswith(self._host_prefix):
                self._host_prefix = key[: key.find(b" ") + 1]
                self._host = _host(self._host_prefix[:-1])
            host, self.keyed = self._host, True
        number = None if port is None else int(port)
        # Written out, and not joined from parts: this is done for every connection, and a third faster.
        return [peer, address, ip, number, host, None, None, 0, NEVER, ALWAYS, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]

    def _remembered(self, at: bytes, address: bytes, peer: bytes | None, code: int) -> Connection | None:
        guest = self._guest
        if at == self._guest_at and guest is not None and guest[RAW_ADDRESS] == address:
            party = guest[PEER]
            if party is None or party == peer:
                return guest
        if self._old and (found := self._old.get(at)) is not None:
            return found
        return self._done.get(at) if self._done and code in AFTER_SUCCESS else None

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

    def _loaded(self, saved: Any) -> tuple[bytes, Connection]:
        text, party, largest, *counts = saved
        at, who = text.encode("latin-1"), party.encode("latin-1")
        address, _, port = who.partition(PORT_MARK)
        connection = self._made(b"" if at == who else at, address, who if port else None, port or None)
        if connection is None or type(largest) is not int:
            raise ValueError(party)
        connection[LARGEST] = largest
        for code, count in counts:
            if code not in {*CLASSES, DONE_AT} or type(count) is not int:
                raise ValueError(code)
            connection[code] = count
        return at, connection


def _host(word: bytes) -> str | None:
    """The host that a word names; None for `-`, and for a facility and its level, as BusyBox writes them."""
    return None if word == b"-" or IS_PRIORITY(word) else word.decode("utf-8", "replace")


def _saved(at: bytes, connection: Connection) -> list[Any]:
    """[key, peer or address, largest, [class, count] of each that counts]; its user is read again."""
    party = connection[PEER] or connection[RAW_ADDRESS]
    kept = (*CLASSES[1:], DONE_AT)
    counts = [[code, connection[code]] for code in kept if connection[code] not in (0, NEVER, ALWAYS)]
    return [at.decode("latin-1"), party.decode("latin-1"), connection[LARGEST], *counts]
