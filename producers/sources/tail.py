"""One log, followed through every rotation: the files of its contents that are being read, oldest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from producers.sources.file_position import FilePosition
from producers.sources.open_file import LinesRead, OpenFile
from producers.sources.packed import Later
from producers.sources.rotated_names import count_of

LINGER_MS: Final = 10_000
"""So long a rotated file is still read after the one that follows it has data."""
GONE: Final = "files rotated away and not found again: lines between may be missing"
CUT: Final = "lines longer than 1 MiB, cut there"
HALF: Final = "half lines at the end of rotated files, left out"


class Tail:
    """The open files of a log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notices: Counter[str] = Counter()
        self.trouble: tuple[str, str] | None = None
        self._files: list[OpenFile] = []

    def __iter__(self) -> Iterator[OpenFile]:
        return iter(self._files)

    def add(self, opened: OpenFile) -> None:
        """Read a file too; `arrange` finds its turn."""
        self._files.append(opened)

    def arrange(self) -> None:
        """Put what stands at the path last, the others as they were written last, or as logrotate counts."""
        self._files.sort(key=self._turn)

    def drop(self, opened: OpenFile) -> None:
        """Read a file no more."""
        self._files.remove(opened)
        opened.close()

    def newest(self) -> OpenFile | None:
        """What is read last; None when nothing is."""
        return self._files[-1] if self._files else None

    def changed(self) -> bool:
        """Whether another file is at the path than was, or another content in it."""
        newest = self.newest()
        try:
            stat = self.path.stat()
            return newest is not None and not (
                newest.mark.is_file(stat) and newest.mark.agrees(newest.content)
            )
        except OSError:
            return False

    def read(self, max_bytes: int) -> LinesRead | None:
        """The next lines of the oldest file that has any."""
        for index, opened in enumerate(self._files):
            read = self._read(opened, max_bytes)
            if read is not None:
                self.notices[CUT] += opened.mark.skipping and bool(read.data)
                if opened.lost and not opened.mark.after:
                    self.notices[GONE] += 1
                    opened.lost = False
                for later in self._files[index + 1 : index + 2]:
                    if later.mark.after:
                        later.mark = replace(later.mark, after=opened.mark.lines)
                return read
        return None

    def let_go(self, now_ms: int) -> list[FilePosition]:
        """Close what was read to its end: compressed files, and those whose successor has data."""
        newest = self.newest()
        closed: list[FilePosition] = []
        for opened in list(self._files):
            if not opened.mark.packed and (opened is newest or newest is None or not newest.size()):
                continue
            if opened.idle_since_ms is None:
                opened.idle_since_ms = now_ms
            if opened.mark.packed or now_ms - opened.idle_since_ms >= LINGER_MS:
                self.notices[HALF] += _has_half_a_line(opened)
                closed.append(opened.mark)
                self.drop(opened)
        return closed

    def marks(self) -> list[dict[str, Any]]:
        """Where it stands, as JSON."""
        return [opened.mark.save() for opened in self._files]

    def close(self) -> None:
        """Let go."""
        while self._files:
            self._files.pop().close()

    def say(self, error: OSError) -> None:
        """What keeps the log from being read."""
        self.trouble = written(str(error.filename or self.path)), error.strerror or str(error)

    def _turn(self, opened: OpenFile) -> tuple[bool, int, int]:
        modified_ns = opened.content.stat().st_mtime_ns
        return self._stands_at_path(opened), modified_ns, -count_of(Path(opened.mark.path).name)

    def _stands_at_path(self, opened: OpenFile) -> bool:
        try:
            return opened.mark.is_file(self.path.stat())
        except OSError:
            return False

    def _read(self, opened: OpenFile, max_bytes: int) -> LinesRead | None:
        try:
            return opened.read(max_bytes)
        except OSError as error:
            self.notices[error.strerror or str(error)] += 1
            return None


def _has_half_a_line(opened: OpenFile) -> bool:
    try:
        return not opened.mark.skipping and bool(opened.content.pread(1, opened.mark.offset))
    except (Later, OSError):
        return False


def written(name: str) -> str:
    """A name as JSON can hold it: what is no UTF-8 in it is escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
