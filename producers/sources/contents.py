"""Which content has been read, and how far: what stands in a folder, told apart by bytes and not by names.

A log is a row of contents. Each is read once, from whichever file holds it: renamed, copied, compressed,
moved to another file system, linked twice. Whenever files may have come, gone or changed, all are settled:

| a file | is |
|---|---|
| of a known device and inode, and its bytes agree | that content: read on, or let be where it has been read |
| that begins with all that was read of a content which is nowhere now | that content: read on there |
| that begins as a content which still stands elsewhere | a copy: remembered, not read |
| where one vanished, or was filled anew | new; lines at its start that had been read are passed over |
| anything else | new, and read from its start; several in the order in which they were last written |

What is in doubt is read: a line counted twice does less harm than one that somebody can keep from counting.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from producers.sources.file_position import FilePosition
from producers.sources.known import MOST_GONE, FileId, Known, KnownMark
from producers.sources.open_file import OpenFile
from producers.sources.packed import Content, open_content
from producers.sources.paths import real
from producers.sources.settling import Settling
from producers.sources.tail import Tail, written


class Found(NamedTuple):
    """A file that is there.

    Attributes:
        path: where.
        home: the log that it is of.
        stat: what the file system says of it.
        named: the source names it; else it stands beside such a file.
    """

    path: Path
    home: Path
    stat: os.stat_result
    named: bool

    @property
    def id(self) -> FileId:
        """Its device and inode."""
        return self.stat.st_dev, self.stat.st_ino

    @property
    def is_current(self) -> bool:
        """It stands where its log is written."""
        return self.path == self.home


Begin = Callable[[Found, Content], int | None]
"""Where a new content begins; None: it counts as read."""


class Contents:
    """All contents of one source, those being read and those that were."""

    def __init__(self, serial: Callable[[FileId, Content], str]) -> None:
        self.tails: dict[Path, Tail] = {}
        self.known = Known()
        self.pending = False
        self._serial = serial
        self._wanted: set[str] = set()
        self._unsettled: dict[FileId, Content] = {}
        self._damaged: dict[FileId, tuple[tuple[int, int, int], OSError]] = {}
        self._as_read: dict[FileId, tuple[Path, int, int, int, str]] = {}

    def load(self, files: Mapping[Path, Sequence[FilePosition]], known: Iterable[KnownMark]) -> None:
        """Remember what `save` gave; `settle` opens what was open."""
        for kept in known:
            self.known.keep(*kept)
        for home, marks in files.items():
            self.tail(home)
            for mark in marks:
                self.known.keep(home, mark)
                self._wanted.add(mark.incarnation)

    def tail(self, home: Path) -> Tail:
        """The log of a path."""
        return self.tails.setdefault(home, Tail(home))

    def settle(self, found: Sequence[Found], begin: Begin) -> None:
        """Find out what each file that is there holds, and open what is to be read."""
        for tail in self.tails.values():
            tail.trouble = None
        self.pending = Settling(self, found, begin).run()
        there = {each.id for each in found}
        self.known.trim(there)
        self._as_read = {file: seen for file, seen in self._as_read.items() if file in there}
        self._damaged = {file: seen for file, seen in self._damaged.items() if file in there}

    def opened(self) -> Iterator[tuple[Tail, OpenFile]]:
        """Every file that is being read, with its log."""
        for tail in self.tails.values():
            for each in tail:
                yield tail, each

    def again(self, incarnation: str, start: int, length: int) -> bytes:
        """Bytes that were read of a content; none where it is compressed, or gone."""
        for _, each in self.opened():
            if each.mark.incarnation == incarnation and not each.mark.packed:
                return each.content.pread(length, start)
        for _, mark in self.known.of_content(incarnation):
            with suppress(OSError):
                if not mark.packed:
                    return _bytes_of(mark, start, length)
        return b""

    def let_go(self, now_ms: int) -> None:
        """Close what has been read to its end, and the oldest of many deleted files; remember them."""
        for tail in self.tails.values():
            for mark in tail.let_go(now_ms):
                self.known.keep(tail.path, replace(mark, lines=""))
        deleted = [(tail, each) for tail, each in self.opened() if not each.content.stat().st_nlink]
        for tail, each in deleted[: max(0, len(deleted) - MOST_GONE)]:
            self.known.keep(tail.path, replace(each.mark, lines=""))
            tail.drop(each)

    def content_of(self, found: Found) -> Content:
        """A file, opened; one that was put back as far as it is unpacked. Raises OSError.

        A damaged one is not unpacked again as long as it stays as it is.
        """
        stamp, error = self._damaged.get(found.id, ((), None))
        if error is not None and stamp == _stamp(found):
            raise error
        return self._unsettled.pop(found.id, None) or open_content(found.path)

    def is_read(self, found: Found, mark: FilePosition) -> None:
        """Nothing in a file is to be read, as long as it stays as it is."""
        self._as_read[found.id] = found.path, *_stamp(found), mark.incarnation

    def is_damaged(self, found: Found, error: OSError) -> None:
        """A compressed file cannot be unpacked."""
        self._damaged[found.id] = _stamp(found), error

    def is_unchanged(self, found: Found, mark: FilePosition) -> bool:
        """Whether there is nothing in a file, still, but what was read."""
        return self._as_read.get(found.id) == (found.path, *_stamp(found), mark.incarnation)

    def put_back(self, found: Found, content: Content) -> None:
        """Nobody knows yet what it holds."""
        self._unsettled[found.id] = content

    def close_all_but(self, wanted: Container[FileId]) -> None:
        """Close what was put back, but for those that are not unpacked far enough yet."""
        for each in [each for each in self._unsettled if each not in wanted]:
            self._unsettled.pop(each).close()

    def name(self, found: Found, content: Content) -> str:
        """An incarnation for a new content."""
        return self._serial(found.id, content)

    def is_wanted(self, mark: FilePosition) -> bool:
        """Whether a content was being read when the position was stored."""
        return mark.incarnation in self._wanted

    def open(self, found: Found, home: Path, content: Content, mark: FilePosition) -> OpenFile:
        """Read a file from a mark on."""
        self._wanted.discard(mark.incarnation)
        self.known.forget(mark)
        opened = OpenFile(content, replace(mark, path=written(str(real(found.path)))))
        self.tail(home).add(opened)
        return opened

    def places(self) -> dict[Path, Path]:
        """Where the files were that are being read, and the log of each."""
        open_now = {Path(each.mark.path): tail.path for tail, each in self.opened()}
        return open_now | {Path(mark.path): home for home, mark in self.known if self.is_wanted(mark)}

    def lost(self, home: Path) -> list[FilePosition]:
        """What was being read of a log when the position was stored, and has not been found; asked once."""
        known = self.known.of_log(home) if self._wanted else []
        lost = [kept.mark for kept in known if self.is_wanted(kept.mark)]
        self._wanted.difference_update(mark.incarnation for mark in lost)
        return lost

    def close(self) -> None:
        """Let go."""
        for tail in self.tails.values():
            tail.close()
        self.close_all_but(())


def _stamp(found: Found) -> tuple[int, int, int]:
    """What changes with a file."""
    return found.stat.st_size, found.stat.st_mtime_ns, found.stat.st_ctime_ns


def _bytes_of(mark: FilePosition, start: int, length: int) -> bytes:
    """Bytes of a file that is not open, where it is still what it was. Raises OSError."""
    content = open_content(Path(mark.path))
    try:
        return content.pread(length, start) if mark.agrees(content) else b""
    finally:
        content.close()
