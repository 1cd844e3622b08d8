"""What has been read of files that are not being read: those rotated away, their copies, those gone.

Two files may hold one content (a copy, before the original is truncated): then their marks bear the same
incarnation, and what the one that is furthest has read, nobody reads again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final, NamedTuple

from producers.sources.file_position import FilePosition

MOST_GONE: Final = 128
"""So many are remembered of files that are nowhere to be seen; they may come again, compressed."""

FileId = tuple[int, int]
"""A device and an inode."""


class Kept(NamedTuple):
    """A mark, and the log that its content is of."""

    home: Path
    mark: FilePosition


class Known:
    """The marks of files that are not open, in the order in which they were last met."""

    def __init__(self) -> None:
        self._by_file: defaultdict[FileId, dict[str, Kept]] = defaultdict(dict)
        self._saved: dict[str, list[dict[str, Any]]] | None = None

    def keep(self, home: Path, mark: FilePosition) -> None:
        """Remember a mark in the place of the one of the same file and content."""
        name = mark.device, mark.inode
        kept = self._by_file.pop(name, {})
        self._saved = self._saved if kept.get(mark.incarnation) == (home, mark) else None
        kept[mark.incarnation] = Kept(home, mark)
        self._by_file[name] = kept

    def forget(self, mark: FilePosition) -> None:
        """Its file is being read."""
        kept = self._by_file.get((mark.device, mark.inode), {})
        if kept.pop(mark.incarnation, None) is not None:
            self._saved = None

    def of(self, name: FileId) -> list[Kept]:
        """What a file of this id may hold."""
        return list(self._by_file.get(name, {}).values())

    def __iter__(self) -> Iterator[Kept]:
        """The last met first."""
        for kept in reversed(list(self._by_file.values())):
            yield from kept.values()

    def trim(self, there: AbstractSet[FileId]) -> None:
        """Forget all but MOST_GONE of those that are not among the files there are."""
        gone = [name for name, kept in self._by_file.items() if name not in there or not kept]
        for name in gone[: max(0, len(gone) - MOST_GONE)]:
            del self._by_file[name]
            self._saved = None

    def save(self) -> dict[str, list[dict[str, Any]]]:
        """The marks as JSON, by log."""
        if self._saved is None:
            saved: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
            for kept in self._by_file.values():
                for home, mark in kept.values():
                    saved[str(home)].append(mark.save())
            self._saved = dict(saved)
        return self._saved
