"""The files of a path or glob, and what rotation has made of them: found in their folders."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from fnmatch import translate
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit
from typing import Final

from producers.sources.contents import Found
from producers.sources.known import FileId
from producers.sources.paths import fixed_part, is_foreign, is_there, paths_of, real
from producers.sources.rotated_names import root_of
from schemas.bounds import NAME_CHARACTERS

UNNAMED: Final = (
    f"a file whose name is no UTF-8, or with its path longer than {NAME_CHARACTERS} characters, is not read; "
    "rename it"
)
FOREIGN: Final = (
    "a link of somebody who does not own what it leads to is not followed; name that file itself, or let "
    "root make the link"
)
CROWDED: Final = (
    "a folder with more files than may be open at once: those written last are read, the others not"
)
MOST_IN_FOLDER: Final = 5_000
SHARE: Final = 4
"""Of the files a process may have open, one folder gets no more than this part: it may be a user's."""


class Folders:
    """What there is of a path or glob.

    Attributes:
        troubles: the paths that are named and cannot be read, and why.
        notices: what is not read, and how many of it.
    """

    def __init__(self, pattern: str) -> None:
        self.is_glob = glob.has_magic(pattern)
        self.troubles: dict[Path, OSError] = {}
        self.notices: Counter[str] = Counter()
        self._pattern = pattern
        self._expression = re.compile(translate(pattern))
        self._logs: dict[Path, Path] = {}
        self._covered: set[Path] = set()
        self._foreign: dict[Path, bool] = {}

    def look(self, logs: Iterable[Path], places: Mapping[Path, Path]) -> list[Found]:
        """Every file that is named, or that rotation made of one: each once, whatever its names.

        `logs` are known already; `places`: where files of these were seen last, and which log they are of.
        """
        self.notices.clear()
        self._foreign.clear()
        self.troubles.clear()
        named = {path: path for path in self._named()}
        self._logs = {place: log for log in dict.fromkeys((*logs, *named)) for place in (real(log), log)}
        there = {path: home for path, home in places.items() if real(path) == path}  # else it is a link now
        paths = {**{path: self.home_of(path) for path in named}, **there, **self._beside()}
        found: dict[FileId, Found] = {}
        reading: set[FileId] = set()
        for path, home in sorted(paths.items(), key=lambda each: each[0] != each[1]):
            each = self._found(path, home, named=path in named)
            if each is not None:
                found.setdefault(each.id, each)
                if path in there:
                    reading.add(each.id)
        return self._bounded(list(found.values()), reading)

    def home_of(self, path: Path) -> Path:
        """The log that a file is of: the one it was made of by rotation, where that is one of these."""
        name = root_of(path.name)
        root = path.with_name(name) if name != path.name else path
        if root in self._logs:
            return self._logs[root]
        return root if self.is_glob and self._expression.fullmatch(str(root)) and is_there(root) else path

    def folders(self) -> set[Path]:
        """Where something may happen to these files, as of the last look."""
        return {fixed_part(self._pattern), *self._covered, *(path.parent for path in self._logs)}

    def _named(self) -> list[Path]:
        if not self.is_glob:
            return [Path(self._pattern)]
        there = paths_of(self._pattern)
        above = [str(parent) for parent in Path(self._pattern).parents]
        self._covered = {path for parent in above if glob.has_magic(parent) for path in paths_of(parent)}
        named = [path for path in there if _is_name(path)]
        own = [path for path in named if not self._is_foreign(path)]
        self.notices += Counter({UNNAMED: len(there) - len(named), FOREIGN: len(named) - len(own)})
        return own

    def _is_foreign(self, path: Path) -> bool:
        return self.is_glob and is_foreign(path, fixed_part(self._pattern), self._foreign)

    def _bounded(self, found: list[Found], reading: AbstractSet[FileId]) -> list[Found]:
        """No more of a folder than it may have open: what is named, is being read, was written last."""
        most = min(MOST_IN_FOLDER, getrlimit(RLIMIT_NOFILE)[0] // SHARE)
        if len(found) <= most:
            return found
        taken: Counter[Path] = Counter()
        kept: list[Found] = []
        for each in sorted(
            found, key=lambda each: (not each.named, each.id not in reading, -each.stat.st_mtime_ns)
        ):
            folder = each.path.parent
            taken[folder] += 1
            if taken[folder] <= most:
                kept.append(each)
        self.notices += Counter({CROWDED: sum(count > most for count in taken.values())})
        return kept

    def _beside(self) -> dict[Path, Path]:
        """What rotation has made of these logs."""
        found: dict[Path, Path] = {}
        for folder in {path.parent for path in self._logs}:
            with suppress(OSError):
                for name in os.listdir(folder):  # noqa: PTH208 - the names alone, a thousand of them
                    root = root_of(name)
                    home = self._logs.get(folder / root) if root != name else None
                    if home is not None and not self._is_foreign(folder / name):
                        found[folder / name] = home
        return found

    def _found(self, path: Path, home: Path, *, named: bool) -> Found | None:
        trouble = OSError(0, "not a regular file", str(path))
        try:
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                return Found(path, home, status, named)
        except OSError as error:
            trouble = error
        if named:
            self.troubles[path] = trouble
        return None


def matching_files(pattern: str) -> list[Path]:
    """The paths there are that an absolute path or glob names.

    A name that is no UTF-8, or too long, is left out: neither a position nor an event can hold it.
    """
    if glob.has_magic(pattern):
        return [path for path in paths_of(pattern) if _is_name(path)]
    return [Path(pattern)] if is_there(Path(pattern)) else []


def _is_name(path: Path) -> bool:
    origin = f"file:{path}"
    try:
        origin.encode()
    except UnicodeEncodeError:
        return False
    return len(origin) <= NAME_CHARACTERS
