"""Date patterns, in fail2ban's language, as expressions that find a date in a line.

| pattern | means |
|---|---|
| `%Y %m %d %H %M %S ...` | strptime's tokens, some more tolerant |
| `%k`, `%l` | the hour, a space or nothing for its first digit |
| `%ExY %Exy %Exm %Exd %ExH %Exk %Exl %ExM %ExS` | exact: all digits there, years of this century |
| `%Exz %ExZ` | zones by abbreviation too |
| `EPOCH`, `LEPOCH`, `{EPOCH}`, `{LEPOCH}` | Unix seconds; seconds, milli- or microseconds; within a pattern |
| `TAI64N` | daemontools' labels |
| `{^LN-BEG}` before it | at the line's beginning, at most two characters that are no letters before it |
| `{UNB}` before it, `**` at an end | no bound of a word is asked for there |
| `{^LN-BEG}`, `{DEFAULT}`, `{NONE}` alone | the default patterns at the line's beginning; no pattern of its own; no date |
| `{DATE}` within it | each of the default patterns in turn |

What the first group matches is the date, and is cut from the line; without a group that is the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from producers.filters.fail2ban.instants import MONTHS, WEEKDAYS

LINE_BEGIN: Final = "{^LN-BEG}"
UNBOUND: Final = "{UNB}"
DEFAULTS: Final = "{DEFAULT}"
NONE: Final = "{NONE}"

WEEK: Final = r"5[0-3]|[0-4]\d|\d"
ABBREVIATION: Final = r"[A-Z](?:[A-Z]{2,4})?"
OFFSET: Final = r"[+-][01]\d(?::?\d{2})?"


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
    "I": r"(?P<I>1[0-2]|0[1-9]|[1-9])",
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
"""What each token matches; `%ExY` depends on the century's decades, `%c`, `%x` and `%X` are made of others."""
STDLIB_D: Final = r"(?P<d>3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9])"
STDLIB_M: Final = "(?P<m>1[0-2]|0[1-9]|[1-9])"
STDLIB_TIME: Final = r"(?P<H>2[0-3]|[0-1]\d|\d):(?P<M>[0-5]\d|\d):(?P<S>6[0-1]|[0-5]\d|\d)"
COMPOSED: Final = {
    "c": rf"{TOKENS['a']}\s+{TOKENS['b']}\s+{STDLIB_D}\s+{STDLIB_TIME}\s+(?P<Y>\d\d\d\d)",
    "x": f"{STDLIB_M}/{STDLIB_D}/{TOKENS['y']}",
    "X": STDLIB_TIME,
}
TOKEN: Final = re.compile(r"%(Ex[YydmHklMSzZ]|[A-Za-z%]|)")
OF_LETTERS: Final = re.compile(r"(?<!%)%[aAbBpc]")
FIRST_YEAR: Final = 2000

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


class WrongPattern(ValueError):  # noqa: N818 - said of a pattern
    """A date pattern is none."""


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
        yield from (each for each in default_templates(year) if _begins_line(each.expression.pattern))
    elif "{DATE}" in key:
        for each in DEFAULT_PATTERNS:
            bare = each.removeprefix(LINE_BEGIN)
            shown = {"EPOCH": "Epoch"}.get(bare, bare)
            yield _template(DATE_INSIDE.sub(lambda _, shown=shown: shown, pattern), year)
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
        return _made(key, _bounded(regex), "long epoch" if long else "epoch", 2)
    if key not in BY_KEY:
        return _made(key, _of_parts(pattern, year), preferred=preferred)
    begins = key[0] in "{^"
    word = key.removeprefix(LINE_BEGIN).removeprefix("^")
    if word == "TAI64N":
        regex = _bounded("@[0-9a-f]{24}", begin="line" if begins else "")
        return _made(key, regex, "tai64n", preferred=preferred)
    kind: Kind = "long epoch" if word == "LEPOCH" else "epoch"
    number = LONG_SECONDS if word == "LEPOCH" else SECONDS
    if begins:
        regex = _bounded(rf"((?P<square>(?<=^\[))?{number})(?(square)(?=\]))", begin="line")
    else:
        before = r"^|(?P<square>(?<=^\[))|(?P<selinux>(?<=\baudit\())"
        after = r"(?(selinux)(?=:\d+\)))|(?(square)(?=\]))"
        regex = _bounded(f"((?:{before}){number})(?:{after})", begin="")
    return _made(key, regex, kind, preferred=preferred)


def _of_parts(pattern: str, year: int) -> str:
    text, begin, end = pattern, "word", True
    if text.startswith(UNBOUND):
        text, begin, end = text.removeprefix(UNBOUND), "", False
    elif text.startswith(LINE_BEGIN):
        text, begin = text.removeprefix(LINE_BEGIN), "line"
    regex = TOKEN.sub(lambda found: _token(found[1], pattern, year), text)
    if OF_LETTERS.search(text):
        regex = "(?iu)" + regex
    return _bounded(regex, begin=begin, end=end)


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


def _bounded(regex: str, *, begin: str = "word", end: bool = True) -> str:
    """An expression between bounds of words, or from the line's beginning, with a group 1, as fail2ban adds them."""
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


def _begins_line(regex: str) -> bool:
    flags = FLAGS.match(regex)
    return TIED_BEGIN.match(regex, flags.end() if flags else 0) is not None


def _made(key: str, regex: str, kind: Kind = "parts", group: int = 1, *, preferred: bool = False) -> Template:
    try:
        expression = re.compile(regex)
    except re.error as error:
        raise WrongPattern(f"{key!r} becomes {regex!r}: {error}") from error
    anchored = _begins_line(regex) or TIED_END.search(regex) is not None
    return Template(key, expression, anchored, kind, group, preferred)
