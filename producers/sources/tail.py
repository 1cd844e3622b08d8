"""One path, followed through every rotation: nothing lost, nothing twice.

| what happens to the path | what is read |
|---|---|
| lines are appended | they are, once they end in a newline |
| renamed away, a new file takes its place | the old one to its end, for LINGER_MS after the new one has data, then the new one |
| truncated (copytruncate) | what a rotated copy has past our offset, then the file from its start |
| a symlink points elsewhere | as renamed |
| missing, or not readable | nothing, until it is |
| rotated while nobody looked | the file is found again among its rotated siblings by inode, else by its bytes |
"""

from __future__ import annotations

import os
import re
import stat as stats
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from dataclasses import replace
from typing import Any, Final, NamedTuple

from producers.sources.lines import cut_lines, skip_line
from producers.sources.mark import Mark, load_mark

LINGER_MS: Final = 10_000
ROTATED: Final = re.compile(r"[.-]\d{1,20}(?:[.-]\d{1,20})*")
"""What logrotate adds to a name, before compression."""

GONE: Final = "files rotated away and not found again: lines between may be missing"
CUT: Final = "lines longer than 64 KiB, cut there"
HALF: Final = "half lines at the end of rotated files, left out"


class Read(NamedTuple):
    """Lines of one file. `start` is the offset of their first byte; `behind` the bytes not yet read."""

    data: bytes
    incarnation: str
    start: int
    behind: int


class OpenFile:
    """A file being read."""

    def __init__(self, fd: int, mark: Mark) -> None:
        self.fd = fd
        self.mark = mark
        self.done_at_ms: int | None = None

    def size(self) -> int:
        """Its size now, in bytes."""
        return os.fstat(self.fd).st_size

    def read(self, max_bytes: int) -> Read | None:
        """Its next whole lines; None when there are none. Skips what is left of a line that was cut."""
        mark = self.mark
        buffer = os.pread(self.fd, max_bytes, mark.offset)
        while mark.skipping and buffer:
            skipped = skip_line(buffer)
            mark = mark.moved(self.fd, mark.offset + (skipped or len(buffer)), skipping=skipped is None)
            buffer = os.pread(self.fd, max_bytes, mark.offset)
        cut = cut_lines(buffer)
        if cut.consumed:
            self.mark = mark.moved(self.fd, mark.offset + cut.consumed, skipping=cut.skipping)
            return Read(cut.data, mark.incarnation, mark.offset, self.size() - self.mark.offset)
        self.mark = mark
        return None

    def close(self) -> None:
        """Let go."""
        os.close(self.fd)


def open_file(path: str, mark: Mark | None = None, *, incarnation: str = "") -> OpenFile:
    """Open a regular file, at a mark or at its start under a new incarnation. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    stat = os.fstat(fd)
    if not stats.S_ISREG(stat.st_mode):
        os.close(fd)
        raise OSError(0, "not a regular file", path)
    real = os.path.realpath(path)
    if mark is None:
        return OpenFile(fd, Mark(path=real, device=stat.st_dev, inode=stat.st_ino, incarnation=incarnation))
    return OpenFile(fd, mark)


class Tail:
    """A path and the files that are, or lately were, behind it, oldest first."""

    def __init__(self, path: str, serial: Callable[[], str], now_ms: Callable[[], int]) -> None:
        self.path = path
        self.notices: Counter[str] = Counter()
        self.trouble: str | None = None
        self._serial = serial
        self._now_ms = now_ms
        self._open: list[OpenFile] = []

    def resume(self, saved: Sequence[Mapping[str, Any]]) -> None:
        """Go on where the marks say, wherever their files are by now. Raises InvalidMessage."""
        for mark in map(load_mark, saved):
            found = self._search(mark)
            if found is None:
                self.notices[GONE] += 1
                continue
            self._open.append(found)
        if self._open:
            self._open += self._between(self._open[-1])

    def begin(self, offset_of: Callable[[int], int]) -> None:
        """Open the file for the first time, at the offset that a function of its descriptor gives."""
        self._look()
        for opened in self._open:
            opened.mark = opened.mark.moved(opened.fd, offset_of(opened.fd))

    def read(self, max_bytes: int) -> Read | None:
        """The next lines of the oldest file that has any."""
        try:
            self._look()
            for opened in tuple(self._open):
                read = opened.read(max_bytes)
                if read is not None:
                    self._count_cut(opened)
                    return read
            self._let_go()
        except OSError as error:
            self.trouble = f"{self.path}: {error.strerror or error}"
        return None

    def marks(self) -> list[dict[str, Any]]:
        """Where it stands, as JSON."""
        return [opened.mark.save() for opened in self._open]

    def directories(self) -> set[str]:
        """The directories in which something may happen to its files."""
        return {os.path.dirname(self.path), os.path.dirname(os.path.realpath(self.path))} | {
            os.path.dirname(opened.mark.path) for opened in self._open
        }

    def close(self) -> None:
        """Let go."""
        while self._open:
            self._open.pop().close()

    def _look(self) -> None:
        """See whether the path is still the file it was, and the file still what it was."""
        try:
            stat = os.stat(self.path)
            newest = self._open[-1] if self._open else None
            if newest is None or not newest.mark.is_file(stat):
                self._open.append(open_file(self.path, incarnation=self._serial()))
            elif not newest.mark.agrees(newest.fd):
                self._restart(newest)
            self.trouble = None
        except OSError as error:
            self.trouble = f"{self.path}: {error.strerror or error}"

    def _restart(self, newest: OpenFile) -> None:
        """The newest file was truncated: go on in its copy, if there is one, then from its start."""
        again = open_file(self.path, incarnation=self._serial())
        self._open.pop().close()
        copy = self._search(newest.mark)
        if copy is not None:
            self._open.append(copy)
        self._open.append(again)

    def _let_go(self) -> None:
        """Close the files before the newest, a while after the newest has data."""
        if len(self._open) < 2 or not self._open[-1].size():  # noqa: PLR2004 - an old and a new one
            return
        now_ms = self._now_ms()
        for opened in self._open[:-1]:
            if opened.done_at_ms is None:
                opened.done_at_ms = now_ms
            elif now_ms - opened.done_at_ms >= LINGER_MS:
                self.notices[HALF] += opened.size() > opened.mark.offset and not opened.mark.skipping
                self._open.remove(opened)
                opened.close()

    def _count_cut(self, opened: OpenFile) -> None:
        self.notices[CUT] += opened.mark.skipping

    def _search(self, mark: Mark) -> OpenFile | None:
        """The file of a mark: by inode if its bytes agree, else a copy whose bytes do."""
        copies: list[str] = []
        for path in self._candidates(mark):
            try:
                stat = os.stat(path)
            except OSError:
                continue
            if mark.is_file(stat):
                copies.insert(0, path)
            elif mark.offset:
                copies.append(path)
        for path in copies:
            found = self._reopen(path, mark)
            if found is not None:
                return found
        return None

    def _reopen(self, path: str, mark: Mark) -> OpenFile | None:
        try:
            found = open_file(path, mark)
        except OSError as error:
            self.trouble = f"{path}: {error.strerror or error}"
            return None
        if not mark.agrees(found.fd):
            found.close()
            return None
        stat = os.fstat(found.fd)
        found.mark = _replaced(mark, os.path.realpath(path), stat)
        return found

    def _candidates(self, mark: Mark) -> Iterator[str]:
        yield self.path
        yield mark.path
        yield from map(str, _siblings(Path(self.path)))
        if os.path.dirname(mark.path) != os.path.dirname(self.path):
            yield from map(str, _siblings(Path(mark.path)))

    def _between(self, found: OpenFile) -> list[OpenFile]:
        """The files that were rotated away after the one found, oldest first."""
        stat = os.fstat(found.fd)
        try:
            if found.mark.is_file(os.stat(self.path)):
                return []
        except OSError:
            pass
        later: list[tuple[int, str]] = []
        for path in map(str, _siblings(Path(self.path))):
            other = os.stat(path)
            if not found.mark.is_file(other) and other.st_mtime_ns > stat.st_mtime_ns:
                later.append((other.st_mtime_ns, path))
        return [open_file(path, incarnation=self._serial()) for _, path in sorted(later)]


def _siblings(path: Path) -> list[Path]:
    """The uncompressed files that logrotate made of a path."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.name.startswith(path.name)]
    except OSError:
        return []
    return sorted(path.with_name(name) for name in names if ROTATED.fullmatch(name[len(path.name) :]))


def _replaced(mark: Mark, path: str, stat: os.stat_result) -> Mark:
    return replace(mark, path=path, device=stat.st_dev, inode=stat.st_ino)
