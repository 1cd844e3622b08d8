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
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WEEK: Final = r"5[0-3]|[0-4]\d|\d"
ABBREVIATION: Final = r"[A-Z](?:[A-Z]{2,4})?"
OFFSET: Final = r"[+-][01]\d(?::?\d{2})?"
FIRST_YEAR: Final = 2000
HOUR_AFTER_BLANK: Final = "| [1-9]" if sys.version_info >= (3, 13) else ""
"""fail2ban takes this token from Python's strptime, which reads ` 9` for `09` since 3.13."""


def _named(names: tuple[str, ...]) -> str:
    return "|".join(sorted(names, key=len, reverse=True))


TOKENS: Final[dict[str, str]] = {
    "%": "%",
    "a": f"(?P<a>{_named(tuple(name[:3] for name in WEEKDAYS))})",
    "A": f"(?P<A>{_named(WEEKDAYS)})",
    "b": f"(?P<b>{_named(tuple(name[:3] for name in MONTHS))})",
    "B": f"(?P<B>{_named(MONTHS)})",
    "d": r"(?P<d>[1-2]\d|[0 ]?[1-9]|3[0-1])",
    "f": r"(?P<f>[0-9]{1,6})",
    "G": r"(?P<G>\d\d\d\d)",
    "H": r"(?P<H>[0-1]?\d|2[0-3])",
    "I": rf"(?P<I>1[0-2]|0[1-9]|[1-9]{HOUR_AFTER_BLANK})",
    "j": r"(?P<j>36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9])",
    "k": r" ?(?P<H>[0-2]?\d)",
    "l": r" ?(?P<I>1?\d)",
    "m": r"(?P<m>0?[1-9]|1[0-2])",
    "M": r"(?P<M>[0-5]?\d)",
    "p": "(?P<p>am|pm)",
    "S": r"(?P<S>[0-5]?\d|6[0-1])",
    "u": "(?P<u>[1-7])",
    "U": f"(?P<U>{WEEK})",
    "V": r"(?P<V>5[0-3]|0[1-9]|[1-4]\d|\d)",
    "w": "(?P<w>[0-6])",
    "W": f"(?P<W>{WEEK})",
    "y": r"(?P<y>\d\d)",
    "Y": r"(?P<Y>\d{4})",
    "z": f"(?P<z>Z|UTC|GMT|{OFFSET})",
    "Z": "(?P<Z>Z|[A-Z]{3,5})",
    "Exd": r"(?P<d>[1-2]\d|0[1-9]|3[0-1])",
    "ExH": r"(?P<H>[0-1]\d|2[0-3])",
    "Exk": r" ?(?P<H>[0-1]?\d|2[0-3])",
    "Exl": r" ?(?P<I>1[0-2]|\d)",
    "Exm": "(?P<m>0[1-9]|1[0-2])",
    "ExM": r"(?P<M>[0-5]\d)",
    "ExS": r"(?P<S>[0-5]\d|6[0-1])",
    "Exy": r"(?P<y>\d{2})",
    "Exz": f"(?P<z>(?:{ABBREVIATION})?{OFFSET}|{ABBREVIATION})",
    "ExZ": f"(?P<Z>{ABBREVIATION})",
}
"""What each token matches; `%ExY` depends on the year, `%c`, `%x` and `%X` are made of others."""
STDLIB_D: Final = r"(?P<d>3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9])"
STDLIB_M: Final = "(?P<m>1[0-2]|0[1-9]|[1-9])"
STDLIB_TIME: Final = r"(?P<H>2[0-3]|[0-1]\d|\d):(?P<M>[0-5]\d|\d):(?P<S>6[0-1]|[0-5]\d|\d)"
COMPOSED: Final = {
    "c": rf"{TOKENS['a']}\s+{TOKENS['b']}\s+{STDLIB_D}\s+{STDLIB_TIME}\s+(?P<Y>\d\d\d\d)",
    "x": f"{STDLIB_M}/{STDLIB_D}/{TOKENS['y']}",
    "X": STDLIB_TIME,
}
TOKEN: Final = re.compile(r"%(Ex[YydmHklMSzZ]|[A-Za-z%]|)")


class WrongPattern(ValueError):  # noqa: N818 - said of a pattern
    """A date pattern is none."""


def with_tokens(pattern: str, year: int) -> str:
    """A pattern as an expression; `year` is the present one. Raises WrongPattern."""
    return TOKEN.sub(lambda found: _token(found[1], pattern, year), pattern)


def _token(name: str, pattern: str, year: int) -> str:
    if name == "ExY":
        return f"(?P<Y>{_decades(year)}\\d)"
    found = TOKENS.get(name) or COMPOSED.get(name)
    if found is None:
        raise WrongPattern(f"{pattern!r}: %{name} is no token; a percent sign is written %%")
    return found


def _decades(year: int) -> str:
    """The first three digits of the years from 2000 to three years ahead."""
    digits = "".join(str(decade) for decade in range((year + 3 - FIRST_YEAR) // 10 + 1))
    return f"20[{digits}]"


FLAGS: Final = re.compile(r"\(\?[a-z]+\)")
GROUP: Final = re.compile(r"(?<!\(\?)(?<!\\)\((?!\?)")
PARTS: Final = re.compile(r"(?P<head>(?:\(\?\w+\))?\^?(?:\(\?\w+\))?)(?P<body>.*?)(?P<tail>\$?)\Z")
FREE_BEGIN: Final = re.compile(r"\(*(?:\(\?\w+\))?(?:\^|\(*\*\*|\((?:\?:)?\^)")
FREE_END: Final = re.compile(r"(?<!\\)(?:\$\)?|\\b|\\s|\*\*\)*)\Z")
STARS_BEGIN: Final = re.compile(r"(\(*(?:\(\?\w+\))?\(*)\*\*")
STARS_END: Final = re.compile(r"(?<!\\)\*\*(\)*)\Z")
TIED_BEGIN: Final = re.compile(r"(?:\(\?\w+\))?(?:\^|\((?:\?:)?\^(?!\|))")
TIED_END: Final = re.compile(r"(?<![\\|])\$\)?\Z")


def within_bounds(regex: str, *, begin: str = "word", end: bool = True) -> str:
    """An expression with a group 1, between bounds of words or from the line's beginning."""
    regex = regex.strip()
    flags = FLAGS.search(regex)
    if flags is not None:
        regex = regex[: flags.start()] + regex[flags.end() :]
    bound_begin = begin and not FREE_BEGIN.match(regex)
    bound_end = end and not FREE_END.search(regex)
    if not GROUP.search(regex):
        regex = PARTS.sub(r"\g<head>(\g<body>)\g<tail>", regex, count=1)
    if bound_begin:
        regex = (r"^(?:\W{0,2})?" if begin == "line" else r"(?=^|\b|\W)") + regex
    if bound_end:
        regex += r"(?=\b|\W|$)"
    regex = STARS_END.sub(
        r"\1", STARS_BEGIN.sub(r"\1", regex, count=1) if STARS_BEGIN.match(regex) else regex
    )
    return (flags[0] if flags else "") + regex


def begins_line(regex: str) -> bool:
    """Whether an expression is tied to the line's beginning."""
    flags = FLAGS.match(regex)
    return TIED_BEGIN.match(regex, flags.end() if flags else 0) is not None


def ends_line(regex: str) -> bool:
    """Whether an expression is tied to the line's end."""
    return TIED_END.search(regex) is not None


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

Reading = Literal["parts", "epoch", "long epoch", "tai64n"]


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
    kind: Reading = "parts"
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
        return _made(key, within_bounds(regex), "long epoch" if long else "epoch", 2)
    if key not in BY_KEY:
        return _made(key, _of_parts(pattern, year), preferred=preferred)
    begins = key[0] in "{^"
    word = key.removeprefix(LINE_BEGIN).removeprefix("^")
    if word == "TAI64N":
        regex = within_bounds("@[0-9a-f]{24}", begin="line" if begins else "")
        return _made(key, regex, "tai64n", preferred=preferred)
    kind: Reading = "long epoch" if word == "LEPOCH" else "epoch"
    number = LONG_SECONDS if word == "LEPOCH" else SECONDS
    if begins:
        regex = within_bounds(rf"((?P<square>(?<=^\[))?{number})(?(square)(?=\]))", begin="line")
    else:
        before = r"^|(?P<square>(?<=^\[))|(?P<selinux>(?<=\baudit\())"
        after = r"(?(selinux)(?=:\d+\)))|(?(square)(?=\]))"
        regex = within_bounds(f"((?:{before}){number})(?:{after})", begin="")
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
    return within_bounds(regex, begin=begin, end=end)


def _made(
    key: str, regex: str, kind: Reading = "parts", group: int = 1, *, preferred: bool = False
) -> Template:
    try:
        expression = re.compile(regex)
    except re.error as error:
        raise WrongPattern(f"{key!r} becomes {regex!r}: {error}") from error
    anchored = begins_line(regex) or ends_line(regex)
    return Template(key, expression, anchored, kind, group, preferred)
