"""A filter's expressions, compiled, and what they find in one text: the message with the date cut out."""

from __future__ import annotations

import re
from typing import Final

from producers.filters.fail2ban.alternatives import First, first_of
from producers.filters.fail2ban.definition import Definition
from producers.filters.fail2ban.expressions import Captured, Expression, WrongExpression
from producers.filters.literals import rarer, required_literals
from producers.filters.rows import Needle, Needles

EARLY_MARGIN: Final = 2

Kept = tuple[tuple[str, ...], tuple[int, ...]]


class Rules:
    """The expressions of one filter.

    Attributes:
        prefix: what a line must match first, or None.
        failures: the failregex expressions.
        ignored: the ignoreregex expressions.
        early: whether lines are tried against `ignored` before anything else.
    """

    __slots__ = ("_content", "_first", "_kept", "_prefix_match", "early", "failures", "ignored", "prefix")

    def __init__(self, definition: Definition) -> None:
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
        return {
            name: value
            for name, value in zip(names, (*values[:-2], *before.group(*indices)), strict=False)
            if value is not None
        }

    def merged(self, at: int, before: re.Match[str] | None, captured: Captured) -> Captured:
        """What a failregex captured, and what prefregex did that is not a group of that failregex."""
        if before is None or self.prefix is None:
            return captured
        names = {"content", *self.failures[at].names}
        return {
            **{key: value for key, value in self.prefix.captured(before).items() if key not in names},
            **captured,
        }

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
    definition: Definition, key: str, texts: tuple[str, ...], *, multiline: bool = False
) -> tuple[Expression, ...]:
    found: list[Expression] = []
    for number, text in enumerate(texts, 1):
        try:
            found.append(Expression(text, usedns=definition.usedns, multiline=multiline))
        except WrongExpression as error:
            raise definition.refuse(f"{key}, expression {number}", str(error)) from error
    return tuple(found)
