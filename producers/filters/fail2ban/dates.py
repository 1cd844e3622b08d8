"""Finds the date in each line of one stream, as fail2ban does: what was found before is tried first.

A log keeps to one form of date. So the template that found the last date is tried first; where it is tied to
the line's beginning or end, it decides. Where it is not, it is tried at the last date's place when the same
characters bound it. When that finds nothing, or something elsewhere, all templates are tried in order, and of
those that may stand anywhere the one that begins first counts, unless one finds its date no later than its
last. Templates that find dates move ahead of those that do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from producers.filters import syntax
from producers.filters.fail2ban.datepatterns import Template
from producers.filters.fail2ban.expressions import may_be_empty
from producers.filters.fail2ban.instants import Instants
from producers.filters.syntax import Part, Parts, Repeat, parse
from schemas.errors import InvalidMessage

FAR: Final = 0x7FFFFFFF
WEIGHT: Final = 100.0
UNUSED_MS: Final = 300_000


@dataclass(slots=True, eq=False)
class Tried:
    """A template, and what became of it in this stream.

    Attributes:
        found: how many dates it was the template of.
        matched: how often it matched at all.
        distance: where its last date began.
        used_at_ms: when it was last used.
    """

    template: Template
    found: int = 0
    matched: int = 0
    distance: int = FAR
    used_at_ms: int = 0

    @property
    def weight(self) -> float:
        """How much there is to be said for it."""
        return self.found * (WEIGHT if self.template.preferred else 1.0) / max(1, self.distance)

    def search(self, line: str, *span: int) -> re.Match[str] | None:
        """Its date in a line, or in a part of it."""
        match = self.template.expression.search(line, *span)
        if match is not None:
            self.matched += 1
        return match


class Dates:
    """Finds dates in one stream of lines.

    Attributes:
        repeated: how many dates were found since as the last one was, without asking.
    """

    def __init__(self, templates: Sequence[Template]) -> None:
        self._templates = list(templates)
        self._tried = [Tried(template) for template in templates]
        self.repeated = 0
        self._last = FAR
        self._first_unused = 0
        self._start, self._end = 1, FAR
        self._around: tuple[str | None, str, str, str] = (None, "", "", "")
        """The characters before and at the last date's start, its last and the one after it."""

    def find(self, line: str, now_ms: int) -> tuple[re.Match[str], Template] | None:
        """The date of a line, and the template that found it."""
        self._count_repeated(now_ms)
        skipped, reserve = FAR, None
        if self._last < len(self._tried):
            match, skipped = self._again(line)
            if match is not None:
                if self._settled(match):
                    return self._won(self._last, match, line, now_ms)
                reserve = (match, self._last)
        found = self._among_all(line, skipped, reserve)
        return None if found is None else self._won(found[1], found[0], line, now_ms)

    def peek(self, line: str) -> tuple[re.Match[str], Template] | None:
        """The date of a line that nobody asks about: it changes nothing."""
        order = [self._tried[self._last]] if self._last < len(self._tried) else []
        for tried in (*order, *self._tried):
            match = tried.template.expression.search(line)
            if match is not None:
                return match, tried.template
        return None

    def _count_repeated(self, now_ms: int) -> None:
        if self.repeated:
            tried = self._tried[self._last]
            tried.found += self.repeated
            tried.matched += self.repeated
            tried.used_at_ms = now_ms
            self.repeated = 0

    def _again(self, line: str) -> tuple[re.Match[str] | None, int]:
        """What the last template finds, and its place when it has looked through the whole line."""
        tried = self._tried[self._last]
        if tried.template.anchored:
            return tried.search(line), self._last
        start, end = self._start, self._end
        before, first, final, after = self._around
        left = line[start - 1 : start] == before or (line[start : start + 1] == first and not first.isalnum())
        right = line[end : end + 1] == after or (line[end - 1 : end] == final and not final.isalnum())
        if left and right:
            return tried.search(line, start, end), FAR
        return tried.search(line), self._last

    def _settled(self, match: re.Match[str]) -> bool:
        return (
            len(self._tried) == 1
            or self._tried[self._last].template.anchored
            or match.span() == (self._start, self._end)
        )

    def _among_all(
        self, line: str, skipped: int, reserve: tuple[re.Match[str], int] | None
    ) -> tuple[re.Match[str], int] | None:
        final = len(self._tried) - 1
        for at, tried in enumerate(self._tried):
            match = tried.search(line) if at != skipped else None
            if match is None:
                continue
            start = match.start()
            if at == final or tried.template.anchored:
                return match, at
            if start == 0 and tried.found and not self._tried[at + 1].matched:
                return match, at
            if start <= tried.distance and start <= self._start:
                return match, at
            if reserve is None or start < reserve[0].start():
                reserve = match, at
        return reserve

    def _won(self, at: int, match: re.Match[str], line: str, now_ms: int) -> tuple[re.Match[str], Template]:
        tried = self._tried[at]
        start, end = match.span()
        tried.found += 1
        tried.used_at_ms = now_ms
        tried.distance = start
        if self._first_unused == at:
            self._first_unused += 1
        self._start, self._end = start, end
        self._around = (
            line[start - 1 : start],
            line[start : start + 1],
            line[end - 1 : end],
            line[end : end + 1],
        )
        self._last = self._moved(at) if at and at != self._last else at
        return match, tried.template

    def _moved(self, at: int) -> int:
        """Move a template ahead when it has earned it; its place then."""
        tried = self._tried
        to = self._first_unused if self._first_unused < at else at // 2
        if not self._outweighs(at, to):
            if to == at - 1:
                return at
            to = at - 1
            if not self._outweighs(at, to):
                return at
        tried.insert(to, tried.pop(at))
        while self._first_unused < len(tried) and tried[self._first_unused].found:
            self._first_unused += 1
        return to

    def _outweighs(self, at: int, other: int) -> bool:
        one, two = self._tried[at], self._tried[other]
        return one.weight > two.weight or one.used_at_ms - UNUSED_MS > two.used_at_ms

    def save(self) -> dict[str, Any]:
        """What it has learnt, as JSON."""
        if self.repeated:
            self._count_repeated(self._tried[self._last].used_at_ms)
        return {
            "tried": [
                [
                    self._templates.index(each.template),
                    each.found,
                    each.matched,
                    each.distance,
                    each.used_at_ms,
                ]
                for each in self._tried
            ],
            "last": [self._last, self._first_unused, self._start, self._end, *self._around],
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on where `save` was called. Raises InvalidMessage."""
        try:
            self._tried = [Tried(self._templates[at], *counts) for at, *counts in saved["tried"]]
            self._last, self._first_unused, self._start, self._end, *around = saved["last"]
            before, first, final, after = around
            self._around = before, first, final, after
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise InvalidMessage(f"no state of dates: {error!r:.120}", field="dates") from error


MOST_SHAPES: Final = 4_096
SECONDS_MS: Final = {f"{second:02d}": second * 1_000 for second in range(60)}
DIGITS: Final = str.maketrans("123456789", "000000000")
BOUND_AFTER: Final = r"(?=\b|\W|$)"
FLAGS: Final = re.compile(r"\(\?[a-z]+\)")

Layout = tuple[int, int, int, int, int]
"""Where in a line the seconds start and end, where the two characters after the date end, the date's span."""


class Heads:
    """Dates at the beginnings of lines, read without the expressions when the last ones looked the same.

    A template tied to the line's beginning looks at no more than the date and what might lengthen it. Where
    the two characters after a date cannot be part of a longer one, every line that begins with the same
    characters, up to these two, bears the same date; and with other seconds, the same minute.
    """

    def __init__(self, instants: Instants) -> None:
        self._instants = instants
        self._trees: dict[Template, Parts | None] = {}
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
        second = SECONDS_MS.get(line[seconds:past])
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
            if len(self._settled) >= MOST_SHAPES:
                self._settled.clear()
            settled = self._settled[shape] = len(line) >= after and not derived(tree, line[:after])
        minute = self._instants.minute(match) if settled else None
        if minute is None:
            return
        if template is not self._template or len(self._minutes) >= MOST_SHAPES:
            self._minutes.clear()
        seconds, past = match.span("S")
        self._template = template
        self._layout = (seconds, past, after, *match.span(1))
        self._minutes[line[:seconds] + line[past:after]] = minute


def _tree_of(template: Template) -> Parts | None:
    """The parts of a template that looks at nothing but its date; None for others."""
    source = template.expression.pattern
    flags = FLAGS.match(source)
    body = source[flags.end() :] if flags else source
    if not body.startswith("^") or not body.endswith(BOUND_AFTER) or template.kind != "parts":
        return None
    body = body.removesuffix(BOUND_AFTER)
    if any(look in body for look in ("(?=", "(?!", "(?<", "$", r"\b", r"\B")) or "(?P<S>" not in body:
        return None
    return unfolded(parse(body).parts)


def unfolded(parts: Parts, groups: dict[int, Parts] | None = None) -> Parts:
    """The parts of an expression that matches no less, with each group in the place of references to it."""
    known: dict[int, Parts] = {} if groups is None else groups
    found: list[Part] = []
    for part in parts:
        match part:
            case syntax.Group(number):
                inner = unfolded(part.parts, known)
                if number is not None:
                    known[number] = inner
                found.append(replace(part, parts=inner))
            case syntax.Choice(branches):
                found.append(syntax.Choice(tuple(unfolded(branch, known) for branch in branches)))
            case Repeat():
                found.append(replace(part, parts=unfolded(part.parts, known)))
            case syntax.Reference(number) if number in known:
                found.append(syntax.Group(None, 0, 0, known[number]))
            case _:
                found.append(part)
    return tuple(found)


def derived(parts: Parts, text: str) -> list[Parts]:
    """What is left of an expression's paths that begin with a text; none: no match begins with it.

    Case does not count, and of what `re` knows besides characters, sets, groups and repeats any text is taken
    to be a match: there may be a path where there is none, never the reverse.
    """
    states = [parts]
    for character in text:
        states = list(dict.fromkeys(left for state in states for left in _after(state, character)))
    return states


def _after(parts: Parts, character: str) -> Iterator[Parts]:
    for at, part in enumerate(parts):
        rest = parts[at + 1 :]
        yield from ((*left, *rest) for left in _after_part(part, character))
        if not may_be_empty(part):
            break


def _after_part(part: Part, character: str) -> list[Parts]:  # noqa: PLR0911 - one for each kind of part
    match part:
        case syntax.Group():
            return list(_after(part.parts, character))
        case syntax.Choice(branches):
            return [left for branch in branches for left in _after(branch, character)]
        case Repeat(least, most, parts):
            fewer = Repeat(max(least - 1, 0), most if most == syntax.UNLIMITED else most - 1, parts)
            again = (fewer,) if most > 1 else ()
            return [(*left, *again) for left in _after(parts, character)]
        case syntax.Anchor() | syntax.Assertion() | syntax.Never():
            return []
        case syntax.Literal() | syntax.Characters():
            return [()] if any(_takes(part, each) for each in (character.lower(), character.upper())) else []
        case syntax.Anything():
            return [()]
        case _:
            return [(part,), ()]


def _takes(part: syntax.Literal | syntax.Characters, character: str) -> bool:
    if isinstance(part, syntax.Literal):
        return chr(part.number) == character
    return any(_is_member(each, character) for each in part.members) is not part.negated


def _is_member(member: syntax.Literal | syntax.Span | syntax.Category, character: str) -> bool:
    match member:
        case syntax.Literal(number):
            return chr(number) == character
        case syntax.Span(first, last):
            return first <= ord(character) <= last
        case syntax.Category(source):
            return re.match(source, character) is not None
