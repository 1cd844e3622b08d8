"""What the parse tree of an expression tells about where and with what its matches begin."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

parser: Final[Any] = import_module("re._parser")
op: Final[Any] = import_module("re._constants")
"""What `re` itself reads expressions with; it has no public name."""
MOST_MEMBERS: Final = 128
ZERO_WIDTHS: Final = frozenset({op.AT, op.ASSERT, op.ASSERT_NOT})

Tree = Sequence[tuple[Any, Any]]
Beginnings = tuple["frozenset[str] | None", bool]
"""The characters that matches begin with (None: any), and whether a match may be empty."""


def parsed(source: str, flags: int = 0) -> Tree:
    """The parts of an expression."""
    return list(parser.parse(source, flags))


def is_anchored(source: str, flags: int = 0) -> bool:
    """Whether an expression can match at a text's beginning only."""
    return not flags & re.MULTILINE and _is_anchored(parsed(source, flags & re.MULTILINE))


def _is_anchored(tree: Tree) -> bool:
    for code, argument in tree:
        if code is op.AT:
            if argument in {op.AT_BEGINNING, op.AT_BEGINNING_STRING}:
                return True
        elif code is op.SUBPATTERN:
            return _is_anchored(list(argument[3]))
        elif code is op.BRANCH:
            return all(_is_anchored(list(branch)) for branch in argument[1])
        elif code not in ZERO_WIDTHS:
            return False
    return False


def beginnings(source: str) -> frozenset[str] | None:
    """The characters that the matches of an expression may begin with; None: any, or none at all."""
    tree = parser.parse(source)
    found, empty = _of_sequence(list(tree), tree.state.flags)
    return None if empty else found


def _of_sequence(tree: Tree, flags: int) -> Beginnings:
    found: frozenset[str] = frozenset()
    for code, argument in tree:
        characters, empty = _of_part(code, argument, flags)
        if characters is None:
            return None, False
        found |= characters
        if not empty:
            return found, False
    return found, True


def _of_part(code: Any, argument: Any, flags: int) -> Beginnings:
    if code in ZERO_WIDTHS:
        return frozenset(), True
    if code is op.SUBPATTERN:
        _, added, removed, inner = argument
        return _of_sequence(list(inner), (flags | added) & ~removed)
    if code is op.BRANCH:
        return _of_branches([_of_sequence(list(branch), flags) for branch in argument[1]])
    if code in {op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT}:
        least, _, inner = argument
        characters, empty = _of_sequence(list(inner), flags)
        return characters, empty or least == 0
    if flags & re.IGNORECASE:
        return None, False
    if code is op.LITERAL:
        return frozenset({chr(argument)}), False
    return (_of_set(argument), False) if code is op.IN else (None, False)


def _of_branches(branches: Sequence[Beginnings]) -> Beginnings:
    found: frozenset[str] = frozenset()
    for characters, _ in branches:
        if characters is None:
            return None, False
        found |= characters
    return found, any(empty for _, empty in branches)


def _of_set(members: Tree) -> frozenset[str] | None:
    found: set[str] = set()
    for code, argument in members:
        if code is op.LITERAL:
            found.add(chr(argument))
        elif code is op.RANGE and argument[1] - argument[0] < MOST_MEMBERS:
            found.update(map(chr, range(argument[0], argument[1] + 1)))
        else:
            return None
    return frozenset(found)
