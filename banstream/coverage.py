"""What no filter took, grouped by shape: lines that differ in names, numbers and addresses alone are one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MOST_SHAPES: Final = 10_000
"""Of more, the rest are counted together."""
LONGEST: Final = 1_000
"""Characters of a line that make its shape: some of the expressions take the square of a line's length."""
OTHERS: Final = "(other shapes)"
PARTS: Final = (
    (re.compile(r'"(?:[^"\\]|\\.)*"'), '"..."'),
    (re.compile(r"'[^']*'"), "'...'"),
    (re.compile(r"(?:\b|(?<=\dT))\d{1,2}:\d\d:\d\d(?:[.,]\d+)?"), "<time>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:[\da-fA-F]{1,4}:){2,7}[\da-fA-F:]*"), "<ip>"),
    (
        re.compile(r"\b[\da-fA-F]{8}(?:-[\da-fA-F]{4}){3}-[\da-fA-F]{12}\b|\b(?=\w*\d)[\da-fA-F]{8,}\b"),
        "<hex>",
    ),
    (re.compile(r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b +\d+"), "<date>"),
    (re.compile(r"[\w.+-]+@[\w.-]+\.\w+"), "<mail>"),
    (re.compile(r"\d+"), "<n>"),
)


@dataclass(slots=True)
class LineShape:
    """A shape of lines: how many have it, and the first of them."""

    shape: str
    count: int
    line: int
    example: str


class Coverage:
    """Counts the shapes of lines."""

    def __init__(self) -> None:
        self._shapes: dict[str, LineShape] = {}

    def add(self, lines: Iterable[tuple[int, bytes]]) -> None:
        """Lines that no filter took, with their numbers."""
        for number, raw in lines:
            text = raw.decode("utf-8", "replace")
            shape = shape_of(text)
            if shape not in self._shapes and len(self._shapes) >= MOST_SHAPES:
                shape = OTHERS
            known = self._shapes.setdefault(shape, LineShape(shape, 0, number, text))
            known.count += 1

    def most(self) -> list[LineShape]:
        """The shapes, those of most lines first."""
        return sorted(self._shapes.values(), key=lambda each: (-each.count, each.line))


def shape_of(text: str) -> str:
    """A line's first 1,000 characters, without what differs from one line to the next."""
    text = text[:LONGEST]
    for expression, name in PARTS:
        text = expression.sub(name, text)
    return text
