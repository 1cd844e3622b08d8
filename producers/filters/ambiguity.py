r"""Can an expression take exponentially long? It is looked at for loops that read a text in two ways.

An expression becomes an automaton of its characters' positions (Glushkov's). Where one text leads from a
position back to itself along two different ways, a backtracking engine tries both at every turn: each
character more doubles the time (Weideman, van der Merwe, Berglund, Watson: Analyzing Matching Time Behavior
of Backtracking Regular Expression Matchers by Using Ambiguity of NFA, 2016).

| expression | two ways? |
|---|---|
| `a+b+` | no |
| `(a+)+` | yes: `aa` is one turn of the outer loop, or two |
| `(a|a)*`, `(a|ab?)*b`, `(\w+\s?)*` | yes |
| `(\w+\s)*` | no |

Assertions are taken to hold, atomic groups and possessive repeats to give back: what is called harmless is
harmless, what is not may be. What takes long without doubling (`.*.*.*`) is left to
`producers.filters.bounds`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from producers.filters import syntax
from producers.filters.syntax import Part, Parts, Repeat, character, parse

WRITTEN_OUT: Final = 3
"""A repeat of at most this many is that many copies; of more, a loop."""
MOST_POSITIONS: Final = 20_000
MOST_PAIRS: Final = 400_000
LETTERS: Final = (*map(chr, range(128)), "\xe9", "\u2003", "\u2013")
"""All of ASCII; a letter, a blank and a sign that stand for all beyond it."""
PRINTABLE: Final = 0x21

Edges = dict[int, set[int]]


class TooLarge(Exception):  # noqa: N818 - said of an expression
    """There is more of it than can be looked at."""


@dataclass(slots=True)
class _Ends:
    """What is known of a part: the positions it may begin and end with, and whether it may be empty."""

    first: frozenset[int]
    last: frozenset[int]
    empty: bool


NOTHING: Final = _Ends(frozenset(), frozenset(), empty=True)


def ambiguous(expression: str | bytes, flags: int = 0) -> str | None:
    """A text that a loop of the expression reads in two ways; None when no loop does.

    Raises re.error for what is no expression, TooLarge for what cannot be looked at.
    """
    automaton = _Automaton(expression)
    tree = parse(expression, flags)
    automaton.sequence(tree.parts, tree.flags)
    return automaton.doubled()


class _Automaton:
    """Positions, the characters of each (a bit mask), and which may follow which."""

    def __init__(self, expression: str | bytes) -> None:
        self._masks: list[int] = []
        self._follows: Edges = {}
        self._twice: set[tuple[int, int]] = set()
        self._cache: dict[tuple[syntax.Character, int], int] = {}
        self._bytes = isinstance(expression, bytes)
        self._turns = 0
        self._idle = False

    def sequence(self, parts: Parts, flags: int) -> _Ends:
        """Parts after each other."""
        whole = NOTHING
        for each in parts:
            whole = self._then(whole, self._part(each, flags))
        return whole

    def doubled(self) -> str | None:
        """A text that leads from a position back to it along two ways."""
        if self._idle:
            return ""
        for group in _loops(self._follows):
            inside = set(group)
            for one, other in self._twice:
                if one in inside and other in inside:
                    return self._text(self._masks[other])
            found = self._pair(inside)
            if found is not None:
                return found
        return None

    def _part(self, part: Part, flags: int) -> _Ends:  # noqa: PLR0911 - one for each kind of part
        match part:
            case syntax.Anchor() | syntax.Assertion() | syntax.Never() | syntax.Reference():
                return NOTHING
            case syntax.Group(_, added, removed, parts):
                return self.sequence(parts, (flags | added) & ~removed)
            case syntax.Choice(branches):
                return self._either([self.sequence(each, flags) for each in branches])
            case syntax.Conditional(_, wanted, otherwise):
                return self._either([self.sequence(each, flags) for each in (wanted, otherwise)])
            case Repeat():
                return self._repeat(part, flags)
            case syntax.Atomic(parts):
                return self.sequence(parts, flags)
            case syntax.Literal() | syntax.Characters() | syntax.Anything():
                return self._character(part, flags)

    def _then(self, whole: _Ends, part: _Ends, *, optional: bool = False) -> _Ends:
        """A part after what has been read; `optional`: it need not be there."""
        self._join(whole.last, part.first)
        optional = optional or part.empty
        return _Ends(
            whole.first | part.first if whole.empty else whole.first,
            whole.last | part.last if optional else part.last,
            empty=whole.empty and optional,
        )

    def _either(self, parts: list[_Ends]) -> _Ends:
        if sum(each.empty for each in parts) > 1 and self._turns:
            self._idle = True
        return _Ends(
            frozenset().union(*(each.first for each in parts)),
            frozenset().union(*(each.last for each in parts)),
            empty=any(each.empty for each in parts),
        )

    def _repeat(self, repeat: Repeat, flags: int) -> _Ends:
        endless = repeat.most > WRITTEN_OUT
        self._turns += endless
        whole = NOTHING
        for number in range(1 if endless else repeat.most):
            part = self.sequence(repeat.parts, flags)
            whole = self._then(whole, part, optional=number >= repeat.least)
        if endless:
            self._turns -= 1
            self._join(whole.last, whole.first)
        return whole

    def _character(self, part: syntax.Character, flags: int) -> _Ends:
        if len(self._masks) >= MOST_POSITIONS:
            raise TooLarge
        position = len(self._masks)
        self._masks.append(self._mask(part, flags))
        return _Ends(frozenset({position}), frozenset({position}), empty=False)

    def _mask(self, part: syntax.Character, flags: int) -> int:
        key = part, flags
        if key not in self._cache:
            mode = flags & (re.IGNORECASE | re.DOTALL | re.ASCII) | (re.ASCII if self._bytes else 0)
            matches = character(part, mode).fullmatch
            self._cache[key] = sum(1 << bit for bit, letter in enumerate(LETTERS) if matches(letter))
        return self._cache[key]

    def _join(self, ends: frozenset[int], begins: frozenset[int]) -> None:
        for end in ends:
            follows = self._follows.setdefault(end, set())
            for begin in begins:
                if begin in follows:
                    self._twice.add((end, begin))
                follows.add(begin)

    def _pair(self, inside: set[int]) -> str | None:
        """Two positions of one loop that a text reaches from one position, and leaves to one position."""
        edges: dict[tuple[int, int], set[tuple[int, int]]] = {}
        waiting = [(each, each) for each in inside]
        while waiting:
            pair = waiting.pop()
            if pair in edges:
                continue
            if len(edges) > MOST_PAIRS:
                raise TooLarge
            edges[pair] = {
                (one, other)
                for one in self._follows.get(pair[0], ())
                if one in inside
                for other in self._follows.get(pair[1], ())
                if other in inside and self._masks[one] & self._masks[other]
            }
            waiting += edges[pair]
        for group in _loops(edges):
            if any(one == other for one, other in group):
                split = next(((one, other) for one, other in group if one != other), None)
                if split is not None:
                    return self._text(self._masks[split[0]] & self._masks[split[1]])
        return None

    def _text(self, mask: int) -> str:
        """Two of a character of a mask, a letter where there is one."""
        order = (*map(ord, "a1A/"), *range(PRINTABLE, len(LETTERS)), *range(PRINTABLE))
        return str(LETTERS[next(bit for bit in order if mask >> bit & 1)]) * 2


def _loops(edges: Mapping[Any, set[Any]]) -> list[list[Any]]:  # noqa: C901 - one loop, as Tarjan has it
    """The strongly connected components that hold a loop (Tarjan's algorithm, without recursion)."""
    order: dict[Any, int] = {}
    low: dict[Any, int] = {}
    stack: dict[Any, None] = {}
    found: list[list[Any]] = []
    work: list[tuple[Any, Iterator[Any]]] = []
    for root in edges:
        waiting = [root]
        while waiting or work:
            if waiting and waiting[-1] not in order:
                node = waiting.pop()
                order[node] = low[node] = len(order)
                stack[node] = None
                work.append((node, iter(edges.get(node, ()))))
            waiting.clear()
            if not work:
                break
            node, following = work[-1]
            for child in following:
                if child not in order:
                    waiting.append(child)
                    break
                if child in stack:
                    low[node] = min(low[node], order[child])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    found += _component(node, stack, edges)
    return found


def _component(node: Any, stack: dict[Any, None], edges: Mapping[Any, set[Any]]) -> list[list[Any]]:
    group: list[Any] = []
    while not group or group[-1] != node:
        group.append(stack.popitem()[0])
    return [group] if len(group) > 1 or node in edges.get(node, ()) else []
