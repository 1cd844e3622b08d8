"""Whether any broker takes a connection: for commands, which say at once that none does, and do not wait."""

from __future__ import annotations

import socket
import ssl
import time
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from eventlog.kafka.errors import away
from eventlog.kafka.options import KafkaOptions

PATIENCE_S: Final = 2.5
"""A host that is up answers within milliseconds; one SYN may be lost, and is sent again after 1 s."""

API_VERSIONS: Final = b"\0\0\0\x13\0\x12\0\0\0\0\0\1\0\tbanstream"
"""A request that every listener answers, before anybody signs in: https://kafka.apache.org/protocol."""
ALERT: Final = b"\x15"
"""How an answer begins that is TLS' refusal (RFC 8446, 5.1)."""


def check_reach(options: KafkaOptions) -> None:
    """Raise Transient, with what each of the servers said, where none takes connections as `options` want."""
    answers: SimpleQueue[tuple[str, str | None]] = SimpleQueue()
    refusals = dict.fromkeys(options.servers, "no answer")
    for server in options.servers:
        # looking up a name cannot be given up: a thread that nobody waits for can be left
        Thread(
            target=lambda server=server: answers.put((server, _refusal(server, tls=options.tls))), daemon=True
        ).start()
    deadline = time.monotonic() + PATIENCE_S
    for _ in options.servers:
        try:
            server, refusal = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            break
        if refusal is None:
            return
        refusals[server] = refusal
    said = "; ".join(f"{server}: {refusal}" for server, refusal in refusals.items())
    raise away(options.place, "connecting", said)


def _refusal(server: str, *, tls: bool) -> str | None:
    """Why nothing will come of talking to a server; None where something may."""
    host, _, port = server.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE_S) as connection:
            return _no_tls(connection) if tls else _only_tls(connection)
    except OSError as error:
        return error.strerror or str(error)


def _no_tls(connection: socket.socket) -> str | None:
    """That a port speaks no TLS; whom its certificate is of is looked at by who goes on to talk to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        context.wrap_socket(connection).close()
    except (ssl.SSLEOFError, ConnectionResetError):
        return "speaks no TLS at this port; name the port of its TLS listener, or tls=off"
    except ssl.SSLError:
        return None
    return None


def _only_tls(connection: socket.socket) -> str | None:
    """That a port speaks TLS alone."""
    connection.sendall(API_VERSIONS)
    if connection.recv(1) == ALERT:
        return "speaks TLS at this port; say tls=on, or name the port of its listener without"
    return None
