"""One listening address: what its senders say, in the order it came. It outlives a reload."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from eventlog.trust import doubt
from producers.contract import Chunk
from producers.intakes.connections import StreamListener
from producers.intakes.counting import Allowance, IntakeNotices
from producers.intakes.datagrams import DatagramListener
from producers.intakes.framing import Framing
from producers.intakes.gelf import GelfPieces, GelfStream
from producers.intakes.peers import Talk
from producers.intakes.settings import AllowedSender, Intake

if TYPE_CHECKING:
    from producers.intakes.http import Desk

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
        self.notices = IntakeNotices(intake.listen)
        self._now_ms = now_ms
        self._pending: dict[str, list[bytes]] = {}
        self._asked: dict[str, list[Callable[[], None]]] = {}
        self._unsettled: list[tuple[int, list[Callable[[], None]]]] = []
        self._desk: Desk | None = None
        self._sockets: StreamListener | DatagramListener = (
            DatagramListener(
                intake,
                self.notices,
                self._give,
                GelfPieces(self.notices) if intake.scheme.startswith("gelf") else None,
            )
            if intake.scheme.endswith("udp")
            else StreamListener(intake, self.notices, self._give, self._talks())
        )

    def fileno(self) -> int:
        """Readable when somebody has something to say."""
        return self._sockets.fileno()

    def renew(self, intake: Intake, tls: ssl.SSLContext | None, tokens: Mapping[str, bytes]) -> None:
        """Other settings from now on, or the same, and what their files hold now."""
        if isinstance(self._sockets, StreamListener):
            self._sockets.renew(intake, tls)
        else:
            self._sockets.renew(intake)
        self.intake = intake
        if self._desk is not None:
            self._desk.tokens = tokens
            self._desk.elastic_version = intake.elastic_version

    def read(self, most_bytes: int) -> Chunk | None:
        """The next lines of one sender; None when there are none now."""
        if not self._pending:
            self._sockets.pump(self._now_ms(), most_bytes)
        if not self._pending:
            return None
        name = next(iter(self._pending))
        data = b"".join(self._pending.pop(name))
        start, self.offset = self.offset, self.offset + len(data)
        origin = f"{self.intake.listen}#{name}"
        if name in self._asked:
            self._unsettled.append((self.offset, self._asked.pop(name)))
        self.handed = Chunk(data, self.incarnation, start, self.position(), live=False, origin=origin)
        return self.handed

    def position(self) -> Mapping[str, Any]:
        """How much has been handed out."""
        return {"incarnation": self.incarnation, "position": self.offset}

    @property
    def asked(self) -> bool:
        """Whether somebody waits to hear that what was handed out is stored."""
        return bool(self._unsettled)

    def settled(self, position: Mapping[str, Any]) -> None:
        """What was handed out up to a position is stored: who waits for that hears of it."""
        if position.get("incarnation") != self.incarnation or not self._unsettled:
            return
        stood = position.get("position", 0)
        while self._unsettled and self._unsettled[0][0] <= stood:
            for tell in self._unsettled.pop(0)[1]:
                tell()
        if isinstance(self._sockets, StreamListener):
            self._sockets.answer(self._now_ms())

    def close(self) -> None:
        """Stop listening."""
        self._sockets.close()

    def _talks(self) -> Callable[[Sequence[AllowedSender]], Talk]:
        """What is said on a connection."""
        if self.intake.scheme == "gelf+tcp":
            return lambda senders: GelfStream(senders, self.notices)
        if not self.intake.over_http:
            counted = self.intake.scheme.startswith("syslog")
            return lambda _: Framing(counted=counted)
        from producers.intakes.http import Desk, HttpTalk  # noqa: PLC0415 - syslog does without

        desk = self._desk = Desk(
            deliver=self._deliver,
            notices=self.notices,
            allowance=Allowance(),
            now_ms=self._now_ms,
            elastic_version=self.intake.elastic_version,
            tokens=tokens_of(self.intake),
        )
        return lambda senders: HttpTalk(desk, senders)

    def _deliver(self, sender: AllowedSender, lines: bytes, tell: Callable[[], None]) -> None:
        self._give(sender, lines)
        self._asked.setdefault(sender.name, []).append(tell)

    def _give(self, sender: AllowedSender, lines: bytes) -> None:
        if lines:
            self._pending.setdefault(sender.name, []).append(lines)


def tokens_of(intake: Intake) -> dict[str, bytes]:
    """The senders' tokens, by name. Raises OSError for a file that cannot be read, or be trusted."""
    found: dict[str, bytes] = {}
    for sender in intake.senders:
        if sender.token_file is not None:
            path = Path(sender.token_file)
            if why := doubt(path, secret=True):
                raise OSError(0, f"{path}: not read, since it cannot be trusted: {why}")
            found[sender.name] = path.read_bytes().strip()
            if not found[sender.name]:
                raise OSError(0, f"{path}: holds no token")
    return found


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
