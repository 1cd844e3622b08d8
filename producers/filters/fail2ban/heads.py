"""Dates at the beginnings of lines, read without the expressions when the last ones looked the same.

A template tied to the line's beginning looks at no more than the date and what might lengthen it. Where the
two characters after a date cannot be part of a longer one, every line that begins with the same characters,
up to these two, bears the same date; and with other seconds, the same minute.
"""

from __future__ import annotations

import re
from typing import Final

from producers.filters.fail2ban.datepatterns import Template
from producers.filters.fail2ban.reading import Instants
from producers.filters.fail2ban.trees import Tree, derived, parsed, unfolded

MOST: Final = 4_096
SECONDS: Final = {f"{second:02d}": second * 1_000 for second in range(60)}
DIGITS: Final = str.maketrans("123456789", "000000000")
BOUND_AFTER: Final = r"(?=\b|\W|$)"
FLAGS: Final = re.compile(r"\(\?[a-z]+\)")

Layout = tuple[int, int, int, int, int]
"""Where in a line the seconds start and end, where the two characters after the date end, the date's span."""


class Heads:
    """What the lines of one stream begin with."""

    def __init__(self, instants: Instants) -> None:
        self._instants = instants
        self._trees: dict[Template, Tree | None] = {}
        self._settled: dict[tuple[Template, str], bool] = {}
        self._minutes: dict[str, int] = {}
        self._layout: Layout | None = None
        self._template: Template | None = None

    def begin(self) -> None:
        """The clock has moved: what was read against it is forgotten."""
        self._minutes.clear()

    def read(self, line: str) -> tuple[str, int] | None:
        """A line without its date, and its instant, when it begins as one before."""
        if self._layout is None:
            return None
        seconds, past, after, first, last = self._layout
        minute = self._minutes.get(line[:seconds] + line[past:after])
        if minute is None:
            return None
        second = SECONDS.get(line[seconds:past])
        return None if second is None else (f"{line[:first]}{line[last:]}\n", minute + second)

    def learn(self, line: str, match: re.Match[str], template: Template) -> None:
        """Remember how a line with a date begins."""
        self._layout = None
        if template not in self._trees:
            self._trees[template] = _tree_of(template)
        tree = self._trees[template]
        if tree is None:
            return
        after = match.end() + 2
        shape = (template, line[:after].translate(DIGITS))
        settled = self._settled.get(shape)
        if settled is None:
            if len(self._settled) >= MOST:
                self._settled.clear()
            settled = self._settled[shape] = len(line) >= after and not derived(tree, line[:after])
        minute = self._instants.minute(match) if settled else None
        if minute is None:
            return
        if template is not self._template or len(self._minutes) >= MOST:
            self._minutes.clear()
        seconds, past = match.span("S")
        self._template = template
        self._layout = (seconds, past, after, *match.span(1))
        self._minutes[line[:seconds] + line[past:after]] = minute


def _tree_of(template: Template) -> Tree | None:
    """The parts of a template that looks at nothing but its date; None for others."""
    source = template.expression.pattern
    flags = FLAGS.match(source)
    body = source[flags.end() :] if flags else source
    if not body.startswith("^") or not body.endswith(BOUND_AFTER) or template.kind != "parts":
        return None
    body = body.removesuffix(BOUND_AFTER)
    if any(look in body for look in ("(?=", "(?!", "(?<", "$", r"\b", r"\B")) or "(?P<S>" not in body:
        return None
    return unfolded(parsed(body))
