"""Waiting for another to write into a SQLite log: inotify on its folder, looking now and then without it.

Every commit in WAL mode writes to the `-wal` file beside the log (https://www.sqlite.org/wal.html), so a
change in that folder is all there is to wait for; whether it was one of the log, the caller looks.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

from inotify_simple import INotify, flags

LOOK_MS: Final = 200
"""How often the log is looked at where inotify cannot be had (fs.inotify.max_user_instances)."""
LONGEST_MS: Final = 5_000
"""A write through another mount of the same file is not seen by inotify: it is looked for so often."""


class Changes:
    """Whoever waits for a log of one process to change. Threads take turns."""

    def __init__(self, path: Path) -> None:
        """Wait for changes of the log at `path`; nothing is opened before the first wait."""
        self._folder = path.parent
        self._lock = Lock()
        self._inotify: INotify | None = None
        self._closing = os.eventfd(0, os.EFD_CLOEXEC)
        self._closed = self._opened = False

    def wait(self, come: Callable[[], bool], timeout_ms: int) -> bool:
        """Whether `come` is true; asks it now and after each change, until `timeout_ms` have passed."""
        deadline = time.monotonic() + timeout_ms / 1_000
        with self._lock:
            self._open()
            while not self._closed:
                if self._inotify is not None:
                    self._inotify.read(timeout=0)
                if come():
                    return True
                left_ms = (deadline - time.monotonic()) * 1_000
                if left_ms <= 0:
                    return False
                self._sleep(left_ms)
        return False

    def close(self) -> None:
        """End the wait under way, and let go. Idempotent."""
        if self._closed:
            return
        self._closed = True
        os.eventfd_write(self._closing, 1)
        with self._lock:
            if self._inotify is not None:
                self._inotify.close()
            os.close(self._closing)

    def _open(self) -> None:
        if self._opened or self._closed:
            return
        self._opened = True
        with suppress(OSError):
            inotify = INotify()
            try:
                inotify.add_watch(self._folder, flags.MODIFY | flags.CREATE | flags.MOVED_TO)
            except BaseException:
                inotify.close()
                raise
            self._inotify = inotify

    def _sleep(self, left_ms: float) -> None:
        poll = select.poll()
        poll.register(self._closing, select.POLLIN)
        if self._inotify is not None:
            poll.register(self._inotify.fileno(), select.POLLIN)
        poll.poll(min(left_ms, LOOK_MS if self._inotify is None else LONGEST_MS))
