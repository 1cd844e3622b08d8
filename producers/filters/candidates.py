"""Finds the lines of a buffer that may interest a filter, without looking at each line.

With hyperscan (the extra `fast`) one pass in C finds what the filter's lines begin with; without it, one
`bytes.find` pass finds its program's name. Both give more lines than the filter will take, never fewer.
"""

from __future__ import annotations

from typing import Final, Protocol


class Finder(Protocol):
    """Finds candidate lines."""

    def starts(self, data: bytes) -> list[int]:
        """Where candidate lines start, ascending, each once."""
        ...


class FindFinder:
    """Candidates are the lines that hold a literal."""

    def __init__(self, literal: bytes) -> None:
        self._literal = literal

    def starts(self, data: bytes) -> list[int]:
        """Where the lines that hold the literal start."""
        found: list[int] = []
        find, rfind, literal = data.find, data.rfind, self._literal
        at = find(literal)
        while at >= 0:
            found.append(rfind(b"\n", 0, at) + 1)
            end = find(b"\n", at)
            at = find(literal, end) if end >= 0 else -1
        return found
