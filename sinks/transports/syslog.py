"""Syslog over UDP (RFC 5426), TCP with octet counting (RFC 6587) and TLS (RFC 5425).

Nobody ever says that a message was taken: what the system has taken to send counts. So over TCP what was on
its way when a connection broke may be lost on the other side; what was written since the last sign of life
is short, since each batch looks first whether the receiver has hung up. Where it must not be lost, send by
HTTP or to Kafka. A format that is no syslog (CEF, JSON) has a header put before it.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from schemas.errors import Transient
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

UDP: Final = "syslog+udp"
TLS: Final = "syslog+tls"
PORTS: Final = {UDP: 514, "syslog+tcp": 514, TLS: 6514}
LARGEST_DATAGRAM: Final = 65_000


class SyslogTransport:
    """Sends messages to one receiver."""

    def __init__(self, to: str, options: Options, parcel: Parcel, sender: SentBy) -> None:
        """`options`: `facility`, `timeout`, `ca_file`, `cert_file`, `key_file`."""
        self._way, self._host, self._port = place_in(to, PORTS) or (UDP, "", 0)
        self._options = options
        self._messages = SyslogMessages(options, parcel, sender)
        self._socket: socket.socket | None = None

    def send(self, batch: Sequence[Sending]) -> Sequence[SinkAnswer]:
        """Send a batch. Raises Transient."""
        messages = [self._messages.of(sending) for sending in batch]
        try:
            if self._way == UDP:
                return self._send_datagrams(messages)
            self._send_stream(b"".join(b"%d %b" % (len(each), each) for each in messages))
        except OSError as error:
            self.close()
            raise Transient(f"{self._host}:{self._port}: {error}") from error
        return [TAKEN] * len(batch)

    def close(self) -> None:
        """Hang up, with TLS's own goodbye. Idempotent."""
        if self._socket is not None:
            with suppress(OSError, ValueError):
                if isinstance(self._socket, ssl.SSLSocket):
                    self._socket.settimeout(1)
                    self._socket.unwrap()
            self._socket.close()
            self._socket = None

    def _send_datagrams(self, messages: Sequence[bytes]) -> list[SinkAnswer]:
        receiver = self._opened()
        answers: list[SinkAnswer] = []
        for message in messages:
            if len(message) > LARGEST_DATAGRAM:
                answers.append(SinkAnswer(Reception.HOPELESS, f"{len(message)} bytes fit into no datagram"))
                continue
            receiver.send(message)
            answers.append(TAKEN)
        return answers

    def _send_stream(self, data: bytes) -> None:
        if self._socket is not None and _has_hung_up(self._socket):
            self.close()
        self._opened().sendall(data)

    def _opened(self) -> socket.socket:
        if self._socket is None:
            if self._way == UDP:
                family, kind, proto, _, address = socket.getaddrinfo(
                    self._host, self._port, type=socket.SOCK_DGRAM
                )[0]
                made = socket.socket(family, kind, proto)
                made.connect(address)
                made.settimeout(self._options["timeout"] / 1_000)
            else:
                made = connected(self._host, self._port, self._options, tls=self._way == TLS)
            self._socket = made
        return self._socket


def _has_hung_up(receiver: socket.socket) -> bool:
    """Whether the other side has closed: a syslog receiver has nothing else to say."""
    readable, _, _ = select.select([receiver], [], [], 0)
    if not readable:
        return False
    receiver.settimeout(0.2)
    try:
        return receiver.recv(4_096) == b""
    except (ssl.SSLWantReadError, TimeoutError):
        return False
    except OSError:
        return True


def _doubt(to: str, options: Options) -> str | None:
    if place_in(to, PORTS) is None:
        return "syslog+tcp://host:port, syslog+tls://host:port or syslog+udp://host:port"
    return secret_problem(options["key_file"])


def _open(to: str, options: Options, parcel: Parcel, sender: SentBy) -> SyslogTransport:
    return SyslogTransport(to, options, parcel, sender)


KIND: Final = TransportKind(
    _open,
    options=OPTIONS,
    doubt=_doubt,
    format="syslog",
)
