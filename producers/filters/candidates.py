"""Finds the lines of a buffer that may interest filters, without looking at each line.

With hyperscan (the extra `fast`) one pass in C finds what the filters' messages hold, however many texts that
are; without it, `bytes.find` finds one text, and one expression finds several. All give more lines than the
filters take, never fewer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache, cached_property, lru_cache
from typing import Any, Final, Protocol

from producers.filters.rows import Needle, Needles, contains

hyperscan: Any
try:
    import hyperscan
except ImportError:
    hyperscan = None

CASELESS: Final = 1
"""HS_FLAG_CASELESS."""


class Finder(Protocol):
    """Finds the candidate lines of one filter."""

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
        self._database: Any = _database(expressions, (0,) * len(expressions))

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


class SharedFinder:
    """Finds in one pass the candidates of several filters, each given by its needles.

    A line's mask has the bit of each filter that it may interest. Filters whose needles are None are not
    looked for.
    """

    def __init__(self, needles: Sequence[Needles | None]) -> None:
        self._needles = [(1 << bit, each) for bit, each in enumerate(needles) if each is not None]
        masks: dict[Needle, int] = {}
        for bit, each in self._needles:
            for needle in each:
                masks[needle] = masks.get(needle, 0) | bit
        self._masks = [masks[needle] for needle in sorted(masks)]
        self._texts = tuple(sorted(masks))

    def lines(self, data: bytes) -> dict[int, int]:
        """By where it starts, ascending: the mask of each line that may interest some filter."""
        if not self._texts:
            return {}
        found = self._found_apart(data) if hyperscan is None else self._found_together(data)
        hidden = spelt_out(data)
        if hidden:
            every = sum(bit for bit, _ in self._needles)
            found = dict(sorted({**found, **dict.fromkeys(hidden, every)}.items()))
        return found

    def _found_together(self, data: bytes) -> dict[int, int]:
        ends: list[int] = []
        numbers: list[int] = []
        add_end, add_number, rfind = ends.append, numbers.append, data.rfind

        def on_match(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            add_end(end)
            if several:
                add_number(number)

        several = len(self._needles) > 1
        self._database.scan(data, match_event_handler=on_match)
        starts = [rfind(b"\n", 0, end - 1) + 1 for end in ends]
        if not several:
            return dict.fromkeys(starts, self._masks[0])
        found: dict[int, int] = {}
        masks = self._masks
        for start, number in zip(starts, numbers, strict=True):
            found[start] = found.get(start, 0) | masks[number]
        return found

    def _found_apart(self, data: bytes) -> dict[int, int]:
        """One expression finds a line, then each filter's needles are looked for in it."""
        found: dict[int, int] = {}
        search, at = self._expression.search, 0
        while (hit := search(data, at)) is not None:
            start = data.rfind(b"\n", 0, hit.start()) + 1
            at = data.find(b"\n", hit.end()) + 1 or len(data)
            line = data[start:at]
            found[start] = sum(bit for bit, needles in self._needles if contains(line, needles))
        return found

    @cached_property
    def _database(self) -> Any:
        flags = tuple(CASELESS * each.caseless for each in self._texts)
        return _database(tuple(re.escape(each.text) for each in self._texts), flags)

    @cached_property
    def _expression(self) -> re.Pattern[bytes]:
        texts = (
            b"(?i:%s)" % re.escape(text) if caseless else re.escape(text) for text, caseless in self._texts
        )
        return re.compile(b"|".join(texts))


def line_starts(data: bytes) -> Iterator[int]:
    """Where each line starts."""
    start = 0
    while start < len(data):
        yield start
        start = data.find(b"\n", start) + 1 or len(data)


BYTES: Final = LiteralFinder(b'"MESSAGE":[')


def spelt_out(data: bytes) -> list[int]:
    """Where entries of the journal start whose message hides what it holds: they may interest every filter.

    `journalctl -o json` writes a message as a list of bytes when it has one that is no printable UTF-8: a
    client may see to that.
    """
    return BYTES.starts(data) if data.startswith(b"{") else []


@lru_cache(maxsize=64)
def finder_of(needles: tuple[Needles | None, ...]) -> SharedFinder:
    """The finder of some filters, made once."""
    return SharedFinder(needles)


def fastest_finder(expressions: tuple[bytes, ...], literal: bytes) -> Finder:
    """A finder by hyperscan where it can be imported, else by the literal."""
    return LiteralFinder(literal) if hyperscan is None else HyperscanFinder(expressions)


@cache
def _database(expressions: tuple[bytes, ...], flags: tuple[int, ...]) -> Any:
    database = hyperscan.Database()
    database.compile(expressions=expressions, ids=list(range(len(expressions))), flags=list(flags))
    return database
