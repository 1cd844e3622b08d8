"""What the parse tree of an expression tells about where and with what its matches begin."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from producers.filters.syntax import CATEGORIES, CHARACTERS, REPEATS, ZERO_WIDTHS, op, parser

MOST_MEMBERS: Final = 128

Tree = Sequence[tuple[Any, Any]]
Beginnings = tuple["frozenset[str] | None", bool]
"""The characters that matches begin with (None: any), and whether a match may be empty."""


def parsed(source: str, flags: int = 0) -> Tree:
    """The parts of an expression."""
    return list(parser.parse(source, flags))


def unfolded(tree: Tree, groups: dict[int, Tree] | None = None) -> Tree:
    """The parts of an expression that matches no less, with each group in the place of references to it."""
    known: dict[int, Tree] = {} if groups is None else groups
    found: list[tuple[Any, Any]] = []
    for code, argument in tree:
        if code is op.SUBPATTERN:
            group, added, removed, inner = argument
            inner = unfolded(list(inner), known)
            if group is not None:
                known[group] = inner
            found.append((code, (group, added, removed, inner)))
        elif code is op.BRANCH:
            found.append((code, (None, [unfolded(list(branch), known) for branch in argument[1]])))
        elif code in REPEATS:
            found.append((code, (*argument[:2], unfolded(list(argument[2]), known))))
        elif code is op.GROUPREF and argument in known:
            found.append((op.SUBPATTERN, (None, 0, 0, known[argument])))
        else:
            found.append((code, argument))
    return found


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
    if code in REPEATS:
        least, _, inner = argument
        characters, empty = _of_sequence(list(inner), flags)
        return characters, empty or least == 0
    members = argument if code is op.IN else [(code, argument)]
    return None if flags & re.IGNORECASE else _of_set(members), False


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


def derived(tree: Tree, text: str) -> list[Tree]:
    """What is left of an expression's paths that begin with a text; none: no match begins with it.

    Case does not count, and of what `re` knows besides characters, sets, groups and repeats any text is taken
    to be a match: there may be a path where there is none, never the reverse.
    """
    states: dict[str, Tree] = {"": tree}
    for character in text:
        states = {repr(left): left for state in states.values() for left in _after(state, character)}
    return list(states.values())


def _after(tree: Tree, character: str) -> list[Tree]:
    found: list[Tree] = []
    for at, (code, argument) in enumerate(tree):
        rest = list(tree[at + 1 :])
        found += ([*left, *rest] for left in _after_part(code, argument, character))
        if not _of_part(code, argument, 0)[1]:
            break
    return found


def _after_part(code: Any, argument: Any, character: str) -> list[Tree]:
    if code is op.SUBPATTERN:
        return _after(list(argument[3]), character)
    if code is op.BRANCH:
        return [left for branch in argument[1] for left in _after(list(branch), character)]
    if code in REPEATS:
        least, most, inner = argument
        again = [(code, (max(least - 1, 0), most - 1, inner))] if most > 1 else []
        return [[*left, *again] for left in _after(list(inner), character)]
    if code in ZERO_WIDTHS:
        return []
    if code in CHARACTERS:
        members = argument if code is op.IN else [(code, argument)]
        return [[]] if any(_takes(members, each) for each in (character.lower(), character.upper())) else []
    return [[(code, argument)], []]


def _takes(members: Tree, character: str) -> bool:
    negated = members[0][0] is op.NEGATE
    taken = any(_is_member(code, argument, character) for code, argument in members[negated:])
    return taken is not negated


def _is_member(code: Any, argument: Any, character: str) -> bool:
    if code is op.LITERAL:
        return chr(argument) == character
    if code in {op.ANY, op.NOT_LITERAL}:
        return True
    if code is op.RANGE:
        return bool(argument[0] <= ord(character) <= argument[1])
    return re.match(CATEGORIES[argument], character) is not None
