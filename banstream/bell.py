"""A thread that waits for the next message of a log, and wakes the loop when it has come."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Final, Protocol, runtime_checkable

from schemas.errors import LogError, Transient

WAIT_MS: Final = 1_000


@runtime_checkable
class Waits(Protocol):
    """A log that can wait for a message."""

    def wait(self, topic: str, partition: int, offset: int, *, timeout_ms: int) -> bool:
        """Whether there is a message at or after an offset; waits up to `timeout_ms` for one to come."""
        ...


class Bell:
    """Rings when a topic's partition 0 has a message at or after the offset its listener stands at.

    Attributes:
        fileno: readable from the ring until `answer`.
    """

    def __init__(self, log: Waits, topic: str, offset: Callable[[], int]) -> None:
        self._log = log
        self._topic = topic
        self._offset = offset
        self._stopping = False
        self._answered = Event()
        self.fileno = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = Thread(target=self._watch, name=f"bell {topic}", daemon=True)
        self._thread.start()

    def answer(self) -> None:
        """The listener has read on."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.fileno)
            self._answered.set()

    def close(self) -> None:
        """Stop; its thread ends within a call of the log."""
        self._stopping = True
        self._answered.set()
        self._thread.join(2 * WAIT_MS / 1_000)
        if not self._thread.is_alive():
            os.close(self.fileno)

    def _watch(self) -> None:
        while not self._stopping:
            try:
                come = self._log.wait(self._topic, 0, self._offset(), timeout_ms=WAIT_MS)
            except (Transient, LogError):  # the listener meets the same, and says so
                come = False
                self._answered.wait(WAIT_MS / 1_000)
            if come and not self._stopping:
                self._answered.clear()
                os.eventfd_write(self.fileno, 1)
                self._answered.wait(WAIT_MS / 1_000)
