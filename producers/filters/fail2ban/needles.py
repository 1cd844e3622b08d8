"""The needles of whole lines: a date is cut out of a line before it is read, and may have stood in a needle.

| the template | where in a needle the date may have stood |
|---|---|
| at the line's beginning | after at most two characters that are no letters |
| after a certain character, before another | between these two |
| anything else | anywhere |

What is left of a needle between these places is in the line as it is. The longest such part is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Final

from producers.filters import syntax
from producers.filters.fail2ban.datepatterns import Template
from producers.filters.rows import Needle, Needles
from producers.filters.syntax import Part, Parts, Repeat, parse, within

AT_BEGIN: Final = re.compile(r"(?:\(\?[a-z]+\))?\^(?:\(\?:\\W\{0,2\}\)\?)?\((?!\?)")
BOUND_AFTER: Final = r")(?=\b|\W|$)"
WORDS: Final = frozenset({r"\d", r"\w"})

CutHere = Callable[[str, int], bool]
"""Whether a date may have stood before a character of a text."""


def whole_needles(needles: Needles | None, templates: Iterable[Template]) -> Needles | None:
    """The needles of lines that still have their dates; None when nothing of one is left."""
    if needles is None:
        return None
    places = [_place(each) for each in templates]
    found: set[Needle] = set()
    for needle in needles:
        text = needle.text.decode("utf-8")
        cuts = [at for at in range(1, len(text)) if any(place(text, at) for place in places)]
        edges = [0, *cuts, len(text)]
        parts = [text[one:other] for one, other in pairwise(edges)]
        longest = max(parts, key=len)
        half = len(text) // 2
        kept = [longest] if len(longest) >= max(half, 1) or half == 0 else [text[:half], text[half:]]
        found |= {Needle(part.encode(), needle.caseless) for part in kept}
    return frozenset(found)


def _place(template: Template) -> CutHere:
    source = template.expression.pattern
    if AT_BEGIN.match(source):
        return lambda text, at: at <= 2 and not any(_is_word(each) for each in text[:at])  # noqa: PLR2004 - as the template says
    before, after = _neighbours(source)
    return lambda text, at: before(text[at - 1]) and after(text[at])


def _neighbours(source: str) -> tuple[Callable[[str], bool], Callable[[str], bool]]:
    """What may stand before and after the date of a template."""
    parts = parse(source).parts
    for at, part in enumerate(parts):
        if isinstance(part, syntax.Group) and part.number == 1:
            before = _one_of(parts[at - 1]) if at else _anything
            following = parts[at + 1 :]
            if following and isinstance(following[0], syntax.Literal):
                return before, _one_of(following[0])
            bound = source.endswith(BOUND_AFTER) and len(following) == 1 and _ends_in_word(part.parts)
            return before, (lambda character: not _is_word(character)) if bound else _anything
    return _anything, _anything


def _one_of(part: Part) -> Callable[[str], bool]:
    if not isinstance(part, syntax.Literal):
        return _anything
    folded = chr(part.number).casefold()
    return lambda character: character.casefold() == folded


def _ends_in_word(parts: Parts) -> bool:
    """Whether every text that matches ends in a letter, a digit or `_`."""
    for part in reversed(parts):
        if not _is_of_word(part):
            return False
        if not isinstance(part, Repeat) or part.least:
            return True
    return False


def _is_of_word(part: Part) -> bool:
    match part:
        case syntax.Group() | syntax.Choice() | Repeat():
            return all(map(_ends_in_word, within(part)))
        case syntax.Literal(number):
            return _is_word(chr(number))
        case syntax.Characters(members, negated):
            return not negated and all(map(_is_word_member, members))
        case _:
            return False


def _is_word_member(member: syntax.Literal | syntax.Span | syntax.Category) -> bool:
    match member:
        case syntax.Literal(number):
            return _is_word(chr(number))
        case syntax.Span(first, last):
            return all(_is_word(chr(each)) for each in range(first, last + 1))
        case syntax.Category(source):
            return source in WORDS


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _anything(_: str) -> bool:
    return True
