"""Tables of plain text that fit the terminal; in a pipe they are as wide as their words.

A column is as wide as its widest cell. Where the terminal is narrower, the widest columns give way, and their
cells go on in further lines, broken between words where they can be. No line ends in blanks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

GAP: Final = 2
NARROWEST: Final = 8
"""No column gives way further; a terminal that is too narrow for that breaks the lines itself."""
PIECES: Final = re.compile(r"\s*\S+")

Style = Callable[[str], str]


class Bad(str):
    """A cell that says something is wrong: red where there are colours."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class TextTable:
    """Rows of cells under a title; cells hold nothing that could steer a terminal."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def lines(table: TextTable, width: int | None, *, bold: Style = str, red: Style = str) -> Iterable[str]:
    """The lines of a table that is to fit a width in cells; None: any.

    `bold`, `red`: how titles and what is wrong are shown.
    """
    natural = _natural(table)
    widths = natural if width is None else _shrunk(natural, width)
    yield bold(table.title)
    yield from _line([str(name) for name in table.columns], widths, lambda text, _: bold(text))
    for row in table.rows:
        if widths is natural and "".join(row).isascii() and not any(isinstance(cell, Bad) for cell in row):
            yield (" " * GAP).join(map(str.ljust, row, widths)).rstrip()
        else:
            yield from _line(row, widths, lambda text, cell: red(text) if isinstance(cell, Bad) else text)


def cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def fold(text: str, width: int) -> list[str]:
    """A text in lines of at most so many cells, between words where they can be broken there."""
    if cells(text) <= width:
        return [text]
    folded = [""]
    for piece in PIECES.findall(text):
        if cells(folded[-1]) + cells(piece) <= width:
            folded[-1] += piece
            continue
        word = piece.lstrip()
        if folded[-1]:
            folded.append("")
        while len(word) > 1 and cells(word) > width:
            folded[-1] = _head(word, width)
            word = word[len(folded[-1]) :]
            folded.append("")
        folded[-1] = word
    return folded


def _head(word: str, width: int) -> str:
    """As much of a word as fits; one character at least."""
    taken = 1
    while cells(word[: taken + 1]) <= width:
        taken += 1
    return word[:taken]


def _natural(table: TextTable) -> list[int]:
    """How wide each column is by itself."""
    widths = [cells(name) for name in table.columns]
    for row in table.rows:
        for nth, cell in enumerate(row):
            if len(cell) > widths[nth] or not cell.isascii():
                widths[nth] = max(widths[nth], cells(cell))
    return widths


def _shrunk(widths: list[int], width: int) -> list[int]:
    """The same where they fit a width; else the widest give way until they do."""
    excess = sum(widths) + GAP * (len(widths) - 1) - width
    if excess <= 0:
        return widths
    widths = list(widths)
    while excess > 0 and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
        excess -= 1
    return widths


def _line(row: Sequence[str], widths: Sequence[int], styled: Callable[[str, str], str]) -> Iterable[str]:
    """A row as one line, or as many as its cells go on in."""
    if all(cells(cell) <= width for cell, width in zip(row, widths, strict=True)):
        yield _joined([(cell, styled(cell, cell)) for cell in row], widths)
        return
    folded = [fold(cell, width) for cell, width in zip(row, widths, strict=True)]
    for nth in range(max(map(len, folded))):
        texts = [(each[nth] if nth < len(each) else "") for each in folded]
        yield _joined([(text, styled(text, cell)) for text, cell in zip(texts, row, strict=True)], widths)


def _joined(texts: Sequence[tuple[str, str]], widths: Sequence[int]) -> str:
    """Cells side by side: each as it is, and as it is shown."""
    last = max((nth for nth, (text, _) in enumerate(texts) if text), default=-1)
    made = ""
    for nth, (text, shown) in enumerate(texts[: last + 1]):
        made += shown
        if nth < last:
            made += " " * (widths[nth] - cells(text) + GAP)
    return made
