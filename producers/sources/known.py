"""What has been read of files that are not being read: those rotated away, their copies, those gone.

Two files may hold one content (a copy, before the original is truncated): then their marks bear the same
incarnation, and what the one that is furthest has read, nobody reads again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from producers.sources.file_position import FilePosition

MOST_GONE: Final = 128
"""So many are remembered of files that are nowhere to be seen; they may come again, compressed."""

FileId = tuple[int, int]
"""A device and an inode."""


class KnownMark(NamedTuple):
    """A mark, and the log that its content is of."""

    home: Path
    mark: FilePosition


class Known:
    """The marks of files that are not open, in the order in which they were last met."""

    def __init__(self) -> None:
        self._by_file: defaultdict[FileId, dict[str, KnownMark]] = defaultdict(dict)
        self._by_home: defaultdict[Path, dict[tuple[FileId, str], KnownMark]] = defaultdict(dict)
        self._by_content: defaultdict[str, dict[FileId, KnownMark]] = defaultdict(dict)
        self._saved: dict[str, list[dict[str, Any]]] | None = None

    def keep(self, home: Path, mark: FilePosition) -> None:
        """Remember a mark in the place of the one of the same file and content."""
        file, kept = (mark.device, mark.inode), KnownMark(home, mark)
        saved = self._saved if self._by_file[file].get(mark.incarnation) == kept else None
        others = self._by_file.pop(file)
        self._by_file[file] = others
        self.forget(mark)
        others[mark.incarnation] = self._by_content[mark.incarnation][file] = kept
        self._by_home[home][file, mark.incarnation] = kept
        self._saved = saved

    def forget(self, mark: FilePosition) -> None:
        """Its file is being read."""
        file = mark.device, mark.inode
        kept = self._by_file[file].pop(mark.incarnation, None)
        if kept is not None:
            del self._by_home[kept.home][file, mark.incarnation]
            del self._by_content[mark.incarnation][file]
            self._saved = None

    def of(self, file: FileId) -> list[KnownMark]:
        """What a file of this id may hold."""
        return list(self._by_file.get(file, {}).values())

    def of_log(self, home: Path) -> list[KnownMark]:
        """What has been read of a log, the last met first."""
        return list(reversed(self._by_home.get(home, {}).values()))

    def of_content(self, incarnation: str) -> list[KnownMark]:
        """The files that hold a content."""
        return list(self._by_content.get(incarnation, {}).values())

    def __iter__(self) -> Iterator[KnownMark]:
        """The last met first."""
        for kept in reversed(list(self._by_file.values())):
            yield from kept.values()

    def trim(self, there: AbstractSet[FileId]) -> None:
        """Forget all but MOST_GONE of those that are not among the files there are."""
        gone = [file for file in self._by_file if file not in there]
        for file in gone[: max(0, len(gone) - MOST_GONE)]:
            for kept in self.of(file):
                self.forget(kept.mark)
        for file in [file for file, kept in self._by_file.items() if not kept]:
            del self._by_file[file]

    def save(self) -> dict[str, list[dict[str, Any]]]:
        """The marks as JSON, by log."""
        if self._saved is None:
            saved: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
            for kept in self._by_file.values():
                for home, mark in kept.values():
                    saved[str(home)].append(replace(mark, path="").save())
            self._saved = dict(saved)
        return self._saved
