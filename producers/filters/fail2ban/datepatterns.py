"""Date patterns, in fail2ban's language, as expressions that find a date in a line.

| pattern | means |
|---|---|
| `%Y %m %d %H %M %S ...` | strptime's tokens, some more tolerant |
| `%k`, `%l` | the hour, a space or nothing for its first digit |
| `%ExY`, `%Exm`, `%ExH`, ... | exact: all digits there, years of this century |
| `%Exz %ExZ` | zones by abbreviation too |
| `EPOCH`, `LEPOCH`, `{EPOCH}`, `{LEPOCH}` | Unix seconds; seconds, milli- or microseconds; within a pattern |
| `TAI64N` | daemontools' labels |
| `{^LN-BEG}` before it | at the line's beginning, at most two characters that are no letters before it |
| `{UNB}` before it, `**` at an end | no bound of a word is asked for there |
| `{^LN-BEG}` alone | the default patterns at the line's beginning |
| `{DEFAULT}`, `{NONE}` alone | no pattern of its own; no date |
| `{DATE}` within it | each of the default patterns in turn |

What the first group matches is the date, and is cut from the line; without a group that is the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from producers.filters.fail2ban.bounds_of_dates import begins_line, bounded, ends_line
from producers.filters.fail2ban.tokens import WrongPattern, with_tokens

LINE_BEGIN: Final = "{^LN-BEG}"
UNBOUND: Final = "{UNB}"
DEFAULTS: Final = "{DEFAULT}"
NONE: Final = "{NONE}"

OF_LETTERS: Final = re.compile(r"(?<!%)%[aAbBpc]")

CLOCK: Final = "%H:%M:%S"
FRACTION: Final = r"(?:\.%f)?"
FRACTION_AND_ZONE: Final = r"(?:[.,]%f)?(?:\s*%z)?"
MONTH_DAY: Final = rf"(?:%a )?%b %d %k:%M:%S{FRACTION}(?: %ExY)?"
DEFAULT_PATTERNS: Final = (
    rf"%ExY(?P<_sep>[-/.])%m(?P=_sep)%d(?:T|  ?){CLOCK}{FRACTION_AND_ZONE}",
    MONTH_DAY,
    rf"(?:%a )?%b %d %ExY %k:%M:%S{FRACTION}",
    r"%d(?P<_sep>[-/])%m(?P=_sep)(?:%ExY|%Exy) %k:%M:%S",
    rf"%d(?P<_sep>[-/])%b(?P=_sep)%ExY[ :]?{CLOCK}{FRACTION}(?: %z)?",
    f"%m/%d/%ExY:{CLOCK}",
    rf"%m-%d-%ExY %k:%M:%S{FRACTION}",
    "EPOCH",
    LINE_BEGIN + CLOCK,
    f"^<%m/%d/%Exy@{CLOCK}>",
    f"%Exy%Exm%Exd  ?{CLOCK}",
    "%b %d, %ExY %I:%M:%S %p",
    "^%b-%d-%Exy %k:%M:%S",
    rf"%ExY%Exm%Exd(?:T|  ?)%ExH%ExM%ExS{FRACTION_AND_ZONE}",
    f"(?:%Z )?{MONTH_DAY}",
    f"(?:%z )?{MONTH_DAY}",
    "TAI64N",
)
"""In this order: ISO 8601, syslog and asctime, the year after the day, day first, web servers, cPanel, month
first, Unix seconds, the time alone, a bracketed date, MySQL, Tomcat, ASSP, ISO without separators, monit's
zones before the date, offsets before the date, TAI64N."""

EPOCH_INSIDE: Final = re.compile(r"(?<!\\)\{L?EPOCH\}", re.IGNORECASE)
DATE_INSIDE: Final = re.compile(r"(?<!\\)\{DATE\}", re.IGNORECASE)
SECONDS: Final = r"\d{10,11}\b(?:\.\d{3,6})?"
LONG_SECONDS: Final = r"\d{10,11}(?:\d{3}(?:\.\d{1,6}|\d{3})?)?"
BY_KEY: Final = {mark + word for word in ("EPOCH", "LEPOCH", "TAI64N") for mark in ("", LINE_BEGIN, "^")}

Kind = Literal["parts", "epoch", "long epoch", "tai64n"]


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One form of date.

    Attributes:
        key: tells it from others.
        expression: finds it; group 1 is the date.
        anchored: it is tied to the line's beginning or end.
        preferred: made from a default pattern, to be tried before those that may stand anywhere.
        kind: how the match is read.
        group: of an epoch, the group that holds the number.
    """

    key: str
    expression: re.Pattern[str]
    anchored: bool
    kind: Kind = "parts"
    group: int = 1
    preferred: bool = False


def templates_of(pattern: str | None, year: int) -> list[Template]:
    """The templates of a filter's `datepattern`, one pattern a line; None: the default ones.

    `year` is the present one. Raises WrongPattern.
    """
    found: dict[str, Template] = {}
    for line in filter(None, (each.strip() for each in (pattern or "").split("\n"))):
        listed = list(_of_line(line, year))
        for template in listed:
            if template.key in found and len(listed) == 1:
                raise WrongPattern(f"{line!r} is there twice")
            found.setdefault(template.key, template)
    if not found:
        return default_templates(year)
    return list(found.values())


def default_templates(year: int) -> list[Template]:
    """The default forms at the line's beginning, then the same anywhere."""
    anchored = [
        _template(LINE_BEGIN + pattern, year, preferred=True)
        for pattern in DEFAULT_PATTERNS
        if not pattern.startswith((LINE_BEGIN, "^"))
    ]
    return anchored + [_template(pattern, year) for pattern in DEFAULT_PATTERNS]


def _of_line(pattern: str, year: int) -> Iterator[Template]:
    key = pattern if "%" in pattern else pattern.upper()
    if key == LINE_BEGIN:
        yield from (each for each in default_templates(year) if begins_line(each.expression.pattern))
    elif "{DATE}" in key:
        for each in DEFAULT_PATTERNS:
            bare = each.removeprefix(LINE_BEGIN)
            shown = "Epoch" if bare == "EPOCH" else bare
            yield _template(shown.join(DATE_INSIDE.split(pattern)), year)
    elif key == NONE:
        yield _template(UNBOUND + "^", year)
    elif key != DEFAULTS:
        yield _template(pattern, year)


def _template(pattern: str, year: int, *, preferred: bool = False) -> Template:
    key = pattern if "%" in pattern else pattern.upper()
    inside = EPOCH_INSIDE.search(pattern)
    if inside is not None:
        long = "LEPOCH" in key
        number = LONG_SECONDS if long else SECONDS
        regex = "(" + EPOCH_INSIDE.sub(lambda _: f"({number})", pattern) + ")"
        return _made(key, bounded(regex), "long epoch" if long else "epoch", 2)
    if key not in BY_KEY:
        return _made(key, _of_parts(pattern, year), preferred=preferred)
    begins = key[0] in "{^"
    word = key.removeprefix(LINE_BEGIN).removeprefix("^")
    if word == "TAI64N":
        regex = bounded("@[0-9a-f]{24}", begin="line" if begins else "")
        return _made(key, regex, "tai64n", preferred=preferred)
    kind: Kind = "long epoch" if word == "LEPOCH" else "epoch"
    number = LONG_SECONDS if word == "LEPOCH" else SECONDS
    if begins:
        regex = bounded(rf"((?P<square>(?<=^\[))?{number})(?(square)(?=\]))", begin="line")
    else:
        before = r"^|(?P<square>(?<=^\[))|(?P<selinux>(?<=\baudit\())"
        after = r"(?(selinux)(?=:\d+\)))|(?(square)(?=\]))"
        regex = bounded(f"((?:{before}){number})(?:{after})", begin="")
    return _made(key, regex, kind, preferred=preferred)


def _of_parts(pattern: str, year: int) -> str:
    text, begin, end = pattern, "word", True
    if text.startswith(UNBOUND):
        text, begin, end = text.removeprefix(UNBOUND), "", False
    elif text.startswith(LINE_BEGIN):
        text, begin = text.removeprefix(LINE_BEGIN), "line"
    regex = with_tokens(text, year)
    if OF_LETTERS.search(text):
        regex = "(?iu)" + regex
    return bounded(regex, begin=begin, end=end)


def _made(key: str, regex: str, kind: Kind = "parts", group: int = 1, *, preferred: bool = False) -> Template:
    try:
        expression = re.compile(regex)
    except re.error as error:
        raise WrongPattern(f"{key!r} becomes {regex!r}: {error}") from error
    anchored = begins_line(regex) or ends_line(regex)
    return Template(key, expression, anchored, kind, group, preferred)
