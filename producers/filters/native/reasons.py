"""Why a native filter takes a line, or does not: for people who write filters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from producers.contract import LINE_LIMIT_BYTES
from producers.filters.entries import Entry, unwrap
from producers.filters.native.compiler import AGAIN, FieldsPattern, LinePattern
from producers.filters.native.filter import NativeFilter
from producers.filters.native.matcher import ANY
from producers.filters.native.pieces import PLACE, expand
from producers.filters.rows import contains

SHOWN: Final = 60
MOST_PROGRAMS: Final = 6
STEP: Final = re.compile(PLACE.pattern + r"|\(\?P<\w+>|\\.|\[(?:\\.|[^\]\\])+\]|.", re.DOTALL)


def taken(filter_: NativeFilter, line: bytes) -> tuple[str, Mapping[str, str]] | None:
    """The table whose pattern a line matches, by itself, and what it captures but for free texts.

    None when none does, or when the filter's code has no rules.
    """
    found = filter_.rules.first(unwrap(line))
    if found is None:
        return None
    groups = {
        name.partition(AGAIN)[0]: text.decode("utf-8", "replace")
        for name, text in found[1].items()
        if not name.startswith("_")
    }
    return found[0].rule.place, groups


def nearness(filter_: NativeFilter, line: bytes) -> int:
    """How like a filter's lines a line is: of two filters, the likelier one reads more of it.

    What a program of the service's own says is likelier its than any other's.
    """
    entry = unwrap(line)
    read = 0 if filter_.engine is not None else max(_near(filter_, line, entry), default=(0, ""))[0]
    same = entry.program is not None and entry.program == filter_.service.encode()
    return read + LINE_LIMIT_BYTES * (is_named(filter_, entry) + same)


def is_named(filter_: NativeFilter, entry: Entry) -> bool:
    """Whether the program that a line names is one that the filter names; not any, where it takes any."""
    return ANY not in filter_.rules.programs and filter_.rules.is_entry_mine(entry)


def reason(filter_: NativeFilter, line: bytes) -> str:
    """What keeps a filter from taking a line."""
    entry = unwrap(line)
    if filter_.engine is not None:
        begins = line.find(entry.text) + 1
        what = f"the message that begins at character {begins}" if begins > 1 and entry.text else "it"
        return f"its code reads nothing in {what}"
    needles = filter_.needles
    if needles is not None and not contains(line, needles):
        return "it holds nothing of what the filter looks for"
    read, why = max(_near(filter_, line, entry), default=(0, "no pattern is like it"))
    if entry.program is None or filter_.rules.is_mine(entry.program):
        return why
    name = entry.program.decode("utf-8", "replace")
    foreign = f"it is of the program {name}, not of {_listed(filter_.programs) or 'a log of its own'}"
    return f"{foreign}; for a line of its own log, {why}" if read else foreign


def _listed(programs: tuple[str, ...]) -> str:
    more = len(programs) - MOST_PROGRAMS
    return ", ".join(programs[:MOST_PROGRAMS]) + (f" or {more} more" if more > 0 else "")


def _near(filter_: NativeFilter, line: bytes, entry: Entry) -> Iterator[tuple[int, str]]:
    """For each pattern: how many characters it reads, and at which of the line it stops."""
    mine = filter_.rules.is_entry_mine(entry)
    taken_for = entry if mine else entry.plain()
    for pattern in filter_.rules.patterns:
        if isinstance(pattern, FieldsPattern):
            yield 0, f"{pattern.rule.place}: {_of_fields(pattern, taken_for)}"
        elif pattern.rule.shape == "line":
            text = taken_for.text if mine else taken_for.line
            begins = max(line.rfind(text), 0) if text else 0
            for each in pattern.rule.lines:
                yield _stops(filter_, pattern, each, (text, begins), mine=mine)
        else:
            yield 0, f"{pattern.rule.place}: it is no access log's line with these columns"


def _stops(
    filter_: NativeFilter, pattern: LinePattern, line: str, at: tuple[bytes, int], *, mine: bool
) -> tuple[int, str]:
    """How much of a text, and where it begins, the longest beginning of an expression reads."""
    text, begins = at
    header = f"(?:{pattern.headed or ''}){'?' if mine else ''}"
    ends = [each.end() for each in STEP.finditer(line)]
    for end in (*reversed(ends), 0):
        expression = _compiled(header, line[:end], filter_)
        found = None if expression is None else expression.match(text)
        if found is not None:
            read, rest = found[0].decode("utf-8", "replace"), text[found.end() :].decode("utf-8", "replace")
            if end == len(line) and not rest and pattern.rule.kind == "session":
                return (
                    found.end(),
                    f"{pattern.rule.place}: it tells of a connection, which is no event by itself",
                )
            wanted = f"wants {line[end : end + SHOWN]!r}" if line[end:] else "ends"
            place = begins + found.end() + 1
            stops = f"reads {read[-SHOWN:]!r}, then {wanted}, and at character {place} finds {rest[:SHOWN]!r}"
            return found.end(), f"{pattern.rule.place}: {stops}"
    return 0, f"{pattern.rule.place}: it does not begin with a header that the filter knows"


def _compiled(header: str, beginning: str, filter_: NativeFilter) -> re.Pattern[bytes] | None:
    try:
        whole = header + expand(beginning, filter_.definition.pieces)
        return re.compile(re.sub(r"\(\?P<\w+>", "(", whole).encode(), re.DOTALL)
    except (re.error, ValueError):
        return None


def _of_fields(pattern: FieldsPattern, entry: Entry) -> str:
    value = pattern.value(entry)
    if value is None:
        return f"it is no {'JSON object' if pattern.rule.shape == 'json' else 'line of key=value pairs'}"
    for path, test in pattern.tests:
        text = pattern.text_at(value, path)
        if test.fullmatch(text) is None:
            return f"{'.'.join(path)} is {text.decode('utf-8', 'replace')[:SHOWN]!r}"
    return "it matches, and names no address"
