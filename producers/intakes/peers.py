"""Who is connected to an intake, and what is understood of what he says."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Protocol

from producers.intakes.framing import Framing, WholeLines
from producers.intakes.settings import AllowedSender


class Talk(Protocol):
    """What is said on one connection."""

    @property
    def output(self) -> bytearray:
        """What is to be written; whoever writes it takes it out."""
        ...

    @property
    def closing(self) -> bool:
        """Whether the connection ends once that is written."""
        ...

    @property
    def deaf(self) -> bool:
        """Whether nothing is to be read now."""
        ...

    def ended(self) -> None:
        """The connection is gone."""
        ...

    def renew(self, senders: Sequence[AllowedSender]) -> None:
        """Those whom it may be are others now, or are told anew."""
        ...

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun and not ended."""
        ...

    def take(self, data: bytes) -> WholeLines:
        """The lines that these bytes end."""
        ...


class Peer:
    """One peer.

    Attributes:
        sender: who it is; None while that is not known.
        may_be: who it may be, by its address.
        names: what its certificate is made out for.
        begun_ms: since when it greets, or a message of its has not ended.
        heard_ms: when it said something last.
        watched: what the kernel is asked to tell of it.
        drains: all is said to it; what it still sends is nobody's.
        paused_until_ms: before then nothing is read of it.
    """

    def __init__(
        self, made: socket.socket, may_be: tuple[AllowedSender, ...], now_ms: int, address: str
    ) -> None:
        self.socket = made
        self.may_be = may_be
        self.names: tuple[str, ...] = ()
        self.sender: AllowedSender | None = None
        self.talk: Talk = Framing()
        self.watched = 0
        self.drains = False
        self.address = address
        self.begun_ms: int | None = now_ms
        self.heard_ms = now_ms
        self.paused_until_ms = 0
