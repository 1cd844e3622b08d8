"""Durations as people write them: fail2ban's time abbreviations, in milliseconds here.

Source: the TIME ABBREVIATION section of the manual page jail.conf(5): a month is 30.4375 days and a year
365.25; parts add up (`1d12h`); a bare number is seconds; `-1` means for ever where that is allowed.
"""

from __future__ import annotations

import re
from typing import Final

from schemas.bounds import LONGEST_MS

_UNITS_S: Final = {
    "s": 1.0,
    "m": 60.0,
    "h": 3_600.0,
    "d": 86_400.0,
    "w": 604_800.0,
    "mo": 2_629_800.0,
    "y": 31_557_600.0,
}
_NAMES: Final = {
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds", "ss"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes", "mm"), "m"),
    **dict.fromkeys(("h", "hour", "hours", "hh"), "h"),
    **dict.fromkeys(("d", "day", "days", "da", "dd"), "d"),
    **dict.fromkeys(("w", "week", "weeks", "wee", "ww"), "w"),
    **dict.fromkeys(("mo", "mon", "month", "months"), "mo"),
    **dict.fromkeys(("y", "yr", "year", "years", "yea", "yy"), "y"),
}
_PART: Final = re.compile(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*([a-z]*)")


def parse_duration(text: str) -> int:
    """A duration in milliseconds; ValueError, saying what is expected, when it is none."""
    lowered, place, total_s = text.strip().lower(), 0, 0.0
    while place < len(lowered):
        part = _PART.match(lowered, place)
        unit = _NAMES.get(part[2]) if part else None
        if part is None or unit is None:
            raise ValueError('a duration such as "10m", "1d12h" or a number of seconds')
        total_s += float(part[1]) * _UNITS_S[unit]
        place = part.end()
    if not lowered or round(total_s * 1_000) > LONGEST_MS:
        raise ValueError('a duration such as "10m" or "1d12h", of a thousand years at most')
    return round(total_s * 1_000)


def format_duration(duration_ms: int | None) -> str:
    """A duration as people read it: its two largest units, `1d12h`, `10m`, `0s`; None is `for ever`."""
    if duration_ms is None:
        return "for ever"
    left_s, parts = duration_ms // 1_000, []
    for unit in ("d", "h", "m", "s"):
        count, left_s = divmod(left_s, int(_UNITS_S[unit]))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"
