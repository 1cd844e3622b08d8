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
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

from producers.filters.fail2ban.datepatterns import Template
from producers.filters.rows import Needle, Needles
from producers.filters.syntax import REPEATS, op, parser

AT_BEGIN: Final = re.compile(r"(?:\(\?[a-z]+\))?\^(?:\(\?:\\W\{0,2\}\)\?)?\((?!\?)")
BOUND_AFTER: Final = r")(?=\b|\W|$)"
WORDS: Final = frozenset({op.CATEGORY_DIGIT, op.CATEGORY_WORD})

Place = Callable[[str, int], bool]
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


def _place(template: Template) -> Place:
    source = template.expression.pattern
    if AT_BEGIN.match(source):
        return lambda text, at: at <= 2 and not any(_is_word(each) for each in text[:at])  # noqa: PLR2004 - as the template says
    before, after = _neighbours(source)
    return lambda text, at: before(text[at - 1]) and after(text[at])


def _neighbours(source: str) -> tuple[Callable[[str], bool], Callable[[str], bool]]:
    """What may stand before and after the date of a template."""
    tree = list(parser.parse(source))
    place = next((at for at, (code, argument) in enumerate(tree) if _is_first_group(code, argument)), None)
    if place is None:
        return _anything, _anything
    before = _one_of(tree[place - 1]) if place else _anything
    if place + 1 < len(tree) and tree[place + 1][0] is op.LITERAL:
        return before, _one_of(tree[place + 1])
    bound = source.endswith(BOUND_AFTER) and place + 2 == len(tree)
    ends_in_word = bound and _ends_in_word(list(tree[place][1][3]))
    return before, (lambda character: not _is_word(character)) if ends_in_word else _anything


def _is_first_group(code: Any, argument: Any) -> bool:
    return code is op.SUBPATTERN and argument[0] == 1


def _one_of(item: tuple[Any, Any]) -> Callable[[str], bool]:
    code, argument = item
    if code is not op.LITERAL:
        return _anything
    folded = chr(argument).casefold()
    return lambda character: character.casefold() == folded


def _ends_in_word(tree: Sequence[tuple[Any, Any]]) -> bool:
    """Whether every text that matches ends in a letter, a digit or `_`."""
    for code, argument in reversed(tree):
        optional = code in REPEATS and not argument[0]
        if not _is_of_word(code, argument):
            return False
        if not optional:
            return True
    return False


def _is_of_word(code: Any, argument: Any) -> bool:
    if code is op.SUBPATTERN:
        return _ends_in_word(list(argument[3]))
    if code is op.BRANCH:
        return all(_ends_in_word(list(branch)) for branch in argument[1])
    if code in REPEATS:
        return _ends_in_word(list(argument[2]))
    members = argument if code is op.IN else [(code, argument)]
    return all(_is_word_item(each) for each in members)


def _is_word_item(item: tuple[Any, Any]) -> bool:
    code, argument = item
    if code is op.RANGE:
        return all(_is_word(chr(each)) for each in range(argument[0], argument[1] + 1))
    return (code is op.LITERAL and _is_word(chr(argument))) or (code is op.CATEGORY and argument in WORDS)


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _anything(_: str) -> bool:
    return True
