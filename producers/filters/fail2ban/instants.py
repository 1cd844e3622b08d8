"""The instant that the parts of a date mean, by fail2ban's rules.

| the text lacks | what holds |
|---|---|
| the year | this year; the year before when that would be more than 24 h ahead of the clock |
| month and day | today; the day before when that would be ahead of the clock |
| month and day, but has week and weekday, or the day of the year | the day these name |
| the zone | the zone that the jail names, else the local one |

Fractions of a second do not count. Years of two digits are of this century.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from producers.filters.fail2ban.zones import minutes_east

MONTHS: Final = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTH_OF: Final = {name[:3]: at for at, name in enumerate(MONTHS, 1)} | {
    name: at for at, name in enumerate(MONTHS, 1)
}
WEEKDAY_OF: Final = {name[:3]: at for at, name in enumerate(WEEKDAYS)} | {
    name: at for at, name in enumerate(WEEKDAYS)
}
NOON: Final = 12
UTC_NAMES: Final = frozenset({"Z", "UTC", "GMT"})

Parts = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Moment:
    """What a date is read against.

    Attributes:
        now: the clock, in the local zone, without saying so.
        local: the local zone.
        offset_minutes: the zone of dates that name none, east of UTC; None: the local one.
    """

    now: datetime
    local: tzinfo
    offset_minutes: int | None = None


def instant_of(parts: Parts, moment: Moment) -> int:
    """The Unix seconds that the parts mean, named as strptime's tokens; ValueError when there are none."""
    given = {name: text for name, text in parts.items() if text is not None}
    year, yearless = _year(given, moment)
    year, month, day = _day(given, year)
    dayless = month is None and day is None
    if dayless:
        month, day = moment.now.month, moment.now.day
    if month is None or day is None:
        raise ValueError("a month without a day, or a day without a month")
    zone = given.get("Z") or given.get("z")
    offset = moment.offset_minutes if zone is None else 0 if zone in UTC_NAMES else minutes_east(zone)
    hour, minute, second = _hour(given), int(given.get("M", 0)), int(given.get("S", 0))
    found = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - fail2ban compares it so
    if offset is not None:
        found -= timedelta(minutes=offset)
    if dayless and found > moment.now:
        found -= timedelta(days=1)
    if yearless and found > moment.now + timedelta(days=1):
        found = found.replace(year=year - 1, month=month, day=day)
    return int(found.replace(tzinfo=moment.local if offset is None else UTC).timestamp())


def _year(given: Mapping[str, str], moment: Moment) -> tuple[int, bool]:
    if "Y" in given:
        return int(given["Y"]), False
    if "y" in given:
        return 2000 + int(given["y"]), False
    return moment.now.year, True


def _day(given: Mapping[str, str], year: int) -> tuple[int, int | None, int | None]:
    name = given.get("b") or given.get("B")
    month = MONTH_OF[name.lower()] if name else int(given["m"]) if "m" in given else None
    day = int(given["d"]) if "d" in given else None
    if month is not None and day is not None:
        return year, month, day
    ordinal = int(given["j"]) if "j" in given else _day_of_year(given, year)
    if ordinal is None:
        return year, month, day
    named = date(year, 1, 1) + timedelta(days=ordinal - 1)
    return named.year, named.month, named.day


def _day_of_year(given: Mapping[str, str], year: int) -> int | None:
    """The day that a week and a weekday name, from 1; weeks count from the first Sunday (U) or Monday (W)."""
    week = given.get("W") or given.get("U")
    name = given.get("a") or given.get("A")
    weekday = WEEKDAY_OF[name.lower()] if name else (int(given["w"]) - 1) % 7 if "w" in given else None
    if week is None or weekday is None:
        return None
    first = date(year, 1, 1).weekday()
    if "W" not in given:
        first, weekday = (first + 1) % 7, (weekday + 1) % 7
    return _in_week(int(week), weekday, first)


def _in_week(week: int, weekday: int, first: int) -> int:
    """The day of the year; `weekday` and that of January 1, `first`, count from the week's start."""
    begin_of_week_1 = (7 - first) % 7
    if week == 0:
        return 1 + weekday - first
    return 1 + begin_of_week_1 + 7 * (week - 1) + weekday


def _hour(given: Mapping[str, str]) -> int:
    if "I" not in given:
        return int(given.get("H", 0))
    hour = 0 if int(given["I"]) == NOON else int(given["I"])
    return hour + NOON if given.get("p", "").lower() == "pm" else hour
