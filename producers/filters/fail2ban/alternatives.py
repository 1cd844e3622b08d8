"""Several expressions as one: which of them matches first, in the order in which they are listed.

Expressions that can match at a text's beginning only become the branches of one expression, each with a group
of nothing at its end that tells it: `re` then tries in C what would be a call each. Of these there is one for
each character that a text may begin with, of the expressions that may match such a text. The others are tried
one by one, and only where a text holds what every match of theirs holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from producers.filters.bounds import compiled
from producers.filters.fail2ban.expressions import Expression
from producers.filters.fail2ban.pruning import pruned
from producers.filters.fail2ban.trees import beginnings, is_anchored
from producers.filters.literals import contains, required_literals

PIECE: Final = re.compile(
    r"(?P<escape>\\(?:[1-9]|.))|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])"
    r"|(?P<named>\(\?P[<=]|\(\?\()(?P<name>\w+)|(?P<flags>\(\?[a-z]+\))",
    re.DOTALL,
)
MERGED_FLAGS: Final = frozenset("isu")
MOST_BEGINNINGS: Final = 512

NEVER: Final = r"(?!)"

Values = tuple["str | None", ...]
"""What an expression's groups hold, in the order of its `names`; two more follow."""
Match = Callable[[str], "re.Match[str] | None"]
Numbers = dict["int | None", tuple[int, tuple[int, ...]]]
"""By the group at its end: an expression's number, and its groups."""
First = Callable[[str], "tuple[int, Values] | None"]
"""Gives the number of the first expression that matches a text, and what its groups hold."""


def first_of(expressions: Sequence[Expression]) -> First:
    """A function that finds the first expression that matches a text."""
    if all(is_anchored(each.source, each.pattern.flags) for each in expressions):
        branches = [_as_branch(at, each) for at, each in enumerate(expressions)]
        known = [each for each in branches if each is not None]
        if len(known) == len(expressions):
            return Merged(expressions, known).find
    return OneByOne(expressions).find


class Merged:
    """Anchored expressions, as one expression for each character that texts begin with."""

    __slots__ = ("_beginnings", "_branches", "_by_character", "_expressions")

    def __init__(self, expressions: Sequence[Expression], branches: Sequence[str]) -> None:
        self._expressions = expressions
        self._branches = branches
        self._beginnings = [beginnings(each.source) for each in expressions]
        self._by_character: dict[str, tuple[Match, Numbers]] = {}

    def find(self, text: str) -> tuple[int, Values] | None:
        """The first that matches a text."""
        character = text[:1]
        match_of, numbers = self._by_character.get(character) or self._learn(character)
        match = match_of(text)
        if match is None:
            return None
        at, indices = numbers[match.lastindex]
        return at, match.group(*indices)

    def _learn(self, character: str) -> tuple[Match, Numbers]:
        chosen = [
            at
            for at, known in enumerate(self._beginnings)
            if known is None or not character or character in known
        ]
        if len(self._by_character) >= MOST_BEGINNINGS:
            self._by_character.clear()
        learnt = self._by_character[character] = self._merged(chosen)
        return learnt

    def _merged(self, chosen: Sequence[int]) -> tuple[Match, Numbers]:
        merged = "|".join(f"{self._branches[at]}()" for at in chosen)
        numbers: Numbers = {}
        before = 0
        for at in chosen:
            expression = self._expressions[at]
            marker = before + expression.pattern.groups + 1
            numbers[marker] = (at, (*(before + index for index in expression.indices), marker, marker))
            before = marker
        return compiled(merged or NEVER).match, numbers


class OneByOne:
    """Expressions, each tried where it may match."""

    __slots__ = ("_listed", "_needy")

    def __init__(self, expressions: Sequence[Expression]) -> None:
        self._listed = [
            (
                at,
                each.searcher,
                (*each.indices, 0, 0),
                required_literals(each.source, each.pattern.flags & re.MULTILINE),
            )
            for at, each in enumerate(expressions)
        ]
        self._needy = any(needles is not None for *_, needles in self._listed)

    def find(self, text: str) -> tuple[int, Values] | None:
        """The first that matches a text."""
        data = text.encode() if self._needy else b""
        for at, search, indices, needles in self._listed:
            if needles is not None and not contains(data, needles):
                continue
            match = search(text)
            if match is not None:
                return at, match.group(*indices)
        return None


def _as_branch(at: int, expression: Expression) -> str | None:
    """An expression as a branch, its groups named apart from those of others; None when it cannot be one."""
    source, flags = pruned(expression.source), ""
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
