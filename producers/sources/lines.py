"""Cutting bytes into whole lines, and lines at their limit."""

from __future__ import annotations

from typing import NamedTuple

from producers.contract import LINE_LIMIT_BYTES


class Cut(NamedTuple):
    """What to take from the front of a buffer.

    Attributes:
        data: whole lines, each ending in a newline; maybe none.
        consumed: how many bytes of the buffer they stand for.
        skipping: the last line was cut: what follows `consumed` is the rest of it.
    """

    data: bytes
    consumed: int
    skipping: bool


def cut_lines(buffer: bytes) -> Cut:
    """The whole lines at the front of a buffer, up to and including the first that has to be cut.

    A buffer longer than the limit always gives something.
    """
    end = buffer.rfind(b"\n") + 1
    start = 0
    while start < end:
        newline = buffer.rfind(b"\n", start, start + LINE_LIMIT_BYTES + 1)
        if newline < 0:
            break
        start = newline + 1
    if len(buffer) - start > LINE_LIMIT_BYTES:
        cut_at = start + LINE_LIMIT_BYTES
        return Cut(buffer[:cut_at] + b"\n", cut_at, skipping=True)
    return Cut(buffer[:start], start, skipping=False)


def skip_line(buffer: bytes) -> int | None:
    """How many bytes belong to the line that is being skipped; None when it goes on past the buffer."""
    newline = buffer.find(b"\n")
    return None if newline < 0 else newline + 1
