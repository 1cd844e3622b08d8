"""The tokens of date patterns: strptime's, some more tolerant, and fail2ban's own."""

from __future__ import annotations

import re
import sys
from typing import Final

from producers.filters.fail2ban.instants import MONTHS, WEEKDAYS

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
