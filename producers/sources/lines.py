"""Cutting bytes into whole lines, and lines at their limit."""

from __future__ import annotations

from typing import NamedTuple

from producers.contract import LINE_LIMIT_BYTES

Bytes = bytes | bytearray


class Cut(NamedTuple):
    """What to take of a buffer.

    Attributes:
        end: where it ends: after a newline, or in a line that is cut there; the start when there is no line.
        skipping: the last line is cut: what follows `end` is the rest of it, and its newline is to be added.
    """

    end: int
    skipping: bool


def cut_lines(buffer: Bytes, start: int, size: int) -> Cut:
    """The whole lines of a buffer between two offsets, up to and including the first that has to be cut.

    Between offsets further apart than the limit there is always something.
    """
    last = buffer.rfind(b"\n", start, size) + 1
    while start < last:
        newline = buffer.rfind(b"\n", start, min(start + LINE_LIMIT_BYTES + 1, last))
        if newline < 0:
            break
        start = newline + 1
    if size - start > LINE_LIMIT_BYTES:
        return Cut(start + LINE_LIMIT_BYTES, skipping=True)
    return Cut(start, skipping=False)


def skip_line(buffer: Bytes, start: int, size: int) -> Cut:
    """The rest of a line that was cut: where it ends, and whether it goes on past the buffer."""
    newline = buffer.find(b"\n", start, size)
    return Cut(size, skipping=True) if newline < 0 else Cut(newline + 1, skipping=False)
