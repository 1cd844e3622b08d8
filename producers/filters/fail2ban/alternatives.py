"""Several expressions as one: which of them matches first, in the order in which they are listed.

Expressions that can match at a text's beginning only become the branches of one expression, each with a group
of nothing at its end that tells it: `re` then tries in C what would be a call each. The others are tried one
by one, and only where a text holds what every match of theirs holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

from producers.filters.fail2ban.expressions import Expression
from producers.filters.literals import contains, required_literals

parser: Final[Any] = import_module("re._parser")
op: Final[Any] = import_module("re._constants")
"""What `re` itself reads expressions with; it has no public name."""
PIECE: Final = re.compile(
    r"(?P<escape>\\(?:[1-9]|.))|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])"
    r"|(?P<named>\(\?P[<=]|\(\?\()(?P<name>\w+)|(?P<flags>\(\?[a-z]+\))",
    re.DOTALL,
)
MERGED_FLAGS: Final = frozenset("isu")

Found = tuple[int, Sequence["str | Any"]]
First = Callable[[str], "tuple[int, tuple[str | None, ...]] | None"]


def is_anchored(expression: Expression) -> bool:
    """Whether it can match at a text's beginning only."""
    if expression.pattern.flags & re.MULTILINE:
        return False
    tree = list(parser.parse(expression.source, expression.pattern.flags & re.MULTILINE))
    return _begins(tree)


def _begins(tree: Sequence[tuple[Any, Any]]) -> bool:
    for code, argument in tree:
        if code is op.AT:
            if argument in (op.AT_BEGINNING, op.AT_BEGINNING_STRING):
                return True
        elif code is op.SUBPATTERN:
            return _begins(list(argument[3]))
        elif code is op.BRANCH:
            return all(_begins(list(branch)) for branch in argument[1])
        elif code not in (op.ASSERT, op.ASSERT_NOT):
            return False
    return False


def first_of(expressions: Sequence[Expression]) -> First:
    """A function that gives the first expression that matches a text, and what its groups hold."""
    if all(is_anchored(each) for each in expressions):
        merged = [_as_branch(at, each) for at, each in enumerate(expressions)]
        branches = [each for each in merged if each is not None]
        if len(branches) == len(expressions):
            return _merged(expressions, branches)
    return _one_by_one(expressions)


def _merged(expressions: Sequence[Expression], branches: Sequence[str]) -> First:
    whole = re.compile("|".join(f"{branch}()" for branch in branches))
    numbers: dict[int, tuple[int, tuple[int, ...]]] = {}
    before = 0
    for at, each in enumerate(expressions):
        marker = before + each.pattern.groups + 1
        numbers[marker] = (at, (0, *(before + index for index in each.indices)))
        before = marker
    match_of = whole.match

    def first(text: str) -> tuple[int, tuple[str | None, ...]] | None:
        match = match_of(text)
        if match is None:
            return None
        at, indices = numbers[match.lastindex or 0]
        return at, match.group(*indices, 0)[1:-1]

    return first


def _one_by_one(expressions: Sequence[Expression]) -> First:
    listed = [
        (
            at,
            each.pattern.match if is_anchored(each) else each.pattern.search,
            (0, *each.indices, 0),
            required_literals(each.source, each.pattern.flags & re.MULTILINE),
        )
        for at, each in enumerate(expressions)
    ]
    needy = any(needles is not None for *_, needles in listed)

    def first(text: str) -> tuple[int, tuple[str | None, ...]] | None:
        data = text.encode() if needy else b""
        for at, search, indices, needles in listed:
            if needles is not None and not contains(data, needles):
                continue
            match = search(text)
            if match is not None:
                return at, match.group(*indices)[1:-1]
        return None

    return first


def _as_branch(at: int, expression: Expression) -> str | None:
    """An expression as a branch, its groups named apart from those of others; None when it cannot be one."""
    source, flags = expression.source, ""
    opening = re.match(r"\(\?([a-z]+)\)", source)
    if opening is not None:
        source, flags = source[opening.end() :], opening[1].replace("u", "")
    if not MERGED_FLAGS.issuperset(flags):
        return None
    pieces: list[str] = []
    done = 0
    for piece in PIECE.finditer(source):
        if piece["flags"] or (piece["escape"] or "")[1:].isdigit() or (piece["name"] or "").isdigit():
            return None
        if piece["name"]:
            pieces += (source[done : piece.end()], f"_{at}_")
            done = piece.end()
    return f"(?{flags}:{''.join(pieces)}{source[done:]})"
