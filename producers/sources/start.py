"""Where to begin in a file that is read for the first time."""

from __future__ import annotations

import os
import re
from typing import Final

from producers.contract import StartPosition
from producers.filters.times import TIME, plain_time
from producers.stamps import LineClock, Stamps

STAMPED: Final = re.compile(
    rb"^(?:<\d{1,3}>(?:1 )?)?(?:[^\n\[\"{]{0,256}\[)?(" + TIME + rb")[ :\],|]", re.MULTILINE
)
"""At a line's beginning, or in its first brackets, as web servers have it."""
WINDOW_BYTES: Final = 65_536


def offset_for(fd: int, start: StartPosition, now_ms: int) -> int:
    """The offset to begin at, always that of a line. The times of a file are taken to ascend.

    Raises OSError. `recent` in a file whose last lines bear no times is its end.
    """
    end = _line_at(fd, os.fstat(fd).st_size)
    if start.at == "beginning":
        return 0
    if start.at == "end" or _stamped(fd, _line_at(fd, max(0, end - WINDOW_BYTES)), end) is None:
        return end
    stamps = Stamps(start.zone)
    stamps.begin(LineClock(now_ms, "offline"))
    return _bisect(fd, end, now_ms - start.recent_ms, stamps)


def _bisect(fd: int, end: int, since_ms: int, stamps: Stamps) -> int:
    """The start of the first line not older: those before `low` are older, those from `high` on are not."""
    low, high = 0, end
    while low < high:
        middle = max(low, _line_at(fd, (low + high) // 2))
        found = _stamped(fd, middle, high)
        if found is not None and stamps.read(plain_time(found[1]))[0] < since_ms:
            low = found[0]
        else:
            high = middle
    return low


def _stamped(fd: int, start: int, end: int) -> tuple[int, bytes] | None:
    """The first line with a time in a stretch: the offset past it, and the time."""
    data = os.pread(fd, min(WINDOW_BYTES, end - start), start)
    found = STAMPED.search(data)
    if found is None:
        return None
    newline = data.find(b"\n", found.end())
    return start + (newline + 1 or len(data)), found[1]


def _line_at(fd: int, offset: int) -> int:
    """The start of the line that an offset is in; of an over-long line, a place within the window."""
    start = max(0, offset - WINDOW_BYTES)
    newline = os.pread(fd, offset - start, start).rfind(b"\n")
    return start + newline + 1
