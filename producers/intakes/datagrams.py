"""An intake over UDP: a datagram is a message. Nobody proves that he is where he says he sends from."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from producers.intakes.counting import CUT, OVER_LIMIT, OVERFLOWN, STRANGERS, Allowance, IntakeNotices
from producers.intakes.framing import MESSAGE_LIMIT_BYTES, line_of
from producers.intakes.gelf import GelfPieces
from producers.intakes.settings import AllowedSender, Intake

LARGEST_BYTES: Final = 1 << 16
"""No datagram is larger."""
BUFFER_BYTES: Final = 8 << 20
"""Asked of the kernel: what comes while banstream is busy waits there."""
MOST_PEERS: Final = 4_096
SO_RXQ_OVFL: Final = 40
"""How many datagrams the kernel has dropped since the socket was made stands beside a message (socket(7))."""
COUNT_BYTES: Final = 4

Give = Callable[[AllowedSender, bytes], None]
"""Takes lines of a sender."""


class DatagramListener:
    """A socket, and whose its datagrams are."""

    def __init__(
        self, intake: Intake, notices: IntakeNotices, give: Give, pieces: GelfPieces | None = None
    ) -> None:
        """Listen; `pieces`: a datagram is GELF's, or a piece of one. Raises OSError."""
        self.intake = intake
        self._pieces = pieces
        self._notices = notices
        self._give = give
        self._allowance = Allowance()
        self._peers: dict[str, AllowedSender | None] = {}
        self._dropped = 0
        self._socket = bound(intake, socket.SOCK_DGRAM)
        for option in (socket.SO_RCVBUF, SO_RCVBUFFORCE):
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)

    def fileno(self) -> int:
        """Readable when a datagram is there."""
        return self._socket.fileno()

    def renew(self, intake: Intake) -> None:
        """Other senders from now on."""
        self.intake = intake
        self._peers.clear()

    def pump(self, now_ms: int, most_bytes: int) -> bool:
        """Take what has come, about so much at most; whether there was something."""
        taken = 0
        while taken < most_bytes:
            try:
                data, beside, _, peer = self._socket.recvmsg(LARGEST_BYTES, 64)
            except OSError:
                break
            taken += len(data) + 1
            for _, kind, value in beside:
                if kind == SO_RXQ_OVFL:
                    self._count_dropped(int.from_bytes(value[:COUNT_BYTES], "little"))
            self._take(data, peer[0], now_ms)
        return taken > 0

    def close(self) -> None:
        """Let go."""
        self._socket.close()

    def _take(self, data: bytes, address: str, now_ms: int) -> None:
        sender = self._sender(address)
        if sender is None:
            self._notices.add(STRANGERS)
            return
        left = self._allowance.of(sender, now_ms)
        if left is not None and left < 1:
            self._notices.add(OVER_LIMIT, sender)
            return
        self._allowance.take(sender, 1)
        if self._pieces is not None:
            self._give(sender, b"".join(self._pieces.take(data, sender, address, now_ms)))
            return
        self._notices.add(CUT, sender, len(data) > MESSAGE_LIMIT_BYTES)
        self._give(sender, line_of(data[:MESSAGE_LIMIT_BYTES]))

    def _sender(self, address: str) -> AllowedSender | None:
        if address not in self._peers:
            if len(self._peers) >= MOST_PEERS:
                self._peers.clear()
            self._peers[address] = next(iter(self.intake.at(address)), None)
        return self._peers[address]

    def _count_dropped(self, dropped: int) -> None:
        self._notices.add(OVERFLOWN, times=(dropped - self._dropped) & 0xFFFFFFFF)
        self._dropped = dropped


SO_RCVBUFFORCE: Final = 33
"""As SO_RCVBUF, past the system's limit, for who may (socket(7))."""


def bound(intake: Intake, kind: socket.SocketKind) -> socket.socket:
    """A socket at the intake's address, which nobody waits at. Raises OSError."""
    host, port = intake.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, kind)
    try:
        made.setblocking(False)  # noqa: FBT003 - the standard library's
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made
