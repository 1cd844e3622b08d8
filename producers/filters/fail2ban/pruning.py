r"""Expressions that give up early: what conditionals ask for is looked for where their groups begin.

In `(?:(?P<one>\S+)|.*?) from \d+(?(one): |$)` a match by way of `one` ends in `: `. A text without it is
tried that way for nothing, in each of the ways there are to read what lies between. So the group looks for it
first: `(?P<one>(?=[\s\S]*: )\S+)`. What the expression matches, and how, stays the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from producers.filters.syntax import op, parser


def pruned(source: str) -> str:
    """An expression whose groups look ahead for what a later conditional needs when they have matched."""
    tree = parser.parse(source)
    names = {number: name for name, number in tree.state.groupdict.items()}
    before: set[int] = set()
    for item in tree:
        code, argument = item
        if code is not op.GROUPREF_EXISTS:
            before.update(_groups([item]))
            continue
        number, wanted, _ = argument
        opening = f"(?P<{names.get(number, '')}>"
        text = _leading(wanted)
        if text and number in before and source.count(opening) == 1:
            source = source.replace(opening, rf"{opening}(?=[\s\S]*{re.escape(text)})")
    return source


def _groups(parts: Iterable[tuple[Any, Any]]) -> Iterator[int]:
    """The groups that a match may go through: none in an assertion or a repeat, or with flags of its own."""
    for code, argument in parts:
        if code is op.SUBPATTERN and not (argument[1] or argument[2]):
            if argument[0] is not None:
                yield argument[0]
            yield from _groups(argument[3])
        elif code is op.BRANCH:
            for branch in argument[1]:
                yield from _groups(branch)


def _leading(parts: Iterable[tuple[Any, Any]]) -> str:
    """The text that a match of these parts begins with, case and all."""
    text = ""
    for code, argument in parts:
        if code is not op.LITERAL:
            break
        text += chr(argument)
    return text
