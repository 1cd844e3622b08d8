"""The parts of an expression, as `re` itself reads them; it has no public name for its parser."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

parser: Final[Any] = import_module("re._parser")
op: Final[Any] = import_module("re._constants")
REPEATS: Final = frozenset({op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT})
ZERO_WIDTHS: Final = frozenset({op.AT, op.ASSERT, op.ASSERT_NOT, op.FAILURE})
"""FAILURE is how `(?!)` is read since Python 3.12."""
CHARACTERS: Final = frozenset({op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN})
CATEGORIES: Final[dict[Any, str]] = {
    op.CATEGORY_DIGIT: r"\d",
    op.CATEGORY_NOT_DIGIT: r"\D",
    op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S",
    op.CATEGORY_WORD: r"\w",
    op.CATEGORY_NOT_WORD: r"\W",
}


def character(code: Any, argument: Any, flags: int) -> re.Pattern[str]:
    """The expression of one part that is a character or a class of them (CHARACTERS)."""
    return _compiled(_source(code, argument), flags)


@lru_cache(maxsize=4_096)
def _compiled(source: str, flags: int) -> re.Pattern[str]:
    return re.compile(source, flags)


def _source(code: Any, argument: Any) -> str:
    if code is op.ANY:
        return "."
    if code in {op.LITERAL, op.NOT_LITERAL}:
        return f"[{'^' * (code is op.NOT_LITERAL)}{_letter(argument)}]"
    negated = argument[0][0] is op.NEGATE
    members = argument[negated:]
    return f"[{'^' * negated}{''.join(_member(kind, value) for kind, value in members)}]"


def _member(kind: Any, value: Any) -> str:
    if kind is op.CATEGORY:
        return CATEGORIES[value]
    return f"{_letter(value[0])}-{_letter(value[1])}" if kind is op.RANGE else _letter(value)


def _letter(number: int) -> str:
    return f"\\U{number:08x}"
