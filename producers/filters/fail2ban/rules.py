"""A fail2ban filter, compiled: its expressions, and what they find in a line without its date."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from producers.filters.bounds import compiled
from producers.filters.candidates import finder_of
from producers.filters.fail2ban.datepatterns import Template, WrongPattern, templates_of
from producers.filters.fail2ban.definition import Fail2banDefinition
from producers.filters.fail2ban.expressions import (
    Captured,
    Expression,
    WrongExpression,
    beginnings,
    is_anchored,
    pruned,
)
from producers.filters.fail2ban.instants import minutes_east
from producers.filters.fail2ban.needles import whole_needles
from producers.filters.literals import rarer, required_literals
from producers.filters.rows import Needle, Needles, contains

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
MatchOf = Callable[[str], "re.Match[str] | None"]
Numbers = dict["int | None", tuple[int, tuple[int, ...]]]
"""By the group at its end: an expression's number, and its groups."""
First = Callable[[str], "tuple[int, Values] | None"]
"""Gives the number of the first expression that matches a text, and what its groups hold."""


def first_of(expressions: Sequence[Expression]) -> First:
    """A function that finds the first expression that matches a text, in the order in which they are listed.

    Expressions that can match at a text's beginning only become the branches of one expression, each with a
    group of nothing at its end that tells it: `re` then tries in C what would be a call each. Of these there
    is one for each character that a text may begin with, of the expressions that may match such a text. The
    others are tried one by one, and only where a text holds what every match of theirs holds.
    """
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
        self._by_character: dict[str, tuple[MatchOf, Numbers]] = {}

    def find(self, text: str) -> tuple[int, Values] | None:
        """The first that matches a text."""
        character = text[:1]
        match_of, numbers = self._by_character.get(character) or self._learn(character)
        match = match_of(text)
        if match is None:
            return None
        at, indices = numbers[match.lastindex]
        return at, match.group(*indices)

    def _learn(self, character: str) -> tuple[MatchOf, Numbers]:
        chosen = [
            at
            for at, known in enumerate(self._beginnings)
            if known is None or not character or character in known
        ]
        if len(self._by_character) >= MOST_BEGINNINGS:
            self._by_character.clear()
        learnt = self._by_character[character] = self._merged(chosen)
        return learnt

    def _merged(self, chosen: Sequence[int]) -> tuple[MatchOf, Numbers]:
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


EARLY_MARGIN: Final = 2
WHOM: Final = frozenset({"ip4", "ip6", "dns", "fid", "cidr"})
"""The groups that say whom a failure is of."""

Kept = tuple[tuple[str, ...], tuple[int, ...]]


class Expressions:
    """The expressions of one filter.

    Attributes:
        prefix: what a line must match first, or None.
        failures: the failregex expressions.
        ignored: the ignoreregex expressions.
        early: whether lines are tried against `ignored` before anything else.
    """

    __slots__ = (
        "_content",
        "_first",
        "_kept",
        "_prefix_match",
        "_shared",
        "early",
        "failures",
        "ignored",
        "prefix",
    )

    def __init__(self, definition: Fail2banDefinition) -> None:
        multiline = definition.maxlines > 1
        prefix = _compiled(definition, "prefregex", (definition.prefregex,) if definition.prefregex else ())
        self.prefix = prefix[0] if prefix else None
        self.failures = _compiled(definition, "failregex", definition.failregex, multiline=multiline)
        self.ignored = _compiled(definition, "ignoreregex", definition.ignoreregex)
        self.early = bool(self.ignored) and len(self.ignored) < len(self.failures) - EARLY_MARGIN
        for text, each in zip(definition.failregex, self.failures, strict=True):
            if not each.identifies and not (self.prefix and self.prefix.identifies):
                raise definition.refuse(
                    "failregex", f"{text!r} captures no <HOST>, <ADDR>, <F-ID> or <F-MLFID>"
                )
        self._first: First = first_of(self.failures)
        self._prefix_match = None if self.prefix is None else self.prefix.searcher
        self._content = self.prefix.pattern.groupindex.get("content", 0) if self.prefix else 0
        self._kept = [_kept(self.prefix, each) for each in self.failures]
        of_prefix = set() if self.prefix is None else {*self.prefix.names} - {"content"}
        self._shared = [not of_prefix.isdisjoint(each.names) for each in self.failures]

    @property
    def needles(self) -> Needles | None:
        """What every line holds that one of these expressions matches; None when that is not known."""
        of_prefix = None if self.prefix is None else _needles(self.prefix)
        each = [_needles(expression) for expression in self.failures]
        known = [needles for needles in each if needles is not None]
        return rarer(of_prefix, frozenset[Needle]().union(*known) if len(known) == len(each) else None)

    def find(self, text: str) -> Captured | None:
        """What the first failregex that matches captured, and prefregex; None: the line is nothing."""
        if self.early and self.ignores(text):
            return None
        before: re.Match[str] | None = None
        if self._prefix_match is not None:
            before = self._prefix_match(text)
            if before is None:
                return None
            if self._content and (content := before[self._content]):
                text = f"{content}\n"
        found = self._first(text)
        if found is None or (self.ignored and self.ignores(text)):
            return None
        at, values = found
        kept = self._kept[at]
        if before is None or kept is None:
            return self.merged(at, before, self.failures[at].named(values))
        names, indices = kept
        captured = {
            name: value
            for name, value in zip(names, (*values[:-2], *before.group(*indices)), strict=False)
            if value is not None
        }
        return self._filled(before, captured) if self._shared[at] else captured

    def merged(self, at: int, before: re.Match[str] | None, captured: Captured) -> Captured:
        """What a failregex captured, and what prefregex did that is not a group of that failregex."""
        if before is None or self.prefix is None:
            return captured
        names = {"content", *self.failures[at].names}
        found = {
            **{key: value for key, value in self.prefix.captured(before).items() if key not in names},
            **captured,
        }
        return self._filled(before, found) if self._shared[at] else found

    def _filled(self, before: re.Match[str], captured: Captured) -> Captured:
        """With what prefregex captured under names that failregex has as well, and left empty.

        As fail2ban has it since 1.1.1. Whom a failure is of is one thing, whichever of its names say it.
        """
        prefix = {} if self.prefix is None else self.prefix.captured(before)
        whom = frozenset() if WHOM.isdisjoint(captured) else WHOM
        own = {key: value for key, value in prefix.items() if key != "content" and key not in whom}
        return {**own, **captured}

    def ignores(self, text: str) -> bool:
        """Whether an ignoreregex matches a text."""
        return any(each.pattern.search(text) for each in self.ignored)


def _kept(prefix: Expression | None, failure: Expression) -> Kept | None:
    """The names of what both capture, and the groups that are the prefix's; None: some are renamed."""
    if prefix is None or prefix.renames or failure.renames:
        return None
    own = [
        (name, index)
        for name, index in prefix.pattern.groupindex.items()
        if name != "content" and name not in failure.names
    ]
    return (*failure.names, *(name for name, _ in own)), (*(index for _, index in own), 0, 0)


def _needles(expression: Expression) -> Needles | None:
    return required_literals(expression.source, expression.pattern.flags & re.MULTILINE)


def _compiled(
    definition: Fail2banDefinition, key: str, texts: tuple[str, ...], *, multiline: bool = False
) -> tuple[Expression, ...]:
    found: list[Expression] = []
    for number, text in enumerate(texts, 1):
        try:
            found.append(Expression(text, usedns=definition.usedns, multiline=multiline))
        except WrongExpression as error:
            raise definition.refuse(f"{key}, expression {number}", str(error)) from error
    return tuple(found)


@dataclass(frozen=True, slots=True)
class CompiledFilter:
    """What matches a filter's lines, and all its matchers share.

    Attributes:
        rules: its expressions.
        templates: the dates its lines may bear.
        dated: whether they may bear any.
        needles: what its lines hold; None: any line may be one of its.
        usedns: what becomes of host names.
        offset_minutes: the zone of dates that name none, east of UTC; None: the local one.
        maxlines: how many lines its expressions see at once.
        journal: its lines are the journal's: their time is read before they are.
    """

    rules: Expressions
    templates: tuple[Template, ...]
    dated: bool
    needles: Needles | None
    usedns: str
    offset_minutes: int | None
    maxlines: int
    journal: bool = False

    def starts(self, data: bytes) -> Iterable[int]:
        """Where the lines start that hold a needle, ascending; where there are needles."""
        return finder_of((self.needles,)).lines(data)


def compile_filter(definition: Fail2banDefinition, year: int) -> CompiledFilter:
    """Compile a filter; `year` is the present one. ConfigError, naming file and key, when it cannot be."""
    try:
        templates = tuple(templates_of(definition.datepattern, year))
    except WrongPattern as error:
        raise definition.refuse("datepattern", str(error)) from error
    zone = definition.logtimezone
    try:
        offset = None if zone is None else minutes_east(zone)
    except ValueError as error:
        raise definition.refuse("logtimezone", str(error)) from error
    rules = Expressions(definition)
    dated = any(each.expression.pattern != "^()" for each in templates)
    needles = None if definition.maxlines > 1 else whole_needles(rules.needles, templates)
    usedns, maxlines, journal = definition.usedns, definition.maxlines, definition.journal
    return CompiledFilter(rules, templates, dated, needles, usedns, offset, maxlines, journal)
