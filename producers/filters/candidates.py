"""Finds the lines of a buffer that may interest a filter, without looking at each line.

With hyperscan (the extra `fast`) one pass in C finds what the filter's messages begin with; without it, one
`bytes.find` pass finds its program's name. Both give more lines than the filter takes, never fewer.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

hyperscan: Any
try:
    import hyperscan
except ImportError:
    hyperscan = None


class Finder(Protocol):
    """Finds candidate lines. Filters that share a source may share one, given all their expressions."""

    def starts(self, data: bytes) -> list[int]:
        """Where candidate lines start, ascending, each once."""
        ...


class LiteralFinder:
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


class HyperscanFinder:
    """Candidates are the lines that hold a match of any of several expressions, in hyperscan's syntax."""

    def __init__(self, expressions: tuple[bytes, ...]) -> None:
        self._database: Any = _database(expressions)

    def starts(self, data: bytes) -> list[int]:
        """Where the lines that hold a match start."""
        ends: list[int] = []
        append = ends.append

        def on_match(_id: int, _start: int, end: int, _flags: int, _context: object) -> None:
            append(end)

        self._database.scan(data, match_event_handler=on_match)
        rfind = data.rfind
        # A match ends within its line, so that its last byte belongs to it. Hits come in ascending order.
        return list(dict.fromkeys([rfind(b"\n", 0, end - 1) + 1 for end in ends]))


def fastest_finder(expressions: tuple[bytes, ...], literal: bytes) -> Finder:
    """A finder by hyperscan where it can be imported, else by the literal."""
    return LiteralFinder(literal) if hyperscan is None else HyperscanFinder(expressions)


@cache
def _database(expressions: tuple[bytes, ...]) -> Any:
    database = hyperscan.Database()
    database.compile(expressions=expressions, flags=[0] * len(expressions))
    return database
