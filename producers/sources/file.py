"""The file source: one path or a glob, woken by inotify where there is one."""

from __future__ import annotations

import os
import re
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from producers.contract import Chunk, SourceKind, StartPosition, stored
from producers.notices import gathered
from producers.sources.contents import Begin, Contents, Found
from producers.sources.file_position import FilePosition, load_position
from producers.sources.folders import Folders, matching_files
from producers.sources.known import FileId, KnownMark
from producers.sources.open_file import LinesRead
from producers.sources.packed import Content, PlainFile
from producers.sources.paths import is_folder, is_there
from producers.sources.start import offset_for
from producers.sources.tail import Tail
from producers.sources.wake import Wake

BEHIND_BYTES: Final = 1 << 20
"""With more than this unread, lines are a backlog again and no longer live."""
PASSED_OVER: Final = (
    "what stood in it at the first start was passed over: it was written to of late, but its lines are older "
    "(in another zone? set `timezone`), or none begins with a time"
)
LOOK_MS: Final = 10_000
"""So often all files are looked for, whether or not something was heard of."""


class FileSource:
    """Follows every file that a path or glob names, through rotation."""

    def __init__(
        self, spec: str, resume: Mapping[str, Any] | None, start: StartPosition, now_ms: Callable[[], int]
    ) -> None:
        self.id = spec
        self._pattern = _path(spec)
        self._folders = Folders(self._pattern)
        self._now_ms = now_ms
        self._serial_ms = 0 if resume is None else stored(resume, "serial_ms", int)
        self._contents = Contents(self._name)
        self._caught_up = False
        self._turn = self._look_at_ms = 0
        self._late: frozenset[Path] = frozenset()
        self._start = start
        if resume is None:
            self._settle(self._first)
            tails = self._contents.tails.values()
            self._late = frozenset(
                each.path for each in tails if each.newest() is None and is_there(each.path)
            )
        else:
            self._resume(resume)
        self._wake = Wake()
        self._watch()
        _sources.add(self)

    def filenos(self) -> list[int]:
        """The inotify descriptor, where there is inotify."""
        return self._wake.filenos()

    def read(self, max_bytes: int) -> Chunk | None:
        """The next lines of any of its files, which take turns."""
        looked = self._wake.drain() or self._contents.pending or self._now_ms() >= self._look_at_ms
        if looked:
            self._look()
        for tail in self._in_turn():
            if not looked and tail.changed():
                self._look()
                looked = True
            read = tail.read(max_bytes)
            if read is not None:
                self._caught_up = self._caught_up and read.behind < BEHIND_BYTES
                return self._chunk(tail, read)
        self._contents.let_go(self._now_ms())
        if self._contents.pending:
            return self._chunk(None, LinesRead(b"", "", 0, 0))
        self._caught_up = True
        return None

    def again(self, incarnation: str, start: int, length: int) -> bytes:
        """Bytes that were read of a content, from whichever file holds it; none of a compressed one."""
        return self._contents.again(incarnation, start, length)

    def position(self) -> dict[str, Any]:
        """How far each of its files has been read."""
        files = {str(path): tail.marks() for path, tail in self._contents.tails.items()}
        return {"serial_ms": self._serial_ms, "files": files, "known": self._contents.known.save()}

    def notices(self) -> Mapping[str, int]:
        """What its files went through."""
        found = Counter(self._wake.notices) + gathered(self._pattern, self._told())
        found.update({f"{self._pattern}: {text}": count for text, count in self._folders.notices.items()})
        if not self._contents.tails:
            found[f"{self._pattern}: no such file yet"] = 1
        return found

    def _told(self) -> Iterator[tuple[str, str, int]]:
        for tail in self._contents.tails.values():
            for text, count in tail.notices.items():
                yield str(tail.path), text, count
            if tail.trouble is not None:
                yield *tail.trouble, 1

    def close(self) -> None:
        """Let go."""
        _sources.discard(self)
        self._wake.close()
        self._contents.close()

    def marks(self) -> Iterator[FilePosition]:
        """Of the files that it is reading."""
        return (opened.mark for _, opened in self._contents.opened())

    def _chunk(self, tail: Tail | None, read: LinesRead) -> Chunk:
        origin = self.id if tail is None or not self._folders.is_glob else f"file:{tail.path}"
        return Chunk(read.data, read.incarnation, read.start, self.position(), self._caught_up, origin)

    def _in_turn(self) -> Iterator[Tail]:
        """Each log, beginning behind the one that was read last."""
        tails = list(self._contents.tails.values())
        begin = self._turn
        for number in range(begin, begin + len(tails)):
            self._turn = (number + 1) % len(tails)
            yield tails[number % len(tails)]

    def _look(self) -> None:
        self._settle(self._later)
        self._watch()

    def _settle(self, begin: Begin) -> None:
        self._look_at_ms = self._now_ms() + LOOK_MS
        found = self._folders.look(self._contents.tails, self._contents.places())
        self._contents.settle(found, begin)
        for path, error in self._folders.troubles.items():
            self._contents.tail(path).say(error)

    def _watch(self) -> None:
        """Hear of what happens where its files are; where that is new, something may have happened before."""
        if self._wake.watch(self._folders.folders() | {path.parent for path in self._contents.places()}):
            self._look_at_ms = 0

    def _first(self, found: Found, content: Content) -> int | None:
        """Where a file begins that is there when the source is read for the first time."""
        if not found.named:
            return None
        if isinstance(content, PlainFile):
            return self._begun(found.path, content)
        return 0 if self._start.at == "beginning" else None

    def _begun(self, path: Path, content: PlainFile) -> int:
        """Where to begin; what is passed over although it was written to of late is said."""
        now_ms, told = self._now_ms(), content.stat()
        offset = offset_for(content.fd, self._start, now_ms)
        of_late = now_ms - told.st_mtime_ns // 1_000_000 < self._start.recent_ms
        if self._start.at == "recent" and of_late and 0 < told.st_size <= offset:
            self._contents.tail(path).notices[PASSED_OVER] += 1
        return offset

    def _later(self, found: Found, content: Content) -> int | None:
        """A file that came later is read whole; one that was there and may be read now begins as if new."""
        if found.path in self._late:
            self._late -= {found.path}
            return self._first(found, content)
        return 0

    def _upgraded(self, found: Found, _content: Content) -> int | None:
        """Where the position is of a version that knew open files only: what is older than those was read."""
        opened = [each.content.stat().st_mtime_ns for each in self._contents.tail(found.home)]
        if found.is_current or (opened and found.stat.st_mtime_ns > max(opened)):
            return 0
        return None

    def _resume(self, resume: Mapping[str, Any]) -> None:
        files: defaultdict[Path, list[FilePosition]] = defaultdict(list)
        for path, marks in stored(resume, "files", dict).items():
            files[self._folders.home_of(Path(path))] += map(load_position, stored({path: marks}, path, list))
        known = stored({"known": {}, **resume}, "known", dict)
        kept = [
            KnownMark(Path(home), load_position(mark)) for home in known for mark in stored(known, home, list)
        ]
        self._contents.load(files, kept)
        self._settle(self._later if "known" in resume else self._upgraded)

    def _name(self, found: FileId, content: Content) -> str:
        """A name for a content: what another source calls it, else one never given twice by this one.

        That is the time, made to ascend.
        """
        for source in _sources:
            for mark in source.marks():
                if found == (mark.device, mark.inode) and mark.agrees(content):
                    return mark.incarnation
        self._serial_ms = max(self._serial_ms + 1, self._now_ms())
        return f"{self._serial_ms:x}"


_sources: weakref.WeakSet[FileSource] = weakref.WeakSet()
"""All that are open in this process: what two of them read has one name, so that it counts once."""


def _check(spec: str) -> list[str]:
    readable, unreadable = _sorted_out(_path(spec))
    return [] if readable else unreadable


def _missing(spec: str) -> list[str]:
    """Warnings; what is no file in a folder that a glob covers is one: anybody may have put it there."""
    path = _path(spec)
    readable, unreadable = _sorted_out(path)
    if not readable and not unreadable:
        return [f"{path}: no such file yet; it is read from its start when it appears"]
    return [f"{problem}; the other files are read" for problem in unreadable] if readable else []


def _sorted_out(pattern: str) -> tuple[list[Path], list[str]]:
    """The files of a path or glob that can be read, and what is wrong with the others."""
    problems = {path: _unreadable(path) for path in matching_files(pattern)}
    readable = [path for path, problem in problems.items() if problem is None]
    return readable, [problem for problem in problems.values() if problem is not None]


def _path(spec: str) -> str:
    return spec.partition(":")[2]


def _unreadable(path: Path) -> str | None:
    if is_folder(path):
        return f"{path}: a directory; name its files, as {path}/*.log"
    if not os.path.isfile(path):  # noqa: PTH113 - as is_folder
        return f"{path}: not a regular file; name a log file"
    if not os.access(path, os.R_OK):
        return f"{path}: may not be read; run as root, or let this user's group read it (usually adm)"
    return None


KIND: Final = SourceKind(spec=re.compile("(?s)file:/.*"), open=FileSource, check=_check, missing=_missing)
