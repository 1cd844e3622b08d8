"""Wakes the file source the moment something happens in a directory; without inotify it is polled."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from inotify_simple import INotify, flags

from producers.sources.paths import is_folder

EVENTS: Final = (
    flags.MODIFY | flags.CREATE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE | flags.ATTRIB
    | flags.DELETE_SELF | flags.MOVE_SELF
)  # fmt: skip
NO_INOTIFY: Final = "inotify is not to be had (see fs.inotify.max_user_instances): files are polled"
NOT_WATCHED: Final = (
    "directories that inotify cannot watch (see fs.inotify.max_user_watches): they are polled"
)


class Wake:
    """Inotify on directories; of one that does not exist yet, on the nearest above it that does."""

    def __init__(self) -> None:
        self.notices: Counter[str] = Counter()
        self._watches: set[int] = set()
        self._refused: set[Path] = set()
        self._inotify: INotify | None = None
        try:
            self._inotify = INotify()
        except OSError:
            self.notices[NO_INOTIFY] = 1

    def filenos(self) -> list[int]:
        """What becomes readable when something happened."""
        return [self._inotify.fileno()] if self._inotify else []

    def watch(self, directories: set[Path]) -> bool:
        """Watch these directories too; whether some were not watched before."""
        return sum(map(self._add, set(map(_existing, directories)))) > 0

    def drain(self) -> bool:
        """Whether files may have come, gone or changed hands since the last call; always without inotify.

        That one was written to is no news: who reads it sees that.
        """
        if self._inotify is None:
            return True
        return any(event.mask & ~flags.MODIFY for event in self._inotify.read(timeout=0))

    def close(self) -> None:
        """Let go. Idempotent."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _add(self, directory: Path) -> bool:
        if self._inotify is None:
            return False
        try:
            watch = self._inotify.add_watch(directory, EVENTS)  # the same number, unless it was removed
        except OSError:
            self._refused.add(directory)
            self.notices[NOT_WATCHED] = len(self._refused)
            return False
        new = watch not in self._watches
        self._watches.add(watch)
        return new


def _existing(directory: Path) -> Path:
    """The directory, or the nearest above it that exists."""
    above = (directory, *directory.parents)
    return next((place for place in above if is_folder(place)), Path("/"))
