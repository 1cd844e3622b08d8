"""An intake that listens in this process, and what others say to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from producers.contract import Chunk
from producers.intakes.settings import AllowedSender, Intake
from producers.intakes.source import IntakeSource
from tests.banstream.service import eventually


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now_ms = 1_796_000_000_000

    def __call__(self) -> int:
        """The instant it shows."""
        return self.now_ms


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of loopback that nobody has."""
    with socket.socket(socket.AF_INET, kind) as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def sender(name: str = "web", **options: Any) -> AllowedSender:
    """One on loopback who speaks for web1 and its kin."""
    return AllowedSender(**{"name": name, "networks": ("127.0.0.0/8",), "hosts": ("web*",), **options})


@contextmanager
def listening(
    *senders: AllowedSender, scheme: str = "syslog+tcp", clock: Clock | None = None, **options: Any
) -> Iterator[IntakeSource]:
    """A source that listens."""
    kind = socket.SOCK_DGRAM if scheme.endswith("udp") else socket.SOCK_STREAM
    listen = f"{scheme}://127.0.0.1:{free_port(kind)}"
    intake = Intake(name="t", listen=listen, senders=senders or (sender(),), **options)
    source = IntakeSource(intake, None, clock or Clock())
    try:
        yield source
    finally:
        source.close()


def connected(source: IntakeSource) -> socket.socket:
    """A connection to it."""
    return socket.create_connection(("127.0.0.1", port_of(source)), 10)


def port_of(source: IntakeSource) -> int:
    """Where it listens."""
    return int(source.id.rpartition(":")[2])


def chunks(source: IntakeSource, lines: int) -> list[Chunk]:
    """What comes in until it is so many lines."""
    found: list[Chunk] = []

    def enough() -> bool:
        while (chunk := source.read(1 << 20)) is not None:
            found.append(chunk)
        return sum(each.data.count(b"\n") for each in found) >= lines

    eventually(enough, f"{lines} lines came in", 10)
    return found


def told(source: IntakeSource, words: str) -> int:
    """How often a notice with these words was given."""
    return sum(count for text, count in source.notices().items() if words in text)


def is_closed(made: socket.socket) -> bool:
    """Whether the other side has closed it."""
    made.settimeout(5)
    try:
        return made.recv(1) == b""
    except ConnectionError:
        return True
