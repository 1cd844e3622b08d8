"""Notices that somebody else changed nftables: the kernel's generation number, and its multicast.

Every transaction adds one to the generation. Ours are counted, so whatever the number moved beyond them
was another's. The multicast group wakes the reader and tells whether a transaction touched our table; where
its messages were lost the number still tells, and the change counts as one to our table.

Formats: linux/netfilter/nf_tables.h, linux/netlink.h (all native byte order, attributes big-endian).
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final, NamedTuple

from enforcers.contract import Changed
from schemas.errors import EnforcementFailed

NETLINK_NETFILTER: Final = 12
SOL_NETLINK: Final = 270
ADD_MEMBERSHIP: Final = 1
DROP_MEMBERSHIP: Final = 2
GROUP_NFTABLES: Final = 7
NLM_F_REQUEST: Final = 1
NFT_MSG_NEWGEN: Final = 10 << 8 | 15
NFT_MSG_GETGEN: Final = 10 << 8 | 16
ATTR_TYPE: Final = 0x3FFF
GEN_ID: Final = 1
GEN_PROC_PID: Final = 2
OBJECT_TABLE: Final = 1
NFPROTO_INET: Final = 1
HEADER: Final = struct.Struct("=IHHII")
ATTRIBUTE: Final = struct.Struct("=HH")
MAX_GENERATION: Final = 0xFFFF_FFFF
LOOK_EVERY_S: Final = 1.0


class Transaction(NamedTuple):
    """A transaction as the multicast told it: whose process made it, and which of our tables it touched."""

    pid: int
    touched: frozenset[bytes]


class Watch:
    """One network namespace's generation, from the moment of construction on."""

    def __init__(self, table: str, *more: str) -> None:
        """Start to watch `table`, and apart from it `more`; EnforcementFailed when the kernel refuses."""
        self._table, *others = (name.encode("ascii") + b"\0" for name in (table, *more))
        self._more = frozenset(others)
        self._more_changed: Changed = "no"
        self._own = 0
        self._pids = {os.getpid(), threading.get_native_id()}
        self._lost = False
        self._touched: set[bytes] = set()
        self._looked_at_s = monotonic()
        try:
            self._news = _open_socket()
            self._news.settimeout(0)
            self._news.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, GROUP_NFTABLES)
            self._ask = _open_socket()
            self._ask.settimeout(1.0)
            self._known = self._generation()
        except OSError as error:
            raise EnforcementFailed(f"cannot watch nftables for changes: {error}") from error

    def fileno(self) -> int:
        """Becomes readable when a transaction was made by anybody."""
        return self._news.fileno()

    def committed(self) -> None:
        """A transaction of ours was made."""
        self._own += 1

    def restart(self) -> None:
        """Forget what was: the caller is about to read the whole table."""
        self._note_more(self._drain(), unknown=True)
        self._known, self._own = self._generation(), 0

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Within it the kernel need not write a message for each element of a large batch of ours."""
        self._news.setsockopt(SOL_NETLINK, DROP_MEMBERSHIP, GROUP_NFTABLES)
        try:
            yield
        finally:
            self._news.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, GROUP_NFTABLES)

    def changed(self) -> bool:
        """Whether others may have touched our table since the last call, or since `restart`."""
        seen = self._drain()
        now_s = monotonic()
        if not seen and not self._lost and not self._own and now_s - self._looked_at_s < LOOK_EVERY_S:
            return False
        self._looked_at_s = now_s
        generation = self._generation()
        foreign = (generation - self._known - self._own) & MAX_GENERATION
        self._known, self._own = generation, 0
        lost, self._lost = self._lost, False
        if foreign == 0:
            # In a container the kernel knows us by another pid than we do: this is how we learn it.
            self._pids.update(transaction.pid for transaction in seen)
            return False
        others = [transaction for transaction in seen if transaction.pid not in self._pids]
        touched = frozenset[bytes]().union(*(transaction.touched for transaction in others))
        unknown = lost or len(others) != foreign
        self._note_more(seen, unknown=unknown)
        return unknown or self._table in touched

    def more_changed(self) -> Changed:
        """Whether others touched the other tables, as far as `changed` has heard since it was asked last."""
        changed, self._more_changed = self._more_changed, "no"
        return changed

    def _note_more(self, seen: Iterable[Transaction], *, unknown: bool = False) -> None:
        touched = any(each.touched & self._more for each in seen if each.pid not in self._pids)
        if touched:
            self._more_changed = "yes"
        elif unknown and self._more_changed == "no":
            self._more_changed = "perhaps"

    def close(self) -> None:
        """Stop watching. Idempotent."""
        self._news.close()
        self._ask.close()

    def _generation(self) -> int:
        self._ask.send(HEADER.pack(20, NFT_MSG_GETGEN, NLM_F_REQUEST, 0, 0) + b"\0\0\0\0")
        return next(
            int.from_bytes(value, "big")
            for kind, _, body in _messages(self._ask.recv(65_536))
            for attribute, value in _attributes(body)
            if kind == NFT_MSG_NEWGEN and attribute == GEN_ID
        )

    def _drain(self) -> list[Transaction]:
        """The transactions that the multicast told since the last time."""
        seen: list[Transaction] = []
        while True:
            try:
                data = self._news.recv(65_536)
            except BlockingIOError:
                return seen
            except OSError:
                # ENOBUFS: the kernel dropped messages because we were slow. The generation still counts them.
                self._lost = True
                continue
            for kind, family, body in _messages(data):
                self._note(kind, family, body, seen)

    def _note(self, kind: int, family: int, body: bytes, seen: list[Transaction]) -> None:
        attributes = dict(_attributes(body))
        if kind == NFT_MSG_NEWGEN:
            pid = int.from_bytes(attributes.get(GEN_PROC_PID, b""), "big")
            seen.append(Transaction(pid, frozenset(self._touched)))
            self._touched.clear()
        elif family == NFPROTO_INET:
            table = attributes.get(OBJECT_TABLE, b"")
            if table == self._table or table in self._more:
                self._touched.add(table)


def _open_socket() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
    opened.bind((0, 0))
    return opened


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The type, the family and the attributes of each message."""
    while len(data) >= HEADER.size + 4:
        length, kind, _, _, _ = HEADER.unpack_from(data)
        yield kind, data[HEADER.size], data[HEADER.size + 4 : length]
        data = data[max(length + 3 & ~3, HEADER.size) :]


def _attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    while len(body) >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(body)
        yield kind & ATTR_TYPE, body[ATTRIBUTE.size : length]
        body = body[max(length + 3 & ~3, ATTRIBUTE.size) :]
