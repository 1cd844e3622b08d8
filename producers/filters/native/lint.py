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
from collections.abc import Iterator
from itertools import takewhile
from typing import Any, Final

from producers.filters.ambiguity import ambiguous
from producers.filters.native.compiler import (
    AGAIN,
    FieldsPattern,
    LinePattern,
    check_expressions,
    compile_rules,
)
from producers.filters.native.definition import Definition
from producers.filters.native.pieces import expand
from producers.filters.syntax import CHARACTERS, REPEATS, ZERO_WIDTHS, character, op, parser

TRUSTED: Final = frozenset({"time", "utc"})
"""What the service itself writes."""
NAMING: Final = {"ip": "the address", "session": "the session"}
"""What says whom an event is of."""
DIGIT: Final = 0x31
SHORTEST: Final = 2
"""A repeat of fewer characters holds no address."""
OPTIONAL: Final = (op.AT, None)
"""Stands, as a part without width, on both sides of what need not be there."""

Part = tuple[Any, Any]


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
        if _goes_on(list(parser.parse(expand(header, definition.pieces).encode(), re.DOTALL)), []):
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


def _goes_on(parts: list[Part], behind: list[Part]) -> bool:
    """Whether some free text among these parts may hold all of the literal text behind it."""
    for number, (code, argument) in enumerate(parts, start=1):
        following = [*parts[number:], *behind]
        if _is_free(code, argument) and argument[1] >= SHORTEST:
            ends = (each[1] for each in takewhile(lambda each: each[0] is op.LITERAL, following))
            if all(_takes(code, argument, byte=byte) for byte in ends):
                return True
        elif any(_goes_on(inner, following) for inner in _inner(code, argument)):
            return True
    return False


def _inner(code: Any, argument: Any) -> list[list[Part]]:
    """The sequences of parts that a part is made of."""
    if code is op.BRANCH:
        return [list(each) for each in argument[1]]
    if code is op.SUBPATTERN:
        return [list(argument[3])]
    if code is op.ATOMIC_GROUP:
        return [list(argument)]
    return [list(argument[2])] if code in REPEATS else []


def forgery(source: str) -> str | None:
    """What lets a client forge the address in an expression, or the session; None when nothing does."""
    tree = parser.parse(source.encode(), re.DOTALL)
    for name, group in tree.state.groupdict.items():
        what = NAMING.get(name.partition(AGAIN)[0])
        problem = None if what is None else _forgery(tree, group, what)
        if problem is not None:
            return problem
    return None


def _forgery(tree: Any, group: int, what: str) -> str | None:
    before: list[Part] = []
    after: list[Part] = []
    if not _split(list(tree), group, before, after):
        return f"{what} stands within an assertion or a condition"
    leads = _leads(before)
    trusted = {number for name, number in tree.state.groupdict.items() if name in TRUSTED}
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


def _split(parts: list[Part], group: int, before: list[Part], after: list[Part]) -> bool:
    """Sort the parts around the group into those before it and those after it; whether it was there."""
    found = False
    for code, argument in parts:
        if found:
            after.append((code, argument))
        elif code is op.SUBPATTERN and argument[0] == group:
            found = True
        elif _holds((code, argument), group):
            found = _split_inner(code, argument, group, before, after)
        else:
            before.append((code, argument))
    return found


def _beside(parts: list[Part]) -> Iterator[Part]:
    """What stands right beside each end of what need not be there."""
    wanted = False
    for part in parts:
        if wanted and part[0] not in ZERO_WIDTHS:
            yield part
        wanted = part == OPTIONAL or (wanted and part[0] in ZERO_WIDTHS)


def _split_inner(code: Any, argument: Any, group: int, before: list[Part], after: list[Part]) -> bool:
    branches = _inner(code, argument)
    branch = next(each for each in branches if any(_holds(part, group) for part in each))
    optional = [OPTIONAL] if [] in branches or (code in REPEATS and argument[0] == 0) else []
    before += optional
    found = _split(branch, group, before, after)
    after += optional
    return found


def _holds(part: Part, group: int) -> bool:
    code, argument = part
    if code is op.SUBPATTERN and argument[0] == group:
        return True
    return any(_holds(each, group) for inner in _inner(code, argument) for each in inner)


def _leads(before: list[Part]) -> list[bytes]:
    """The literal texts before the address, back to the last free text.

    What may stand at a line's beginning or not is taken to stand there: else there is nothing to be open.
    """
    found: list[bytes] = [b""]
    first = [] if not before or before[0][0] not in REPEATS or before[0][1][1] != 1 else list(before[0][1][2])
    for code, argument in reversed(_flat([*first, *before[bool(first) :]])):
        if code is op.LITERAL:
            found[-1] = bytes([argument]) + found[-1]
        elif code is op.AT or (code in REPEATS and argument[0] == 0 and _is_literal(argument[2])):
            continue
        elif _is_free(code, argument):
            break
        else:
            found.append(b"")
    return [each for each in found if each]


def _flat(parts: list[Part]) -> list[Part]:
    """Parts with the groups that stand there once taken apart, but for those that ignore case or the like."""
    flat: list[Part] = []
    for code, argument in parts:
        flat += _flat(list(argument[3])) if code is op.SUBPATTERN and not argument[1] else [(code, argument)]
    return flat


def _is_literal(parts: Any) -> bool:
    return all(code is op.LITERAL for code, _ in parts)


def _is_free(code: Any, argument: Any) -> bool:
    """Whether a part may be about any text."""
    return code in REPEATS and all(any(_takes(*part, byte=byte) for part in argument[2]) for byte in b" a1,=")


class _Side:
    """The parts on one side of the address. `fenced`: a part that is said to be without the lead has none."""

    def __init__(self, leads: list[bytes], trusted: set[int], *, fenced: bool) -> None:
        self._leads = leads
        self._bytes = {DIGIT, *b"".join(leads)}
        self._trusted = trusted
        self._fenced = fenced

    def is_open(self, part: Part) -> bool:
        """Whether a part may hold a copy of the lead, and an address."""
        code, argument = part
        if code in REPEATS:
            return self._repeat_is_open(argument)
        if code is op.SUBPATTERN and argument[0] in self._trusted:
            return False
        return any(self.is_open(each) for inner in _inner(code, argument) for each in inner)

    def _repeat_is_open(self, argument: tuple[int, Any, Any]) -> bool:
        _, most, parts = argument
        if most < max([SHORTEST, *map(len, self._leads)]):
            return any(map(self.is_open, parts))
        without = [_literals(inner[1]) for code, inner in parts if code is op.ASSERT_NOT and inner[0] > 0]
        if self._fenced and any(text and text in lead for text in without for lead in self._leads):
            return False
        return all(any(_takes(*part, byte=byte) for part in parts) for byte in self._bytes)


def _literals(parts: Any) -> bytes:
    return bytes(number for _, number in parts) if _is_literal(parts) else b""


def _takes(code: Any, argument: Any, *, byte: int) -> bool:
    """Whether one part of a repeat may be this byte."""
    if code in CHARACTERS:
        # Latin-1 characters under ASCII's classes are what bytes are to one on bytes; a group around
        # them may ignore case.
        flags = re.DOTALL | re.ASCII | re.IGNORECASE
        return character(code, argument, flags).match(chr(byte)) is not None
    return any(_takes(*each, byte=byte) for inner in _inner(code, argument) for each in inner)
