"""Intakes over TCP and TLS: connections, bounded in number, memory and time.

| who is connected | bound |
|---|---|
| nobody knows yet: in the midst of TLS | GREETING_MOST, each for GREETING_MS; the oldest makes room |
| a sender | its `connections`; one that is silent for SILENT_MS makes room for a new one |
| whoever begins a message | MESSAGE_MS to end it, one message held for him |
| a peer that is gone without a word | keepalive: two minutes |
| a sender past its `lines_per_s` | is not read for a while: he waits, and nothing is lost |
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from producers.intakes.counting import (
    CUT,
    HANDSHAKES,
    NO_SOCKETS,
    SILENT,
    SLOW,
    STRANGERS,
    TOO_MANY,
    UNKNOWN,
    Allowance,
    IntakeNotices,
)
from producers.intakes.datagrams import Give, bound
from producers.intakes.peers import Peer, Talk
from producers.intakes.settings import AllowedSender, Intake
from producers.intakes.tls import context_of, names_of, pending

GREETING_MOST: Final = 256
GREETING_MS: Final = 10_000
MESSAGE_MS: Final = 30_000
SILENT_MS: Final = 60_000
PAUSE_MS: Final = 200
LOOK_MS: Final = 1_000
"""How often it is looked whose time is up."""
BACKLOG: Final = 1_024
EVENTS: Final = 1_024
ACCEPTS: Final = 64
"""So many connections are accepted in a turn, behind those that are there: who is done has made room."""
READ_BYTES: Final = 64 << 10
TURN_BYTES: Final = 256 << 10
"""After so much the next connection is read."""
UNSAID_BYTES: Final = 256 << 10
"""Who has so much to hear is not read before he has heard it."""
KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)


class StreamListener:
    """A listening socket and all that is connected to it."""

    def __init__(
        self,
        intake: Intake,
        notices: IntakeNotices,
        give: Give,
        talks: Callable[[Sequence[AllowedSender]], Talk],
    ) -> None:
        """Listen. Raises OSError, and ssl.SSLError for what are no certificates."""
        self.intake = intake
        self._notices = notices
        self._give = give
        self._talks = talks
        self._allowance = Allowance()
        self._tls = context_of(intake)
        self._socket = bound(intake, socket.SOCK_STREAM)
        self._socket.listen(BACKLOG)
        self._poll = select.epoll()
        self._poll.register(self._socket, select.EPOLLIN)
        self._open: dict[int, Peer] = {}
        self._greeting: dict[int, Peer] = {}
        self._of: dict[str, dict[int, Peer]] = {}
        self._answering: dict[int, Peer] = {}
        self._look_ms = 0
        self._deaf_until_ms = 0

    def fileno(self) -> int:
        """Readable when somebody has something to say."""
        return self._poll.fileno()

    def renew(self, intake: Intake, tls: ssl.SSLContext | None) -> None:
        """Other senders, other certificates from now on; who may not be here any more has to go."""
        self._tls = tls
        self.intake = intake
        for each in list(self._open.values()):
            each.may_be = intake.at(each.address)
            if each.sender is None:
                continue
            senders = [one for one in each.may_be if one.bears(each.names)]
            if not senders or senders[0].name != each.sender.name:
                self._drop(each)
            else:
                each.sender = senders[0]
                each.talk.renew(senders)

    def pump(self, now_ms: int, most_bytes: int) -> bool:
        """Take what has come, about so much at most; whether there was something."""
        if now_ms >= self._look_ms:
            self._look(now_ms)
        taken = 0
        told = [fileno for fileno, _ in self._poll.poll(0, EVENTS)]
        for fileno in told:
            if taken >= most_bytes:
                break
            taken += self._hear(self._open[fileno], now_ms) if fileno in self._open else 0
        if self._socket.fileno() in told:
            self._accept(now_ms)
        return taken > 0

    def close(self) -> None:
        """Let go of everybody."""
        for each in list(self._open.values()):
            self._drop(each)
        self._poll.close()
        self._socket.close()

    def _accept(self, now_ms: int) -> None:
        for _ in range(ACCEPTS):
            try:
                made, peer = self._socket.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue
            except OSError:
                self._notices.add(NO_SOCKETS)
                self._poll.modify(self._socket, 0)
                self._deaf_until_ms = now_ms + LOOK_MS
                return
            may_be = self.intake.at(peer[0])
            if not may_be:
                self._notices.add(STRANGERS)
                made.close()
                continue
            try:
                self._welcome(made, peer[0], may_be, now_ms)
            except OSError:
                made.close()

    def _welcome(
        self, made: socket.socket, address: str, may_be: tuple[AllowedSender, ...], now_ms: int
    ) -> None:
        made.setblocking(False)  # noqa: FBT003 - the standard library's
        for level, option, value in KEEPALIVE:
            made.setsockopt(level, option, value)
        if self._tls is not None:
            made = self._tls.wrap_socket(made, server_side=True, do_handshake_on_connect=False)
        new = Peer(made, may_be, now_ms, address)
        self._open[made.fileno()] = new
        self._watch(new, select.EPOLLIN)
        if self._tls is None:
            self._known(new, may_be, now_ms)
            return
        if len(self._greeting) >= GREETING_MOST:
            self._notices.add(HANDSHAKES)
            self._drop(next(iter(self._greeting.values())))
        self._greeting[made.fileno()] = new

    def _known(self, new: Peer, senders: Sequence[AllowedSender], now_ms: int) -> None:
        """It is known who it is, or that a token will tell; he may have too many connections."""
        sender = senders[0]
        new.talk = self._talks(senders)
        others = self._of.setdefault(sender.name, {})
        if len(others) >= sender.connections:
            silent = min(others.values(), key=lambda each: each.heard_ms)
            if now_ms - silent.heard_ms < SILENT_MS:
                self._notices.add(TOO_MANY, sender)
                self._drop(new)
                return
            self._notices.add(SILENT, sender)
            self._drop(silent)
        new.sender, new.begun_ms, new.heard_ms = sender, None, now_ms
        others[new.socket.fileno()] = new

    def _hear(self, each: Peer, now_ms: int) -> int:
        """Read of a connection; how many bytes."""
        try:
            if each.sender is None and not self._greeted(each, now_ms):
                return 0
            return self._read(each, now_ms)
        except (ssl.SSLWantReadError, BlockingIOError):
            return 0
        except OSError:
            if each.sender is None:
                self._notices.add(HANDSHAKES)
            self._drop(each)
            return 0

    def _greeted(self, each: Peer, now_ms: int) -> bool:
        """Go on with TLS; whether it is known who it is."""
        tls = each.socket
        if not isinstance(tls, ssl.SSLSocket):
            return False
        try:
            tls.do_handshake()
        except ssl.SSLWantWriteError:
            self._watch(each, select.EPOLLOUT)
            return False
        except ssl.SSLWantReadError:
            self._watch(each, select.EPOLLIN)
            return False
        self._watch(each, select.EPOLLIN)
        self._greeting.pop(tls.fileno(), None)
        each.names = names_of(tls)
        senders = [one for one in each.may_be if one.bears(each.names)]
        if not senders:
            self._notices.add(UNKNOWN)
            self._drop(each)
            return False
        self._known(each, senders, now_ms)
        return each.sender is not None

    def _read(self, each: Peer, now_ms: int) -> int:
        """Read what has come, until it has been enough or there is no more."""
        sender = each.sender
        if sender is None or self._waits(each, sender, now_ms):
            return 0
        if each.talk.output:
            self._flush(each)
        taken = 0
        while self._hears(each) and (taken < TURN_BYTES or pending(each.socket)):
            try:
                data = each.socket.recv(READ_BYTES)
            except (ssl.SSLWantReadError, BlockingIOError):
                break
            if not data:
                self._drop(each)
                break
            taken += len(data)
            if each.drains:
                continue
            self._take(each, sender, data, now_ms)
            if each.socket.fileno() < 0 or self._waits(each, sender, now_ms):
                break
        return taken

    def _take(self, each: Peer, sender: AllowedSender, data: bytes, now_ms: int) -> None:
        """Hand on the messages that these bytes end, and note since when another goes on."""
        each.heard_ms = now_ms
        lines = each.talk.take(data)
        if lines.number or not each.talk.unfinished:
            each.begun_ms = None
        if each.talk.unfinished and each.begun_ms is None:
            each.begun_ms = now_ms
        self._notices.add(CUT, sender, lines.cut)
        if lines.data:
            self._give(sender, lines.data)
        self._allowance.take(sender, lines.number)
        if each.talk.deaf:
            self._answering[each.socket.fileno()] = each
        if each.talk.deaf or each.talk.output or each.talk.closing:
            self._flush(each)

    def answer(self, now_ms: int) -> None:
        """Say what there is to say to those whose lines have been stored."""
        for fileno, each in list(self._answering.items()):
            if not each.talk.deaf:
                del self._answering[fileno]
                try:
                    if each.sender is not None:
                        self._take(each, each.sender, b"", now_ms)
                        self._flush(each)
                except OSError:
                    self._drop(each)

    def _flush(self, each: Peer) -> None:
        """Write what there is to say, as far as it goes."""
        output = each.talk.output
        while output and each.socket.fileno() >= 0:
            try:
                sent = each.socket.send(output)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                break
            del output[:sent]
        if each.talk.closing and not output and not each.drains and each.socket.fileno() >= 0:
            each.drains = True
            each.socket.shutdown(socket.SHUT_WR)
        self._listen(each)

    def _listen(self, each: Peer) -> None:
        """Be told of it what there is to do: nothing of who is paused, or waits for an answer."""
        hears = not each.paused_until_ms and self._hears(each)
        writes = bool(each.talk.output) and not each.drains
        self._watch(each, select.EPOLLIN * hears | select.EPOLLOUT * writes)

    def _hears(self, each: Peer) -> bool:
        """Whether it is read: not while it waits for an answer, nor while it does not hear those it had."""
        return not each.talk.deaf and len(each.talk.output) < UNSAID_BYTES

    def _watch(self, each: Peer, mask: int) -> None:
        if mask == each.watched or each.socket.fileno() < 0:
            return
        if not mask:
            self._poll.unregister(each.socket)
        elif each.watched:
            self._poll.modify(each.socket, mask)
        else:
            self._poll.register(each.socket, mask)
        each.watched = mask

    def _waits(self, each: Peer, sender: AllowedSender, now_ms: int) -> bool:
        """Whether the sender has sent enough for now; then he is not listened to for a while."""
        left = self._allowance.of(sender, now_ms)
        if left is None or left >= 1:
            return False
        each.paused_until_ms = now_ms + PAUSE_MS
        self._listen(each)
        return True

    def _look(self, now_ms: int) -> None:
        """Whose time is up, and who is listened to again."""
        self._look_ms = now_ms + PAUSE_MS
        if self._deaf_until_ms and now_ms >= self._deaf_until_ms:
            self._deaf_until_ms = 0
            self._poll.modify(self._socket, select.EPOLLIN)
        for each in list(self._open.values()):
            if each.paused_until_ms and now_ms >= each.paused_until_ms:
                each.paused_until_ms = 0
                self._listen(each)
                self._hear(each, now_ms)
                continue
            limit_ms = GREETING_MS if each.sender is None else MESSAGE_MS
            since_ms = each.heard_ms if each.talk.output or each.drains else each.begun_ms
            if since_ms is not None and not each.paused_until_ms and now_ms - since_ms > limit_ms:
                self._notices.add(HANDSHAKES if each.sender is None else SLOW, each.sender)
                self._drop(each)

    def _drop(self, each: Peer) -> None:
        fileno = each.socket.fileno()
        if fileno < 0 or self._open.pop(fileno, None) is None:
            return
        self._greeting.pop(fileno, None)
        if each.sender is not None:
            self._of[each.sender.name].pop(fileno, None)
        self._answering.pop(fileno, None)
        self._watch(each, 0)
        each.socket.close()
        each.talk.ended()
