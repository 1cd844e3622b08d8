r"""Can a client forge an address? An expression is looked at for places where it could.

The address stands behind literal texts, its leads: ` from `, `, client: `. A part of the expression is
open when it could hold a copy of the lead and an address: a client who fills that part can write one there.
A part is fenced when it is said to be without the lead: `{user!, client: }`.

| parts before the address | parts after it | |
|---|---|---|
| none open | any | the first lead of the line is the service's own |
| some open | none open | the last one is |
| open ones fenced | open ones fenced | there is but one; a line with two is not read |
| some open | some open | nobody can tell: refused |

A session's name tells an address too, and is looked at in the same way.

An address that need not be there is refused where free text stands right beside it: in a line in which the
service wrote none, a client may write one. So is one within an assertion.

A line is always matched whole, so no expression lacks an anchor. The same holds for an address in the text of
an object's value: what a client wrote may stand within that text. A value that is an address is the service's
own; whether its key stands there once is looked at in each line (`producers.filters.native.compiler`).

A header that could go on into the message would undo all that: it is refused unless what its free parts hold
ends where a character of the text behind them stands first, as in `\[[^\]]{1,64}\] `.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, TypeGuard

from producers.filters import syntax
from producers.filters.ambiguity import ambiguous
from producers.filters.native.compiler import (
    AGAIN,
    FieldsPattern,
    LinePattern,
    apart,
    check_expressions,
    compile_rules,
)
from producers.filters.native.definition import Definition
from producers.filters.native.pieces import expand
from producers.filters.syntax import Part, Parts, Repeat, character, parse, within

TRUSTED: Final = frozenset({"time", "utc"})
"""What the service itself writes."""
NAMING: Final = {"ip": "the address", "session": "the session"}
"""What says whom an event is of."""
DIGIT: Final = 0x31
SHORTEST: Final = 2
"""A repeat of fewer characters holds no address."""
OPTIONAL: Final = syntax.Anchor("")
"""Stands, as a part without width, on both sides of what need not be there."""


def dangers(definition: Definition) -> Iterator[str]:
    """A sentence for everything by which a line could fool or stop the filter. Raises ConfigError."""
    check_expressions(definition)
    yield from forgeries(definition)
    for pattern in compile_rules(definition):
        whole = pattern.tests if isinstance(pattern, FieldsPattern) else [("", pattern.own)]
        for _, expression in whole:
            text = ambiguous(expression.pattern, re.DOTALL)
            if text is not None:
                yield (
                    f"{definition.name}, {pattern.rule.place}: may take for ever: a repeat within a repeat "
                    f"reads {text!r} in more than one way"
                )


def forgeries(definition: Definition) -> Iterator[str]:
    """A sentence for each way in which a client could write an address of his own."""
    for header in definition.headers:
        expression = apart(expand(header, definition.pieces), Counter())
        if _goes_on(parse(expression.encode(), re.DOTALL).parts, ()):
            yield (
                f"{definition.name}, the header {header!r}: its free text could go on into the message; "
                "end it at a character that it cannot hold, as in \\[[^\\]]+\\]"
            )
    for pattern in compile_rules(definition):
        texts = [("", pattern.source)] if isinstance(pattern, LinePattern) else pattern.where
        for key, text in texts:
            problem = forgery(text)
            if problem is not None:
                yield f"{definition.name}, {pattern.rule.place}: {f'{key}: ' if key else ''}{problem}"


def _goes_on(parts: Parts, behind: Parts) -> bool:
    """Whether some free text among these parts may hold all of the literal text behind it."""
    for number, part in enumerate(parts, start=1):
        following = (*parts[number:], *behind)
        if _is_free(part) and part.most >= SHORTEST:
            if all(_takes(part, byte=byte) for byte in _leading(following)):
                return True
        elif any(_goes_on(inner, following) for inner in within(part)):
            return True
    return False


def _leading(parts: Parts) -> bytes:
    """The literal text that parts begin with."""
    found = bytearray()
    for each in parts:
        if not isinstance(each, syntax.Literal):
            break
        found.append(each.number)
    return bytes(found)


def forgery(source: str) -> str | None:
    """What lets a client forge the address in an expression, or the session; None when nothing does."""
    tree = parse(source.encode(), re.DOTALL)
    for name, group in tree.names.items():
        what = NAMING.get(name.partition(AGAIN)[0])
        problem = None if what is None else _forgery(tree, group, what)
        if problem is not None:
            return problem
    return None


def _forgery(tree: syntax.Tree, group: int, what: str) -> str | None:
    before: list[Part] = []
    after: list[Part] = []
    if not _split(tree.parts, group, before, after):
        return f"{what} stands within an assertion or a condition"
    leads = _leads(before)
    trusted = {number for name, number in tree.names.items() if name in TRUSTED}
    raw, fenced = _Side(leads, trusted, fenced=False), _Side(leads, trusted, fenced=True)
    if any(map(fenced.is_open, (*_beside(before[::-1]), *_beside(after)))):
        return f"{what} need not be there, and free text beside it may hold what leads to it, {leads}"
    if not any(map(raw.is_open, before)):
        return None
    if leads and not any(map(raw.is_open, after)):
        return None
    if leads and not any(map(fenced.is_open, (*before, *after))):
        return None
    return f"free text stands both before {what} and after it, and may hold what leads to it, {leads}"


def _split(parts: Parts, group: int, before: list[Part], after: list[Part]) -> bool:
    """Sort the parts around the group into those before it and those after it; whether it was there."""
    found = False
    for part in parts:
        if found:
            after.append(part)
        elif _is_group(part, group):
            found = True
        elif _holds(part, group):
            found = _split_within(part, group, before, after)
        else:
            before.append(part)
    return found


def _split_within(part: Part, group: int, before: list[Part], after: list[Part]) -> bool:
    branches = within(part)
    branch = next(each for each in branches if any(_holds(inner, group) for inner in each))
    absent = () in branches or (isinstance(part, Repeat) and part.least == 0)
    optional = [OPTIONAL] if absent else []
    before += optional
    found = _split(branch, group, before, after)
    after += optional
    return found


def _beside(parts: list[Part]) -> Iterator[Part]:
    """What stands right beside each end of what need not be there."""
    wanted = False
    for part in parts:
        if wanted and not isinstance(part, syntax.ZeroWidth):
            yield part
        wanted = part == OPTIONAL or (wanted and isinstance(part, syntax.ZeroWidth))


def _is_group(part: Part, group: int) -> bool:
    return isinstance(part, syntax.Group) and part.number == group


def _holds(part: Part, group: int) -> bool:
    if _is_group(part, group):
        return True
    return any(_holds(each, group) for inner in within(part) for each in inner)


def _leads(before: list[Part]) -> list[bytes]:
    """The literal texts before the address, back to the last free text.

    What may stand at a line's beginning or not is taken to stand there: else there is nothing to be open.
    """
    found: list[bytes] = [b""]
    first = before[0] if before else None
    if isinstance(first, Repeat) and first.most == 1:
        before = [*first.parts, *before[bool(first.parts) :]]
    for part in reversed(_flat(before)):
        if isinstance(part, syntax.Literal):
            found[-1] = bytes([part.number]) + found[-1]
        elif isinstance(part, syntax.Anchor) or (
            isinstance(part, Repeat) and part.least == 0 and _is_literal(part.parts)
        ):
            continue
        elif _is_free(part):
            break
        else:
            found.append(b"")
    return [each for each in found if each]


def _flat(parts: list[Part]) -> list[Part]:
    """Parts with the groups that stand there once taken apart, but for those that ignore case or the like."""
    flat: list[Part] = []
    for part in parts:
        flat += _flat(list(part.parts)) if isinstance(part, syntax.Group) and not part.added else [part]
    return flat


def _is_literal(parts: Parts) -> bool:
    return all(isinstance(each, syntax.Literal) for each in parts)


def _is_free(part: Part) -> TypeGuard[Repeat]:
    """Whether a part may be about any text."""
    return isinstance(part, Repeat) and all(_takes(part, byte=byte) for byte in b" a1,=")


class _Side:
    """The parts on one side of the address. `fenced`: a part that is said to be without the lead has none."""

    def __init__(self, leads: list[bytes], trusted: set[int], *, fenced: bool) -> None:
        self._leads = leads
        self._bytes = {DIGIT, *b"".join(leads)}
        self._trusted = trusted
        self._fenced = fenced

    def is_open(self, part: Part) -> bool:
        """Whether a part may hold a copy of the lead, and an address."""
        if isinstance(part, Repeat):
            return self._repeat_is_open(part)
        if isinstance(part, syntax.Group) and part.number in self._trusted:
            return False
        return any(self.is_open(each) for inner in within(part) for each in inner)

    def _repeat_is_open(self, repeat: Repeat) -> bool:
        if repeat.most < max([SHORTEST, *map(len, self._leads)]):
            return any(map(self.is_open, repeat.parts))
        without = [
            _leading(each.parts)
            for each in repeat.parts
            if isinstance(each, syntax.Assertion) and each.negative and each.ahead and _is_literal(each.parts)
        ]
        if self._fenced and any(text and text in lead for text in without for lead in self._leads):
            return False
        return all(_takes(repeat, byte=byte) for byte in self._bytes)


def _takes(part: Part, *, byte: int) -> bool:
    """Whether one part of a repeat may be this byte."""
    if isinstance(part, syntax.Character):
        # Latin-1 characters under ASCII's classes are what bytes are to one on bytes; a group around
        # them may ignore case.
        flags = re.DOTALL | re.ASCII | re.IGNORECASE
        return character(part, flags).match(chr(byte)) is not None
    return any(_takes(each, byte=byte) for inner in within(part) for each in inner)
