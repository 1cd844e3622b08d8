"""One path, followed through every rotation: nothing lost, nothing twice.

| what happens to the path | what is read |
|---|---|
| lines are appended | they are, once they end in a newline |
| renamed, and a new file comes | the old one until LINGER_MS after the new one has data, and the new one |
| truncated (copytruncate) | what a rotated copy has past our offset, then the file from its start |
| a symlink points elsewhere | as renamed |
| missing, or not readable | nothing, until it is |
| rotated while nobody looked | the file is found among its rotated siblings, by inode, else by its bytes |
"""

from __future__ import annotations

import os
import re
import stat as stats
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from producers.sources.file_position import FilePosition, load_position
from producers.sources.lines import cut_lines, skip_line

LINGER_MS: Final = 10_000
ROTATED: Final = re.compile(r"[.-]\d{1,20}(?:[.-]\d{1,20})*")
"""What logrotate adds to a name, before compression."""

COUNT_LENGTH: Final = 5
"""A number this long with its dot, at most, counts rotations; a longer one is a date."""

GONE: Final = "files rotated away and not found again: lines between may be missing"
CUT: Final = "lines longer than 64 KiB, cut there"
HALF: Final = "half lines at the end of rotated files, left out"


class LinesRead(NamedTuple):
    """Lines of one file. `start` is the offset of their first byte; `behind` the bytes not yet read."""

    data: bytes
    incarnation: str
    start: int
    behind: int


class OpenFile:
    """A file being read."""

    def __init__(self, fd: int, mark: FilePosition) -> None:
        self.fd = fd
        self.mark = mark
        self.idle_since_ms: int | None = None

    def size(self) -> int:
        """Its size now, in bytes."""
        return os.fstat(self.fd).st_size

    def read(self, max_bytes: int) -> LinesRead | None:
        """Its next whole lines; None when there are none. Skips what is left of a line that was cut."""
        mark = self.mark
        buffer = os.pread(self.fd, max_bytes, mark.offset)
        while mark.skipping and buffer:
            skip = skip_line(buffer, 0, len(buffer))
            mark = mark.moved(self.fd, mark.offset + skip.end, skipping=skip.skipping)
            buffer = os.pread(self.fd, max_bytes, mark.offset)
        cut = cut_lines(buffer, 0, len(buffer))
        if not cut.end:
            self.mark = mark
            return None
        self.mark = mark.moved(self.fd, mark.offset + cut.end, skipping=cut.skipping)
        self.idle_since_ms = None
        data = buffer[: cut.end] + b"\n" * cut.skipping
        return LinesRead(data, mark.incarnation, mark.offset, self.size() - self.mark.offset)

    def close(self) -> None:
        """Let go."""
        os.close(self.fd)


def open_file(path: Path, mark: FilePosition | None = None, *, incarnation: str = "") -> OpenFile:
    """Open a regular file, at a mark or at its start under a new incarnation. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    stat = os.fstat(fd)
    if not stats.S_ISREG(stat.st_mode):
        os.close(fd)
        raise OSError(0, "not a regular file", str(path))
    fresh = mark or FilePosition(path="", device=0, inode=0, incarnation=incarnation)
    here = replace(fresh, path=_written(os.path.realpath(path)), device=stat.st_dev, inode=stat.st_ino)
    return OpenFile(fd, here)


class Tail:
    """A path and the files that are, or lately were, behind it, oldest first."""

    def __init__(self, path: Path, serial: Callable[[], str], now_ms: Callable[[], int]) -> None:
        self.path = path
        self.notices: Counter[str] = Counter()
        self.trouble: str | None = None
        self._serial = serial
        self._now_ms = now_ms
        self._open: list[OpenFile] = []
        self._begin_at: Callable[[int], int] | None = None

    def begin(self, offset_of: Callable[[int], int]) -> None:
        """Open the file for the first time, at the offset that a function of its descriptor gives.

        A file that is there but may not be read begins so when it may; one that is not, at its start.
        """
        self._begin_at = offset_of if self.path.exists() else None
        self._look()

    def resume(self, saved: Sequence[Mapping[str, Any]]) -> None:
        """Go on where the marks say, wherever their files are by now. Raises InvalidMessage."""
        for mark in map(load_position, saved):
            found = self._search(mark)
            if found is None:
                self.notices[GONE] += 1
            else:
                self._open.append(found)

    def read(self, max_bytes: int) -> LinesRead | None:
        """The next lines of the oldest file that has any."""
        self._look()
        try:
            for opened in self._open:
                read = opened.read(max_bytes)
                if read is not None:
                    self.notices[CUT] += opened.mark.skipping
                    return read
            self._let_go()
        except OSError as error:
            self._say(error)
        return None

    def marks(self) -> list[dict[str, Any]]:
        """Where it stands, as JSON."""
        return [opened.mark.save() for opened in self._open]

    def directories(self) -> set[Path]:
        """The directories in which something may happen to its files."""
        files = (self.path, _real(self.path), *(Path(opened.mark.path) for opened in self._open))
        return {file.parent for file in files}

    def close(self) -> None:
        """Let go."""
        while self._open:
            self._open.pop().close()

    def _look(self) -> None:
        """See whether the path is still the file it was, and the file still what it was."""
        try:
            if self._open and not self._open[-1].mark.agrees(self._open[-1].fd):
                self._restart(self._open.pop())
            stat = self.path.stat()
            if not self._open or not self._open[-1].mark.is_file(stat):
                self._turn(stat)
            self.trouble = None
        except OSError as error:
            self._say(error)

    def _turn(self, stat: os.stat_result) -> None:
        """Another file is at the path than was."""
        for opened in self._open:
            if opened.mark.is_file(stat):
                self._open.remove(opened)
                self._open.append(opened)
                return
        if self._open:
            self._open += self._between(self._open[-1])
        opened = open_file(self.path, incarnation=self._serial())
        self._open.append(opened)
        begin_at, self._begin_at = self._begin_at, None
        if begin_at is not None:
            opened.mark = opened.mark.moved(opened.fd, begin_at(opened.fd))

    def _restart(self, newest: OpenFile) -> None:
        """The newest file was truncated: go on in its copy, if there is one, then from its start."""
        mark = newest.mark
        fresh = FilePosition(path=mark.path, device=mark.device, inode=mark.inode, incarnation=self._serial())
        again = OpenFile(newest.fd, fresh)
        copy = self._search(mark)
        if copy is not None:
            self._open.append(copy)
            self._open += self._between(copy, again)
        self._open.append(again)

    def _let_go(self) -> None:
        """Close the files before the newest, a while after the newest has data."""
        if len(self._open) == 1 or not self._open or not self._open[-1].size():
            return
        now_ms = self._now_ms()
        for opened in self._open[:-1]:
            if opened.idle_since_ms is None:
                opened.idle_since_ms = now_ms
            elif now_ms - opened.idle_since_ms >= LINGER_MS:
                self.notices[HALF] += opened.size() > opened.mark.offset and not opened.mark.skipping
                self._open.remove(opened)
                opened.close()

    def _search(self, mark: FilePosition) -> OpenFile | None:
        """The file of a mark: by inode if its bytes agree, else a copy whose bytes do."""
        same: list[Path] = []
        copies: list[Path] = []
        for path in self._candidates(mark):
            try:
                (same if mark.is_file(path.stat()) else copies).append(path)
            except OSError:
                continue
        for path in same + (copies if mark.offset else []):
            found = self._reopen(path, mark)
            if found is not None:
                return found
        return None

    def _reopen(self, path: Path, mark: FilePosition) -> OpenFile | None:
        try:
            found = open_file(path, mark)
            if mark.agrees(found.fd):
                return found
            found.close()
        except OSError as error:
            self._say(error)
        return None

    def _candidates(self, mark: FilePosition) -> Iterator[Path]:
        yield self.path
        yield Path(mark.path)
        yield from _siblings(self.path)
        yield from _siblings(_real(self.path))

    def _between(self, older: OpenFile, newer: OpenFile | None = None) -> list[OpenFile]:
        """The files that were rotated away after one of ours, and before another, oldest first."""
        later: list[Path] | None = None
        for path in _siblings(self.path):
            stat = path.stat()
            if newer is not None and newer.mark.is_file(stat):
                break
            if older.mark.is_file(stat):
                later = []
            elif later is not None and not any(opened.mark.is_file(stat) for opened in self._open):
                later.append(path)
        return [open_file(path, incarnation=self._serial()) for path in later or ()]

    def _say(self, error: OSError) -> None:
        self.trouble = _written(f"{error.filename or self.path}: {error.strerror or error}")


def _real(path: Path) -> Path:
    """Where a path leads; unlike Path.resolve it gives something for a loop of symlinks too."""
    return Path(os.path.realpath(path))


def _siblings(path: Path) -> list[Path]:
    """The uncompressed files that logrotate made of a path, the oldest first."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.name.startswith(path.name)]
    except OSError:
        return []
    rotated = [name[len(path.name) :] for name in names if ROTATED.fullmatch(name[len(path.name) :])]
    return [path.with_name(path.name + suffix) for suffix in sorted(rotated, key=_age)]


def _age(suffix: str) -> tuple[bool, list[int]]:
    """Sorts what logrotate adds from old to new: `.2` before `.1`, `-20261121` before `-20261122`."""
    numbers = [int(number) for number in re.findall(r"\d+", suffix)]
    is_count = suffix[1:].isdigit() and len(suffix) <= COUNT_LENGTH
    return not is_count, [-number if is_count else number for number in numbers]


def _written(name: str) -> str:
    """A name as JSON can hold it: what is no UTF-8 in it is escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
