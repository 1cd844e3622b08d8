"""Syslog by RELP, the one way of syslog's that says what was taken: `relp://host:2514`, `relp+tls://host`.

Each message has a number, and is taken once the receiver has answered it; what it has not answered when the
connection breaks is sent again. The protocol: https://github.com/rsyslog/librelp/blob/master/doc/relp.html .
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from schemas.errors import Transient
from schemas.steering import printable
from sinks.contract import (
    TAKEN,
    Options,
    Parcel,
    Reception,
    Sending,
    SentBy,
    SinkAnswer,
    TransportKind,
)
from sinks.secrets import secret_problem
from sinks.transports.receivers import OPTIONS, SyslogMessages, connected, place_in

RELP: Final = "relp"
PORTS: Final = {RELP: 2_514, "relp+tls": 2_514}
WINDOW: Final = 128
"""So many messages are under way at once, as librelp has it."""
OFFER: Final = b"relp_version=0\nrelp_software=banstream\ncommands=syslog"
HEAD: Final = re.compile(rb"(\d{1,9}) ([a-z]{1,32}) (\d{1,6})(?: |\n)")
LONGEST_HEAD: Final = 64
HIGHEST_NUMBER: Final = 999_999_999
SAID_CHARACTERS: Final = 500


class RelpReply(NamedTuple):
    """A frame from the receiver."""

    number: int
    command: bytes
    data: bytes


class RelpTransport:
    """Sends messages to one receiver, and hears of each."""

    def __init__(self, to: str, options: Options, parcel: Parcel, sender: SentBy) -> None:
        """`options`: as syslog's."""
        self._way, self._host, self._port = place_in(to, PORTS) or (RELP, "", 0)
        self._options = options
        self._messages = SyslogMessages(options, parcel, sender)
        self._socket: socket.socket | None = None
        self._unread = b""
        self._number = 0

    def send(self, batch: Sequence[Sending]) -> Sequence[SinkAnswer]:
        """Send the first window of them; answers for those that were answered. Raises Transient."""
        answers: list[SinkAnswer] = []
        try:
            self._open()
            first = self._number + 1
            frames = [self._frame(b"syslog", self._messages.of(each)) for each in batch[:WINDOW]]
            until_s = self._until_s()
            self._sent(b"".join(frames))
            while len(answers) < len(frames):
                answers.append(_judged(self._read(until_s), first + len(answers)))
        except OSError as error:
            self.close()
            if not answers:
                raise Transient(f"{self._host}:{self._port}: {printable(str(error))}") from error
        return answers

    def close(self) -> None:
        """Hang up. Idempotent."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.settimeout(1)
                self._socket.sendall(self._frame(b"close", b""))
            self._socket.close()
            self._socket = None
        self._unread, self._number = b"", 0

    def _frame(self, command: bytes, data: bytes) -> bytes:
        self._number = self._number + 1
        return b"%d %b %d%b\n" % (self._number, command, len(data), b" " + data if data else b"")

    def _open(self) -> None:
        """Be connected, by a connection that still has numbers."""
        if self._number > HIGHEST_NUMBER - WINDOW - 1:
            self.close()
        if self._socket is not None:
            return
        self._socket = connected(self._host, self._port, self._options, tls=self._way != RELP)
        self._sent(self._frame(b"open", OFFER))
        reply = self._read(self._until_s())
        if reply.command != b"rsp" or not reply.data.startswith(b"200"):
            raise OSError(f"it does not open: {reply.data[:SAID_CHARACTERS].decode('utf-8', 'replace')}")

    def _until_s(self) -> float:
        timeout_ms: int = self._options["timeout"]
        return time.monotonic() + timeout_ms / 1_000

    def _sent(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.settimeout(self._options["timeout"] / 1_000)
            self._socket.sendall(data)

    def _read(self, until_s: float) -> RelpReply:
        """The next frame. Raises OSError for what is none, and where it is not there by then."""
        while True:
            head = HEAD.match(self._unread)
            if head is not None:
                length = int(head[3])
                begin = head.end() - (not length)
                end = begin + length
                if len(self._unread) > end:
                    if self._unread[end : end + 1] != b"\n":
                        raise OSError("what it says is no RELP")
                    data, self._unread = self._unread[begin:end], self._unread[end + 1 :]
                    return RelpReply(int(head[1]), head[2], data)
            elif len(self._unread) > LONGEST_HEAD:
                raise OSError("what it says is no RELP")
            self._unread += self._received(until_s)

    def _received(self, until_s: float) -> bytes:
        left_s = until_s - time.monotonic()
        if self._socket is None or left_s <= 0:
            raise TimeoutError("no answer in time")
        self._socket.settimeout(left_s)
        data = self._socket.recv(65_536)
        if not data:
            raise OSError("it has hung up")
        return data


def _judged(reply: RelpReply, number: int) -> SinkAnswer:
    """What is said of a message. Raises OSError for what is said of another."""
    data = reply.data
    if reply.command != b"rsp" or reply.number != number:
        raise OSError(f"it says {reply.command.decode()} to message {reply.number}")
    if data.startswith(b"200"):
        return TAKEN
    return SinkAnswer(
        Reception.HOPELESS,
        printable(data[: 4 * SAID_CHARACTERS].decode("utf-8", "replace"))[:SAID_CHARACTERS],
    )


def _doubt(to: str, options: Options) -> str | None:
    if place_in(to, PORTS) is None:
        return "relp://host:port or relp+tls://host:port"
    return secret_problem(options["key_file"])


def _opened(to: str, options: Options, parcel: Parcel, sender: SentBy) -> RelpTransport:
    return RelpTransport(to, options, parcel, sender)


KIND: Final = TransportKind(
    _opened,
    options=OPTIONS,
    doubt=_doubt,
    format="syslog",
)
