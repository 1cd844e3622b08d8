"""An end to an HTTP request, whatever the other side does: a timeout of a socket is of one read, not of all.

Whoever answers a byte now and then, in a proxy's words, a status line, headers or the length of a chunk, is
cut off: the connection is shut down under whoever reads from it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Timer
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class Deadline:
    """Of one request at a time, in one thread."""

    def __init__(self) -> None:
        """Nothing is under way."""
        self._lock = Lock()
        self._over = True
        self._late = False
        self._socket: Any = None

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """A request is under way. Raises TimeoutError where it takes longer, in place of what it met."""
        with self._lock:
            self._over = self._late = False
        timer = Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as error:
            if self._late:
                raise _too_late(seconds) from error
            raise
        finally:
            timer.cancel()
            with self._lock:
                self._over, self._socket = True, None
        if self._late:
            raise _too_late(seconds)

    def watch(self, connected: Any) -> None:
        """What the request goes over, from now on."""
        with self._lock:
            self._socket = connected
            if self._late:
                _shut(connected)

    def _cut(self) -> None:
        with self._lock:
            if not self._over:
                self._late = True
                _shut(self._socket)


def end_by(manager: urllib3.PoolManager, deadline: Deadline) -> urllib3.PoolManager:
    """Let a deadline watch all connections of a manager."""

    class Watched:
        sock: Any

        def _new_conn(self) -> socket.socket:
            made: socket.socket = super()._new_conn()  # type: ignore[misc]
            deadline.watch(made)  # for a proxy's answer; a handshake has an end of its own
            return made

        def getresponse(self) -> Any:
            deadline.watch(self.sock)
            return super().getresponse()  # type: ignore[misc]

    class Plain(Watched, HTTPConnection):
        pass

    class Secure(Watched, HTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain  # pyright: ignore[reportAssignmentType] - urllib3 says so of its own

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure  # pyright: ignore[reportAssignmentType] - as above

    manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
    return manager


def _shut(connected: Any) -> None:
    """Shut a connection down; TLS within TLS has its socket inside."""
    inner = getattr(connected, "socket", connected)
    if isinstance(inner, socket.socket):
        with suppress(OSError):
            socket.socket.shutdown(inner, socket.SHUT_RDWR)


def _too_late(seconds: float) -> TimeoutError:
    return TimeoutError(f"the answer is not whole within {seconds:g} s")
