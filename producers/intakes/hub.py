"""One listening address: what its senders say, in the order it came. It outlives a reload."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from producers.contract import Chunk
from producers.intakes.connections import Connections
from producers.intakes.counting import Notices
from producers.intakes.datagrams import Datagrams
from producers.intakes.framing import Framing
from producers.intakes.settings import Intake, Sender

_hubs: Final[dict[str, Hub]] = {}
"""Those that listen, by address: a source of new settings goes on with the sockets of the old one."""


class Hub:
    """The sockets of one address, and what has come in and was not handed out.

    Attributes:
        handed: what was handed out last: it can be had again while nobody has stored a position behind it.
        users: how many sources have it open.
    """

    def __init__(self, intake: Intake, now_ms: Callable[[], int]) -> None:
        """Listen. Raises OSError."""
        self.intake = intake
        self.incarnation = f"{now_ms():x}-{os.getpid()}"
        self.offset = 0
        self.handed: Chunk | None = None
        self.users = 0
        self.notices = Notices(intake.listen)
        self._now_ms = now_ms
        self._pending: dict[str, list[bytes]] = {}
        self._sockets: Connections | Datagrams = (
            Datagrams(intake, self.notices, self._give)
            if intake.scheme.endswith("udp")
            else Connections(intake, self.notices, self._give, Framing)
        )

    def fileno(self) -> int:
        """Readable when somebody has something to say."""
        return self._sockets.fileno()

    def read(self, intake: Intake, most_bytes: int) -> Chunk | None:
        """The next lines of one sender; None when there are none now."""
        if intake != self.intake:
            self._sockets.renew(intake)
            self.intake = intake
        if not self._pending:
            self._sockets.pump(self._now_ms(), most_bytes)
        if not self._pending:
            return None
        name = next(iter(self._pending))
        data = b"".join(self._pending.pop(name))
        start, self.offset = self.offset, self.offset + len(data)
        origin = f"{self.intake.listen}#{name}"
        self.handed = Chunk(data, self.incarnation, start, self.position(), live=False, origin=origin)
        return self.handed

    def position(self) -> Mapping[str, Any]:
        """How much has been handed out."""
        return {"incarnation": self.incarnation, "position": self.offset}

    def close(self) -> None:
        """Stop listening."""
        self._sockets.close()

    def _give(self, sender: Sender, lines: bytes) -> None:
        if lines:
            self._pending.setdefault(sender.name, []).append(lines)


def hub_of(intake: Intake, now_ms: Callable[[], int]) -> Hub:
    """The hub that listens there, or a new one. Raises OSError."""
    found = _hubs.get(intake.listen)
    if found is None:
        found = _hubs[intake.listen] = Hub(intake, now_ms)
    found.users += 1
    return found


def let_go(hub: Hub) -> None:
    """One source less has it open; without any it stops listening."""
    hub.users -= 1
    if not hub.users:
        del _hubs[hub.intake.listen]
        hub.close()
