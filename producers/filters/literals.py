"""What every match of an expression holds, found by analysis: the needles by which its lines are found.

For each part of an expression two things are known, as far as they are finite and small: the texts it
matches, all of them (`exact`), and a set of which every match holds at least one (`best`).

| part | exact | best |
|---|---|---|
| `abc` | {abc} | {abc} |
| `(?:a|b)c` | {ac, bc} | {ac, bc} |
| `[ab]c` | {ac, bc} | {ac, bc} |
| `a.*bcd` | | {bcd} |
| `(?:abc|d.*)` | | {abc, d} |
| `(?:abc)?` | {abc, empty} | |
| `(?:abc)+` | | {abc} |

The idea is Russ Cox's (Regular Expression Matching with a Trigram Index, 2012).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby, product
from typing import Final, NamedTuple, cast

from producers.filters import syntax
from producers.filters.rows import Needle, Needles
from producers.filters.syntax import Part, Parts, Repeat, parse

MOST_EXACT: Final = 48
MOST_CLASS: Final = 4
LONGEST: Final = 40
LONG_ENOUGH: Final = 20
COMMON: Final = re.compile(
    rb"(?i)\b(?:authenticat\w+|fail\w*|invalid|users?|password|log(?:ged)? ?in|login|connect\w+|disconnect\w*"
    rb"|from|for|errors?|warning|session|closed|opened|accepted|access|denied|client|server|port|address|to|by"
    rb"|in|is|the|of|with|request|refused|rejected|unknown|and|not|was|has|been|a|an|info|after|received"
    rb"|GET|HEAD|POST|PUT|https?)\b|[ .,:\"()\[\]-]"
)
"""Words that logs are full of."""
ODD_CASES: Final = frozenset("iIkKsS")
"""Letters that an expression on text takes for others than ASCII's when case is ignored (U+0130, U+212A,
U+017F)."""
EMPTY: Final = frozenset({Needle(b"")})
NOTHING: Final = frozenset({Needle(b""), Needle(b"", caseless=True)})
IGNORECASE: Final = int(re.IGNORECASE)
"""A number: `&` of flags takes ten times as long."""


class _Known(NamedTuple):
    """What is known of a part of an expression; None: nothing finite and small."""

    exact: frozenset[Needle] | None
    best: frozenset[Needle] | None


UNKNOWN: Final = _Known(None, None)
ZERO_WIDTH: Final = _Known(EMPTY, None)


def required_literals(
    expression: str | bytes, flags: int = 0, *, but: frozenset[str] = frozenset()
) -> Needles | None:
    """The needles of an expression as `re` understands it; None when there are none.

    A needle never holds a newline or one of the characters `but`: those that an envelope may escape.
    Raises re.error for what is no expression.
    """
    tree = parse(expression, flags)
    analysis = _Analysis(text=isinstance(expression, str), but=but | {"\n", "\ufffd"})
    return analysis.sequence(tree.parts, tree.flags).best


def rarer(one: Needles | None, other: Needles | None) -> Needles | None:
    """Of two sets of needles, the one that fewer lines will hold."""
    if one is None or other is None:
        return one or other
    return max(one, other, key=_worth)


class _Analysis:
    """Walks the parts of one expression."""

    def __init__(self, *, text: bool, but: frozenset[str]) -> None:
        self._text = text
        self._but = but
        self._pieces = _pieces(but).findall

    def sequence(self, parts: Parts, flags: int) -> _Known:
        """Parts after each other: runs of exact ones make longer texts."""
        run: frozenset[Needle] | None = EMPTY
        whole, best = True, None
        for known in self._knowns(parts, flags):
            joined = _joined(run, known.exact)
            if joined is not None:
                run = joined
                continue
            best = rarer(rarer(best, _usable(run)), known.best)
            run, whole = (known.exact, False) if known.exact is not None else (EMPTY, False)
        best = rarer(best, _usable(run))
        return _Known(run if whole else None, best)

    def _knowns(self, parts: Parts, flags: int) -> Iterator[_Known]:
        """What is known of each part; characters that stand together are taken together."""
        for kind, alike in groupby(parts, type):
            if kind is syntax.Literal and not flags & IGNORECASE:
                text = "".join(chr(each.number) for each in cast("Iterator[syntax.Literal]", alike))
                yield from map(self._literal, self._pieces(text))
            else:
                for part in alike:
                    yield self._part(part, flags)

    def _literal(self, text: str) -> _Known:
        if text in self._but:
            return UNKNOWN
        return _Known(frozenset({Needle(text.encode("utf-8" if self._text else "latin-1"))}), None)

    def _part(self, part: Part, flags: int) -> _Known:  # noqa: PLR0911 - one for each kind of part
        match part:
            case syntax.Literal(number):
                return _letter(number, bool(flags & IGNORECASE), self._text, self._but)
            case syntax.Anchor() | syntax.Assertion() | syntax.Never():
                return ZERO_WIDTH
            case syntax.Group(_, added, removed, parts):
                return self.sequence(parts, (flags | added) & ~removed)
            case syntax.Atomic(parts):
                return self.sequence(parts, flags)
            case syntax.Choice(branches):
                return self._branch([self.sequence(each, flags) for each in branches])
            case syntax.Characters():
                return self._class(part, flags)
            case Repeat():
                return self._repeat(part, flags)
            case _:
                return UNKNOWN

    def _class(self, part: syntax.Characters, flags: int) -> _Known:
        letters = [each for each in part.members if isinstance(each, syntax.Literal)]
        if part.negated or len(part.members) > MOST_CLASS or len(letters) < len(part.members):
            return UNKNOWN
        return self._branch([self._part(each, flags) for each in letters])

    def _repeat(self, part: Repeat, flags: int) -> _Known:
        known = self.sequence(part.parts, flags)
        if part.least == 0:
            exact = known.exact | EMPTY if part.most == 1 and known.exact is not None else None
            return _Known(exact, None)
        if part.least == part.most == 1:
            return known
        return _Known(None, rarer(known.best, _usable(known.exact)))

    def _branch(self, branches: list[_Known]) -> _Known:
        exact: set[Needle] | None = set()
        best: set[Needle] | None = set()
        for branch in branches:
            exact = None if exact is None or branch.exact is None else exact | branch.exact
            needed = rarer(branch.best, _usable(branch.exact))
            best = None if best is None or needed is None else best | needed
        whole = None if exact is None or len(exact) > MOST_EXACT else frozenset(exact)
        return _Known(whole, frozenset(best) if best else None)


@cache
def _pieces(but: frozenset[str]) -> re.Pattern[str]:
    """Cuts a text into the characters that no needle holds, and what stands between them."""
    excepted = re.escape("".join(sorted(but)))
    return re.compile(f"[{excepted}]|[^{excepted}]{{1,{LONGEST}}}")


@lru_cache(maxsize=4_096)
def _letter(number: int, ignorecase: bool, text: bool, but: frozenset[str]) -> _Known:  # noqa: FBT001 - remembered
    """What is known of one character, of an expression on text or on bytes."""
    character = chr(number)
    caseless = ignorecase and (not character.isascii() or character.isalpha())
    folds = character.isascii() and not (text and character in ODD_CASES)
    if character in but or (caseless and not folds):
        return UNKNOWN
    encoded = (character.lower() if caseless else character).encode("utf-8" if text else "latin-1")
    return _Known(frozenset({Needle(encoded, ignorecase)}), None)


def _joined(left: frozenset[Needle] | None, right: frozenset[Needle] | None) -> frozenset[Needle] | None:
    """Every text of one after every text of the other; None when that is not finite and small."""
    if left is None or right is None or len(left) * len(right) > MOST_EXACT:
        return None
    if left is EMPTY or right is EMPTY:
        return right if left is EMPTY else left
    joined = frozenset(
        Needle(
            (one.text.lower() if other.caseless else one.text)
            + (other.text.lower() if one.caseless else other.text),
            one.caseless or other.caseless,
        )
        for one, other in product(left, right)
    )
    return None if max(len(each.text) for each in joined) > LONGEST else joined


def _usable(exact: frozenset[Needle] | None) -> frozenset[Needle] | None:
    return exact if exact is not None and NOTHING.isdisjoint(exact) else None


@lru_cache(maxsize=4_096)
def _worth(needles: frozenset[Needle]) -> tuple[float, int, int]:
    """How rare the least rare is, up to a point; after that, how few there are, then the length."""
    least = min(_rarity(each.text) for each in needles)
    return min(LONG_ENOUGH, least), -len(needles), min(len(each.text) for each in needles)


@lru_cache(maxsize=4_096)
def _rarity(text: bytes) -> float:
    """How rare a text is in logs: a character of a word that logs are full of counts for a quarter."""
    return len(COMMON.sub(b"", text)) + len(text) / 3
