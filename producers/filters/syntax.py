r"""The parts of an expression as a small tree of our own.

`re` has no public name for its parser. This module alone knows the private one, and what it calls things, so
that a new Python which reads expressions otherwise is a matter of this file.

| part | written |
|---|---|
| `Literal`, `Characters`, `Anything` | `a`, `[^a-z\d]`, `.` |
| `Group`, `Atomic`, `Choice`, `Repeat` | `(a)`, `(?>a)`, `a|b`, `a{2,5}` |
| `Anchor`, `Assertion`, `Never` | `^`, `(?=a)`, `(?!)` |
| `Reference`, `Conditional` | `(?P=name)`, `(?(name)a|b)` |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

_parser: Final[Any] = import_module("re._parser")
_op: Final[Any] = import_module("re._constants")


@dataclass(frozen=True, slots=True)
class Literal:
    """One character, by its number."""

    number: int


@dataclass(frozen=True, slots=True)
class Span:
    """A range of characters within a class, both ends included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Category:
    r"""A kind of characters within a class, as it is written: `\d`."""

    source: str


@dataclass(frozen=True, slots=True)
class Characters:
    """One character of a class, or one that is not of it."""

    members: tuple[Literal | Span | Category, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Anything:
    """One character: any, but for a newline where DOTALL is not set."""


@dataclass(frozen=True, slots=True)
class Group:
    """Parts in brackets. `number`: where they are captured; `added`, `removed`: flags of their own."""

    number: int | None
    added: int
    removed: int
    parts: Parts


@dataclass(frozen=True, slots=True)
class Atomic:
    """Parts that give nothing back."""

    parts: Parts


@dataclass(frozen=True, slots=True)
class Choice:
    """Alternatives."""

    branches: tuple[Parts, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Parts that may come several times, greedy, lazy or possessive. `most` UNLIMITED: without an end."""

    least: int
    most: int
    parts: Parts


@dataclass(frozen=True, slots=True)
class Anchor:
    r"""A place, as it is written: `^`, `\A`, `$`, `\Z`, `\b`, `\B`."""

    source: str


@dataclass(frozen=True, slots=True)
class Assertion:
    """What has to be ahead, or behind; or must not be."""

    parts: Parts
    ahead: bool
    negative: bool


@dataclass(frozen=True, slots=True)
class Never:
    """What matches nothing at all."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a group captured, once more."""

    number: int


@dataclass(frozen=True, slots=True)
class Conditional:
    """One thing where a group has captured, else the other."""

    number: int
    wanted: Parts
    otherwise: Parts


Character = Literal | Characters | Anything
"""A part that is one character."""
ZeroWidth = Anchor | Assertion | Never
"""A part that takes no character."""
Part = Character | ZeroWidth | Group | Atomic | Choice | Repeat | Reference | Conditional
Parts = tuple[Part, ...]
UNLIMITED: Final = int(_op.MAXREPEAT)


@dataclass(frozen=True, slots=True)
class Tree:
    """An expression: its parts, the flags that hold for all of them, and its groups' numbers by name."""

    parts: Parts
    flags: int
    names: Mapping[str, int]


@lru_cache(maxsize=8)
def parse(source: str | bytes, flags: int = 0) -> Tree:
    """The tree of an expression as `re` reads it. Raises re.error for what is none."""
    found = _parser.parse(source, flags)
    return Tree(_parts(found), int(found.state.flags), found.state.groupdict)


def within(part: Part) -> tuple[Parts, ...]:
    """The sequences of parts that a part may match by, each by itself; none within an assertion."""
    if isinstance(part, Choice):
        return part.branches
    return (part.parts,) if isinstance(part, Group | Atomic | Repeat) else ()


def character(part: Character, flags: int) -> re.Pattern[str]:
    """The expression of one part that is a character."""
    return _compiled(_source(part), flags)


@lru_cache(maxsize=4_096)
def _compiled(source: str, flags: int) -> re.Pattern[str]:
    return re.compile(source, flags)


def _source(part: Character) -> str:
    if isinstance(part, Anything):
        return "."
    members, negated = ((part,), False) if isinstance(part, Literal) else (part.members, part.negated)
    return f"[{'^' * negated}{''.join(map(_written, members))}]"


def _written(member: Literal | Span | Category) -> str:
    if isinstance(member, Category):
        return member.source
    ends = (member.number,) if isinstance(member, Literal) else (member.first, member.last)
    return "-".join(f"\\U{number:08x}" for number in ends)


def _parts(found: Iterable[tuple[Any, Any]] | None) -> Parts:
    return tuple([_READERS[code](argument) for code, argument in found or ()])


def _characters(members: list[tuple[Any, Any]]) -> Characters:
    negated = members[0][0] is _op.NEGATE
    return Characters(tuple(_MEMBERS[code](argument) for code, argument in members[negated:]), negated)


def _group(argument: tuple[int | None, int, int, Any]) -> Group:
    number, added, removed, inner = argument
    return Group(number, int(added), int(removed), _parts(inner))


def _repeat(argument: tuple[Any, Any, Any]) -> Repeat:
    return Repeat(int(argument[0]), int(argument[1]), _parts(argument[2]))


def _assertion(argument: tuple[int, Any], *, negative: bool = False) -> Assertion:
    return Assertion(_parts(argument[1]), argument[0] > 0, negative)


_CATEGORIES: Final[dict[Any, Category]] = {
    _op.CATEGORY_DIGIT: Category(r"\d"),
    _op.CATEGORY_NOT_DIGIT: Category(r"\D"),
    _op.CATEGORY_SPACE: Category(r"\s"),
    _op.CATEGORY_NOT_SPACE: Category(r"\S"),
    _op.CATEGORY_WORD: Category(r"\w"),
    _op.CATEGORY_NOT_WORD: Category(r"\W"),
}
_ANCHORS: Final[dict[Any, Anchor]] = {
    _op.AT_BEGINNING: Anchor("^"),
    _op.AT_BEGINNING_STRING: Anchor(r"\A"),
    _op.AT_END: Anchor("$"),
    _op.AT_END_STRING: Anchor(r"\Z"),
    _op.AT_BOUNDARY: Anchor(r"\b"),
    _op.AT_NON_BOUNDARY: Anchor(r"\B"),
}
_MEMBERS: Final[dict[Any, Callable[[Any], Literal | Span | Category]]] = {
    _op.LITERAL: Literal,
    _op.RANGE: lambda ends: Span(*ends),
    _op.CATEGORY: _CATEGORIES.__getitem__,
}
_READERS: Final[dict[Any, Callable[[Any], Part]]] = {
    _op.LITERAL: Literal,
    _op.NOT_LITERAL: lambda number: Characters((Literal(number),), negated=True),
    _op.ANY: lambda _: Anything(),
    _op.IN: _characters,
    _op.SUBPATTERN: _group,
    _op.ATOMIC_GROUP: lambda inner: Atomic(_parts(inner)),
    _op.BRANCH: lambda argument: Choice(tuple(map(_parts, argument[1]))),
    **dict.fromkeys((_op.MAX_REPEAT, _op.MIN_REPEAT, _op.POSSESSIVE_REPEAT), _repeat),
    _op.AT: _ANCHORS.__getitem__,
    _op.ASSERT: _assertion,
    _op.ASSERT_NOT: lambda argument: _assertion(argument, negative=True),
    _op.FAILURE: lambda _: Never(),
    _op.GROUPREF: Reference,
    _op.GROUPREF_EXISTS: lambda argument: Conditional(argument[0], _parts(argument[1]), _parts(argument[2])),
}
