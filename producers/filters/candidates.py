"""Finds the lines of a buffer that may interest filters, without looking at each line.

With hyperscan (the extra `fast`) one pass in C finds what the filters' messages hold, however many texts that
are; without it, `bytes.find` finds one text, and one expression finds several. All give more lines than the
filters take, never fewer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache, cached_property, lru_cache
from typing import Any, Final

from producers.filters.headers import ESCAPES, without_colours
from producers.filters.rows import Needle, Needles, contains

hyperscan: Any
try:
    import hyperscan
except ImportError:
    hyperscan = None

CASELESS: Final = 1
"""HS_FLAG_CASELESS."""
SPELT_OUT: Final = (Needle(b'"MESSAGE":['), Needle(b'"MESSAGE" : ['))
"""`journalctl -o json` writes a message as a list of bytes when it has one that is no printable UTF-8: a
client may see to that. Such a line may interest every filter."""
COLOURED: Final = frozenset(map(Needle, ESCAPES))
"""Of these lines, what they hold without their colours counts."""


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
        every = sum(bit for bit, _ in self._needles)
        self._coloured = 1 << len(needles)
        masks |= dict.fromkeys(COLOURED, self._coloured) | dict.fromkeys(SPELT_OUT, every) if every else {}
        self._masks = [masks[needle] for needle in sorted(masks)]
        self._texts = tuple(sorted(masks))

    def lines(self, data: bytes) -> dict[int, int]:
        """By where it starts, ascending: the mask of each line that may interest some filter."""
        if not self._texts:
            return {}
        return self._found_apart(data) if hyperscan is None else self._found_together(data)

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
            return dict.fromkeys(starts, self._needles[0][0])
        found: dict[int, int] = {}
        masks, coloured = self._masks, self._coloured
        for start, number in zip(starts, numbers, strict=True):
            found[start] = found.get(start, 0) | masks[number]
        for start, mask in found.items():
            if mask & coloured:
                found[start] = mask ^ coloured | self._mask_of(
                    data[start : data.find(b"\n", start) + 1 or len(data)]
                )
        return found

    def _found_apart(self, data: bytes) -> dict[int, int]:
        """One expression finds a line, then each filter's needles are looked for in it."""
        found: dict[int, int] = {}
        search, at = self._expression.search, 0
        while (hit := search(data, at)) is not None:
            start = data.rfind(b"\n", 0, hit.start()) + 1
            at = data.find(b"\n", hit.end()) + 1 or len(data)
            found[start] = self._mask_of(data[start:at])
        return found

    def _mask_of(self, line: bytes) -> int:
        """The mask of one line, as it is without its colours."""
        if any(text in line for text, _ in SPELT_OUT):
            return sum(bit for bit, _ in self._needles)
        plain = without_colours(line)
        return sum(bit for bit, needles in self._needles if contains(plain, needles))

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


@lru_cache(maxsize=64)
def finder_of(needles: tuple[Needles | None, ...]) -> SharedFinder:
    """The finder of some filters, made once."""
    return SharedFinder(needles)


@cache
def _database(expressions: tuple[bytes, ...], flags: tuple[int, ...]) -> Any:
    database = hyperscan.Database()
    database.compile(expressions=expressions, ids=list(range(len(expressions))), flags=list(flags))
    return database
