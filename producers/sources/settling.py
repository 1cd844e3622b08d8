"""One look at all files there are of a source: what each of them holds (the table is in `contents`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from producers.sources.file_position import FilePosition
from producers.sources.known import FileId, KnownMark
from producers.sources.open_file import OpenFile
from producers.sources.packed import START_BYTES, STEP_BYTES, Content, Later
from producers.sources.paths import real
from producers.sources.rotated_names import is_backup, is_packed, root_of
from producers.sources.tail import GONE, Tail, written

if TYPE_CHECKING:
    from producers.sources.contents import Begin, Contents, Found

COMPARE_BYTES: Final = 1 << 20
"""Of two files that are open as much is compared at the end, and START_BYTES at the start."""
ALL: Final = 1 << 62
NOT_OURS: Final = ""
"""The incarnation of what was there before the source was, beside its log."""


class Settling:
    """Files, and what is found out about them."""

    def __init__(self, contents: Contents, found: Sequence[Found], begin: Begin) -> None:
        self._all = contents
        self._found = found
        self._begin = begin
        self._open = {each.mark.incarnation: (tail, each) for tail, each in contents.opened()}
        self._elsewhere: list[KnownMark] = []
        self._there: set[str] = set()
        self._newest: dict[Path, OpenFile | None] = {}
        self._displaced: dict[Path, FilePosition] = {}
        self._unsettled: dict[FileId, Path] = {}
        self._gone: dict[Path, tuple[str, bool]] = {}
        self._unpacked = 0

    def run(self) -> bool:
        """Settle each file, what belongs to nothing known last; true when one is not unpacked far enough."""
        opened = {(each.mark.device, each.mark.inode): (tail, each) for tail, each in self._all.opened()}
        there = {each.id for each in self._found}
        self._elsewhere = [
            kept for kept in self._all.known if (kept.mark.device, kept.mark.inode) not in there
        ]
        strangers = [each for each in self._found if not self._met(each, opened.get(each.id))]
        for home, tail in self._all.tails.items():
            tail.arrange()
            self._newest[home] = tail.newest()
        new = [each for each in strangers if not self._tried(each, self._is_copy)]
        for each in sorted(new, key=lambda each: (each.is_current, is_packed(each.path.name))):
            self._tried(each, self._take_new)
        for home, tail in self._all.tails.items():
            tail.arrange()
            if home not in self._unsettled.values() and self._all.lost(home):
                tail.notices[GONE] += 1
        self._all.close_all_but(self._unsettled)
        return bool(self._unsettled)

    def _met(self, each: Found, opened: tuple[Tail, OpenFile] | None) -> bool:
        """Whether a file is one that is being read, or was, by its inode."""
        if opened is not None:
            return self._still(each, *opened)
        for kept in self._all.known.of(each.id):
            if self._all.is_unchanged(each, kept.mark) or self._tried(each, partial(self._again, kept)):
                self._is_there(each, kept.mark)
                return True
        return False

    def _still(self, each: Found, tail: Tail, opened: OpenFile) -> bool:
        """Whether an open file is what it was; else its content was displaced by another."""
        if opened.mark.packed or opened.mark.agrees(opened.content):
            opened.mark = replace(opened.mark, path=written(str(real(each.path))))
            self._is_there(each, opened.mark)
            return True
        self._displaced[tail.path] = opened.mark
        self._all.known.keep(tail.path, opened.mark)
        self._drop(opened.mark)
        return False

    def _tried(self, each: Found, way: Callable[[Found, Content], bool]) -> bool:
        """Whether a file is settled one way, which has its content then.

        One that is not unpacked far enough is settled, for now: so are those behind the one with which this
        look has unpacked STEP_BYTES.
        """
        try:
            content = self._all.content_of(each)
        except OSError as error:
            self._all.tail(each.home).say(error)
            return False
        before = content.worked
        try:
            if content.packed and self._unpacked >= STEP_BYTES:
                raise Later  # noqa: TRY301 - as if it had been asked
            settled = way(each, content)
        except Later:
            self._unsettled[each.id] = each.home
            settled = True
        except OSError as error:
            self._all.tail(each.home).say(error)
            if content.packed:
                self._all.is_damaged(each, error)
            content.close()
            return False
        else:
            if settled:
                return True
        finally:
            self._unpacked += content.worked - before
        self._all.put_back(each, content)
        return settled

    def _is_there(self, each: Found, mark: FilePosition) -> None:
        """A content stands in its log, or was rotated away: not where it is a backup, or a part of it."""
        if not is_backup(each.path.name) and mark.offset >= self._furthest(mark):
            self._there.add(mark.incarnation)

    def _again(self, kept: KnownMark, each: Found, content: Content) -> bool:
        """Whether a file that is not open still holds what was read of it; if there is more, it is opened."""
        home, mark = kept
        wanted = self._all.is_wanted(mark)
        told = mark.packed or (mark.agrees(content) if mark.head_bytes else each.is_current and wanted)
        if content.packed != mark.packed or not told:
            return False
        grown = not mark.packed and (each.stat.st_size > mark.offset or each.is_current)
        if mark.incarnation == NOT_OURS and each.is_current:
            self._all.known.forget(mark)
            self._read(each, home, content, replace(mark, incarnation=self._all.name(each, content)))
        elif mark.incarnation == NOT_OURS or not (wanted or grown):
            self._all.known.keep(home, replace(mark, path=written(str(real(each.path)))))
            self._all.is_read(each, mark)
            content.close()
        elif self._is_read_further(mark):
            self._copy_grown(each, content, kept)
        else:
            self._read(each, home, content, mark)
        return True

    def _read(self, each: Found, home: Path, content: Content, mark: FilePosition) -> OpenFile:
        """Read a file from a mark on."""
        opened = self._all.open(each, home, content, mark)
        self._open[mark.incarnation] = self._all.tail(home), opened
        return opened

    def _drop(self, mark: FilePosition) -> None:
        """Read the file no more that a content is read from."""
        tail, opened = self._open.pop(mark.incarnation)
        tail.drop(opened)

    def _furthest(self, mark: FilePosition) -> int:
        """How far a content has been read, in whichever file."""
        if mark.incarnation == NOT_OURS:
            return mark.offset
        known = [kept.mark for kept in self._all.known.of_content(mark.incarnation)]
        if mark.incarnation in self._open:
            known.append(self._open[mark.incarnation][1].mark)
        return max((each.offset for each in known), default=mark.offset)

    def _is_read_further(self, mark: FilePosition) -> bool:
        """Whether a content is being read, or was read further, in another file than a mark's."""
        return mark.incarnation in self._open or self._furthest(mark) > mark.offset

    def _copy_grown(self, each: Found, content: Content, kept: KnownMark) -> None:
        """A copy has more than it had, of a content that is read, or was read further, elsewhere."""
        home, mark = kept
        self._all.known.forget(mark)
        if self._is_copy(each, content):
            return
        size = content.stat().st_size
        if size <= self._furthest(mark):
            self._remember(home, content, mark, size)
        else:
            self._read(each, each.home, content, replace(mark, incarnation=self._all.name(each, content)))

    def _is_copy(self, each: Found, content: Content) -> bool:
        """Whether a file holds a content of its log, or the beginning of one; it is taken if so."""
        for home, mark, opened in self._candidates(each):
            if each.is_current and not self._may_stand_here(mark):
                continue
            if mark.offset and mark.agrees(content) and (not each.is_current or mark.tells()):
                self._take_copy(each, content, KnownMark(home, mark))
                return True
            if opened is not None and not each.is_current and _is_beginning(content, opened.content):
                self._remember(home, content, mark, min(mark.offset, content.stat().st_size))
                return True
        return False

    def _may_stand_here(self, mark: FilePosition) -> bool:
        """Whether a content may be in a new file at its log's place: it is nowhere, and read no further."""
        if mark.incarnation == NOT_OURS or mark.incarnation in self._there:
            return False
        return mark.offset >= self._furthest(mark)

    def _candidates(self, each: Found) -> list[tuple[Path, FilePosition, OpenFile | None]]:
        """The contents that a file may hold: of its log; if it was rotated, of such a log that are gone.

        What was read furthest comes first: of one content a copy may have less.
        """
        root = root_of(each.path.name)
        elsewhere = self._elsewhere if root != each.path.name else ()
        known = [*self._all.known.of_log(each.home), *(kept for kept in elsewhere if kept.home.name == root)]
        found: list[tuple[Path, FilePosition, OpenFile | None]] = [
            *((each.home, opened.mark, opened) for opened in self._all.tails.get(each.home, ())),
            *((home, mark, None) for home, mark in known),
        ]
        return sorted(found, key=lambda candidate: -candidate[1].offset)

    def _take_copy(self, each: Found, content: Content, kept: KnownMark) -> None:
        """Go on in a copy, or remember it where its original is still read, or was read further."""
        home, mark = kept
        original = self._open.get(mark.incarnation)
        vanished = original is not None and mark.incarnation not in self._there
        if (
            mark.incarnation == NOT_OURS
            or is_backup(each.path.name)
            or (original is not None and not (vanished and each.is_current))
            or (original is None and self._is_read_further(mark))
        ):
            self._remember(home, content, mark, mark.offset)
            return
        if original is not None:
            self._drop(mark)
        self._there.add(mark.incarnation)
        self._read(each, home, content, mark)

    def _remember(self, home: Path, content: Content, mark: FilePosition, offset: int) -> None:
        """A file holds a content up to an offset; it is closed."""
        copy = OpenFile(content, replace(mark, head="", head_bytes=0, offset=0, lines=""))
        copy.begin(offset)
        self._all.known.keep(home, copy.mark if mark.incarnation else replace(copy.mark, lines=""))
        content.close()

    def _take_new(self, each: Found, content: Content) -> bool:
        """Read a file as a new content; one that is empty, beside the log, is nothing yet."""
        if not each.stat.st_size and not each.is_current:
            return False
        if not each.is_current and self._is_copy(each, content):
            return True
        begin = self._begin(each, content)
        if begin is None:
            self._set_aside(each, content)
            return True
        if content.packed:
            content.pread(0, ALL)
        after, lost = self._vanished(each.home)
        fresh = FilePosition(path="", device=0, inode=0, incarnation=self._all.name(each, content))
        opened = self._read(each, each.home, content, fresh)
        opened.begin(begin)
        if not begin:
            opened.mark, opened.lost = replace(opened.mark, after=after), lost
        return True

    def _set_aside(self, each: Found, content: Content) -> None:
        """What was there before the source was counts as read; beside its log, for good."""
        name = self._all.name(each, content) if each.named else NOT_OURS
        mark = FilePosition(path="", device=0, inode=0, incarnation=name)
        self._remember(each.home, content, mark, 0 if content.packed else each.stat.st_size)

    def _vanished(self, home: Path) -> tuple[str, bool]:
        """The lines read last of what stood in a log's place, and is nowhere any more.

        And whether it was lost while nobody looked.
        """
        if home not in self._gone and home not in self._unsettled.values():
            self._gone[home] = self._find_vanished(home)
        return self._gone.get(home, ("", False))

    def _find_vanished(self, home: Path) -> tuple[str, bool]:
        displaced = self._displaced.get(home)
        if displaced is not None and displaced.incarnation in self._there:
            return "", False
        newest = self._newest.get(home)
        if displaced is None and newest is not None and newest.mark.incarnation not in self._there:
            displaced = newest.mark
        if displaced is not None:
            return displaced.lines, False
        lost = self._all.lost(home)
        return (lost[0].lines, True) if lost else ("", False)


def _is_beginning(content: Content, whole: Content) -> bool:
    """Whether all that is in a file is what another one begins with; compared in full, or at either end.

    A compressed one is compared at its start.
    """
    start = content.pread(START_BYTES, 0)
    if not start or whole.packed or start != whole.pread(len(start), 0):
        return False
    size = content.stat().st_size
    if content.packed or size <= len(start):
        return True
    at = max(0, size - COMPARE_BYTES)
    return size <= whole.stat().st_size and content.pread(COMPARE_BYTES, at) == whole.pread(COMPARE_BYTES, at)
