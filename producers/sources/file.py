"""The file source: one path or a glob, woken by inotify where there is one."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from producers.contract import LINE_LIMIT_BYTES, Chunk, SourceKind, StartPosition, stored
from producers.sources.start import offset_for
from producers.sources.tail import Tail
from producers.sources.wake import Wake
from schemas.bounds import NAME_CHARACTERS

BEHIND_BYTES: Final = 1 << 20
"""With more than this unread, lines are a backlog again and no longer live."""

UNNAMED: Final = (
    f"a file whose name is no UTF-8, or with its path longer than {NAME_CHARACTERS} characters, is not read; "
    "rename it"
)


class FileSource:
    """Follows every file that a path or glob names, through rotation."""

    def __init__(
        self, spec: str, resume: Mapping[str, Any] | None, start: StartPosition, now_ms: Callable[[], int]
    ) -> None:
        self.id = spec
        self._pattern = pattern = _path(spec)
        self._is_glob = glob.has_magic(pattern)
        self._now_ms = now_ms
        self._serial_ms = 0 if resume is None else stored(resume, "serial_ms", int)
        self._tails: dict[Path, Tail] = {}
        self._unnamed = 0
        self._caught_up = False
        if resume is None:
            for path in self._paths():
                self._follow(path).begin(lambda fd: offset_for(fd, start, now_ms()))
        else:
            files = stored(resume, "files", dict)
            for path in files:
                self._follow(Path(path)).resume(stored(files, path, list))
        self._wake = Wake()
        self._watch()

    def filenos(self) -> list[int]:
        """The inotify descriptor, where there is inotify."""
        return self._wake.filenos()

    def read(self, max_bytes: int) -> Chunk | None:
        """The next lines of any of its files."""
        if self._wake.drain() or not self._caught_up:
            for path in self._paths():
                self._follow(path)
        for path, tail in self._tails.items():
            read = tail.read(max(max_bytes, LINE_LIMIT_BYTES + 1))
            if read is not None:
                self._caught_up = self._caught_up and read.behind < BEHIND_BYTES
                origin = _origin(path) if self._is_glob else self.id
                return Chunk(
                    read.data, read.incarnation, read.start, self.position(), self._caught_up, origin
                )
        self._caught_up = True
        self._watch()
        return None

    def position(self) -> dict[str, Any]:
        """How far each of its files has been read."""
        files = {str(path): tail.marks() for path, tail in self._tails.items()}
        return {"serial_ms": self._serial_ms, "files": files}

    def notices(self) -> Mapping[str, int]:
        """What its files went through."""
        found: Counter[str] = Counter(self._wake.notices)
        for tail in self._tails.values():
            found.update({f"{tail.path}: {text}": count for text, count in tail.notices.items() if count})
            if tail.trouble:
                found[tail.trouble] = 1
        if self._unnamed:
            found[f"{self._pattern}: {UNNAMED}"] = self._unnamed
        if not self._tails:
            found[f"{self._pattern}: no such file yet"] = 1
        return found

    def close(self) -> None:
        """Let go."""
        self._wake.close()
        for tail in self._tails.values():
            tail.close()

    def _paths(self) -> list[Path]:
        if not self._is_glob:
            return [Path(self._pattern)]
        there = _glob(self._pattern)
        named = [path for path in there if _is_name(path)]
        self._unnamed = len(there) - len(named)
        return named

    def _follow(self, path: Path) -> Tail:
        if path not in self._tails:
            self._tails[path] = Tail(path, self._serial, self._now_ms)
        return self._tails[path]

    def _serial(self) -> str:
        """A name for a file's content, never given twice by this source: the time, made to ascend."""
        self._serial_ms = max(self._serial_ms + 1, self._now_ms())
        return f"{self._serial_ms:x}"

    def _watch(self) -> None:
        directories = {_fixed_part(self._pattern)}
        for tail in self._tails.values():
            directories |= tail.directories()
        self._wake.watch(directories)


def matching_files(pattern: str) -> list[Path]:
    """The paths there are that an absolute path or glob names.

    A name that is no UTF-8, or too long, is left out: neither a position nor an event can hold it.
    """
    if glob.has_magic(pattern):
        return [path for path in _glob(pattern) if _is_name(path)]
    return [Path(pattern)] if Path(pattern).exists() else []


def _glob(pattern: str) -> list[Path]:
    return sorted(Path("/").glob(pattern.lstrip("/")))


def _origin(path: Path) -> str:
    return f"file:{path}"


def _is_name(path: Path) -> bool:
    origin = _origin(path)
    try:
        origin.encode()
    except UnicodeEncodeError:
        return False
    return len(origin) <= NAME_CHARACTERS


def _fixed_part(pattern: str) -> Path:
    """The directory of a path, or of a glob the deepest without a wildcard."""
    parents = Path(pattern).parents
    return next(parent for parent in parents if not glob.has_magic(str(parent)))


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
    if path.is_dir():
        return f"{path}: a directory; name its files, as {path}/*.log"
    if not path.is_file():
        return f"{path}: not a regular file; name a log file"
    if not os.access(path, os.R_OK):
        return f"{path}: may not be read; run as root, or let this user's group read it (usually adm)"
    return None


KIND: Final = SourceKind(spec=re.compile("(?s)file:/.*"), open=FileSource, check=_check, missing=_missing)
