"""A file being read, line by line, from where it was left."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from producers.contract import LINE_LIMIT_BYTES
from producers.sources.file_position import FilePosition, hashed, split
from producers.sources.lines import cut_lines, skip_line
from producers.sources.overlap import lines_read_before
from producers.sources.packed import Content, Later

OVERLAP_BYTES: Final = 4 << 20
"""Of a rewritten file as much is looked through, at its start and at its end, for what had been read."""
REMEMBER_BYTES: Final = 8_192
"""As much before the place where reading begins is looked at for the lines there."""


class LinesRead(NamedTuple):
    """Lines of one file. `start` is the offset of their first byte; `behind` the bytes not yet read.

    Without data something was passed over, and there may be more at once.
    """

    data: bytes
    incarnation: str
    start: int
    behind: int


class OpenFile:
    """A file being read.

    Attributes:
        mark: how far.
        idle_since_ms: since when there was nothing more in it.
        lost: it stands where a content was that nobody has seen again.
    """

    def __init__(self, content: Content, mark: FilePosition) -> None:
        self.content = content
        stat = content.stat()
        self.mark = replace(mark, device=stat.st_dev, inode=stat.st_ino, packed=content.packed)
        self.idle_since_ms: int | None = None
        self.lost = False

    def size(self) -> int:
        """Its size now, in bytes."""
        return self.content.stat().st_size

    def begin(self, offset: int) -> None:
        """Stand at an offset, as if the lines before it had been read."""
        start = max(0, offset - REMEMBER_BYTES)
        before = self.content.pread(offset - start, start)
        whole = before if not start else before[before.find(b"\n") + 1 :]
        self.mark = self.mark.moved(self.content, offset, whole)

    def read(self, max_bytes: int) -> LinesRead | None:
        """Its next whole lines; None when there are none. Raises OSError.

        Skips what is left of a line that was cut, as much as it may read in one go.
        """
        before = self.mark
        try:
            read = self._read(max_bytes)
        except Later:
            return LinesRead(b"", before.incarnation, before.offset, 0)
        if read is not None or self.mark.offset != before.offset:
            self.idle_since_ms = None
            return read or LinesRead(b"", before.incarnation, self.mark.offset, 0)
        return None

    def close(self) -> None:
        """Let go."""
        self.content.close()

    def _read(self, max_bytes: int) -> LinesRead | None:
        if self.mark.after:
            self._pass_over()
        if self.mark.skipping:
            self._skip(max_bytes)
            return None
        mark = self.mark
        buffer = self.content.pread(max_bytes, mark.offset)
        cut = cut_lines(buffer, 0, len(buffer))
        if not cut.end and len(buffer) == max_bytes <= LINE_LIMIT_BYTES:
            buffer = self.content.pread(LINE_LIMIT_BYTES + 1, mark.offset)
            cut = cut_lines(buffer, 0, len(buffer))
        if not cut.end:
            return None
        data = buffer[: cut.end] + b"\n" * cut.skipping
        self.mark = mark.moved(self.content, mark.offset + cut.end, data, skipping=cut.skipping)
        behind = 0 if self.content.packed else self.size() - self.mark.offset
        return LinesRead(data, mark.incarnation, mark.offset, behind)

    def _skip(self, max_bytes: int) -> None:
        """Some of the rest of a line that was cut; a hole holds no newline."""
        start = max(self.mark.offset, self.content.data_from(self.mark.offset))
        buffer = self.content.pread(max_bytes, start)
        skip = skip_line(buffer, 0, len(buffer))
        self.mark = self.mark.moved(self.content, start + skip.end, skipping=skip.skipping)

    def _pass_over(self) -> None:
        """Pass over the lines that stood in the file's predecessor, and were read there."""
        after, buffer = self.mark.after, self.content.pread(OVERLAP_BYTES, 0)
        whole = buffer[: buffer.rfind(b"\n") + 1]
        if not whole:
            return
        end = self._end_of_overlap(whole, 0, after)
        size = self.size()
        if not end and size > OVERLAP_BYTES:
            start = size - OVERLAP_BYTES
            last = self.content.pread(OVERLAP_BYTES, start)
            first = last.find(b"\n") + 1
            end = self._end_of_overlap(last[first : last.rfind(b"\n") + 1], start + first, after)
        if end > self.mark.offset:
            self.begin(end)
            self.lost = False
        self.mark = replace(self.mark, after=after if end == len(whole) else "")

    def _end_of_overlap(self, data: bytes, start: int, after: str) -> int:
        lines = data.split(b"\n")[:-1]
        count = lines_read_before(split(hashed(lines)), split(after))
        return start + sum(map(len, lines[:count])) + count if count else 0
