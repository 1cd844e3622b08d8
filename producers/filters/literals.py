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
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from itertools import groupby, product
from operator import itemgetter
from typing import Any, Final, NamedTuple

from producers.filters.rows import Needle, Needles
from producers.filters.syntax import REPEATS, ZERO_WIDTHS, op, parser

MOST_EXACT: Final = 48
MOST_CLASS: Final = 4
LONGEST: Final = 40
LONG_ENOUGH: Final = 20
COMMON: Final = re.compile(
    rb"(?i)\b(?:authenticat\w+|fail\w*|invalid|users?|password|log(?:ged)? ?in|login|connect\w+|disconnect\w*"
    rb"|from|for|errors?|warning|session|closed|opened|accepted|access|denied|client|server|port|address|to|by"
    rb"|in|is|the|of|with|request|refused|rejected|unknown|and|not|was|has|been|a|an|info|after|received"
    rb"|GET|HEAD|POST|PUT)\b|[ .,:]"
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
    tree = parser.parse(expression, flags)
    analysis = _Analysis(text=isinstance(expression, str), but=but | {"\n", "\ufffd"})
    known = analysis.sequence(tree, int(tree.state.flags))
    return known.best


def rarer(one: Needles | None, other: Needles | None) -> Needles | None:
    """Of two sets of needles, the one that fewer lines will hold."""
    if one is None or other is None:
        return one or other
    return max(one, other, key=_worth)


def contains(text: bytes, needles: Needles) -> bool:
    """Whether a text holds at least one of the needles."""
    lowered: bytes | None = None
    for needle, caseless in needles:
        if not caseless:
            if needle in text:
                return True
            continue
        lowered = text.lower() if lowered is None else lowered
        if needle in lowered:
            return True
    return False


class _Analysis:
    """Walks the parts of one expression."""

    def __init__(self, *, text: bool, but: frozenset[str]) -> None:
        self._text = text
        self._but = but
        self._pieces = _pieces(but).findall
        self._reads: dict[Any, Callable[[Any, int], _Known]] = {
            op.BRANCH: self._choice,
            op.IN: self._class,
            op.ATOMIC_GROUP: self.sequence,
            **dict.fromkeys(REPEATS, self._repeat),
        }

    def sequence(self, parts: Any, flags: int) -> _Known:
        """Parts after each other, as `re`'s parser lists them: runs of exact ones make longer texts."""
        run: frozenset[Needle] | None = EMPTY
        whole, best = True, None
        for known in self._knowns(parts.data, flags):
            joined = _joined(run, known.exact)
            if joined is not None:
                run = joined
                continue
            best = rarer(rarer(best, _usable(run)), known.best)
            run, whole = (known.exact, False) if known.exact is not None else (EMPTY, False)
        best = rarer(best, _usable(run))
        return _Known(run if whole else None, best)

    def _knowns(self, parts: Iterable[tuple[Any, Any]], flags: int) -> Iterator[_Known]:
        """What is known of each part; characters that stand together are taken together."""
        for code, alike in groupby(parts, itemgetter(0)):
            if code is op.LITERAL and not flags & IGNORECASE:
                text = "".join(chr(number) for _, number in alike)
                yield from map(self._literal, self._pieces(text))
            else:
                for _, argument in alike:
                    yield self._part(code, argument, flags)

    def _literal(self, text: str) -> _Known:
        if text in self._but:
            return UNKNOWN
        return _Known(frozenset({Needle(text.encode("utf-8" if self._text else "latin-1"))}), None)

    def _part(self, code: Any, argument: Any, flags: int) -> _Known:
        if code is op.LITERAL:
            return _letter(argument, bool(flags & IGNORECASE), self._text, self._but)
        if code in ZERO_WIDTHS:
            return ZERO_WIDTH
        if code is op.SUBPATTERN:
            _, added, removed, inner = argument
            return self.sequence(inner, (flags | added) & ~removed)
        read = self._reads.get(code)
        return UNKNOWN if read is None else read(argument, flags)

    def _choice(self, argument: tuple[None, list[Any]], flags: int) -> _Known:
        return self._branch([self.sequence(each, flags) for each in argument[1]])

    def _class(self, members: list[tuple[Any, Any]], flags: int) -> _Known:
        if len(members) > MOST_CLASS or any(code is not op.LITERAL for code, _ in members):
            return UNKNOWN
        return self._branch([self._part(code, number, flags) for code, number in members])

    def _repeat(self, argument: tuple[int, int, Any], flags: int) -> _Known:
        least, most, inner = argument
        known = self.sequence(inner, flags)
        if least == 0:
            exact = known.exact | EMPTY if most == 1 and known.exact is not None else None
            return _Known(exact, None)
        return known if (least, most) == (1, 1) else _Known(None, rarer(known.best, _usable(known.exact)))

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
