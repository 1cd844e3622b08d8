"""The instant that the parts of a date mean, by fail2ban's rules.

| the text lacks | what holds |
|---|---|
| the year | this year; the year before when that would be more than 24 h ahead of the clock |
| month and day | today; the day before when that would be ahead of the clock |
| month and day, but has week and weekday, or the day of the year | the day these name |
| the zone | the zone that the jail names, else the local one |

Fractions of a second do not count. Years of two digits are of this century.

Zones are read without daylight saving's days:

| text | minutes east of UTC |
|---|---|
| `Z`, `UTC`, `GMT` | 0 |
| `+0200`, `+02:00`, `+02` | 120 |
| `CET`, `CEST` | 60, 120 |
| `CET+0100` | 120: both count |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from producers.filters.fail2ban.datepatterns import MONTHS, WEEKDAYS, Template
from producers.stamps import LineClock

NAMED_OFFSET: Final = re.compile(r"([A-Z](?:[A-Z]{2,4})?)?(?:([+-])([01]\d)(?::?(\d{2}))?)?\n?")
BY_MINUTES: Final[dict[int, str]] = {
    -720: "Y",
    -660: "NUT SST X",
    -600: "CKT HAST HST TAHT TKT W",
    -570: "MART MIT",
    -540: "AKST GAMT GIT HADT HNY V",
    -480: "AKDT CIST HAY HNP PST PT U",
    -420: "HAP HNR MST PDT T",
    -360: "CST EAST GALT HAR HNC MDT S",
    -300: "CDT COT EASST ECT EST ET HAC HNE PET R",
    -270: "HLV VET",
    -240: "AST BOT CLT COST EDT FKT GYT HAE HNA PYT Q",
    -210: "HNT NST NT",
    -180: "ADT ART BRT CLST FKST GFT HAA P PMST PYST SRT UYT WGT",
    -150: "HAT NDT",
    -120: "BRST FNT O PMDT UYST WGST",
    -60: "AZOT CVT EGT N",
    0: "EGST GMT UTC WET WT Z",
    60: "A CET DFT WAT WEDT WEST",
    120: "B CAT CEDT CEST EET SAST WAST",
    180: "C EAT EEDT EEST IDT MSK",
    210: "IRST",
    240: "AMT AZT D GET GST KUYT MSD MUT RET SAMT SCT",
    270: "AFT IRDT",
    300: "AMST AQTT AZST E HMT MAWT MVT PKT TFT TJT TMT UZT YEKT",
    330: "SLT",
    345: "NPT",
    360: "ALMT BIOT BTT F IOT KGT NOVT OMST YEKST",
    390: "CCT MMT",
    420: "CXT DAVT G HOVT ICT KRAT NOVST OMSST THA WIB",
    480: "ACT AWST BDT BNT CAST H HKT IRKT KRAST MYT PHT SGT ULAT WITA WST",
    540: "AWDT I IRKST JST KST PWT TLT WDT WIT YAKT",
    570: "ACST",
    600: "AEST K PGT VLAT YAKST YAPT",
    630: "ACDT LHST",
    660: "AEDT L LHDT MAGT NCT PONT SBT VLAST VUT",
    690: "NFT",
    720: "ANAST ANAT FJT GILT M MAGST MHT NZST PETST PETT TVT WFT",
    780: "FJST NZDT",
}
MINUTES: Final = {name: minutes for minutes, names in BY_MINUTES.items() for name in names.split()} | {
    "ChST": 600
}


def minutes_east(text: str) -> int:
    """The offset that a zone's text means; ValueError when it is none that is known."""
    found = NAMED_OFFSET.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a zone such as UTC, CET or +0200, not {text!r}")
    name, sign, hours, minutes = found.groups()
    if name and name not in MINUTES:
        raise ValueError(f"{name!r} is no time zone that is known")
    offset = 0 if hours is None else int(hours) * 60 + int(minutes or 0)
    return MINUTES.get(name or "UTC", 0) + (-offset if sign == "-" else offset)


MONTH_OF: Final = {name[:3]: at for at, name in enumerate(MONTHS, 1)} | {
    name: at for at, name in enumerate(MONTHS, 1)
}
WEEKDAY_OF: Final = {name[:3]: at for at, name in enumerate(WEEKDAYS)} | {
    name: at for at, name in enumerate(WEEKDAYS)
}
NOON: Final = 12
UTC_NAMES: Final = frozenset({"Z", "UTC", "GMT"})

DateParts = Mapping[str, str | None]


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


def instant_of(parts: DateParts, moment: Moment) -> int:
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


MOST_REMEMBERED: Final = 4_096
LAST_MS: Final = 59_000
LONG_DIGITS: Final = 13
MICRO_DIGITS: Final = 16


class Instants:
    """Reads dates against the clock of a buffer."""

    def __init__(self, local: tzinfo, offset_minutes: int | None) -> None:
        self._local = local
        self._offset_minutes = offset_minutes
        self._now_ms = -1
        self._moment: Moment | None = None
        self._known: dict[tuple[Template, str], int | None] = {}

    def begin(self, clock: LineClock) -> bool:
        """Set the clock for the lines that follow; whether it has moved."""
        moved = clock.now_ms != self._now_ms
        if moved:
            self._now_ms = clock.now_ms
            self._moment = None
            self._known.clear()
        return moved

    def read(self, match: re.Match[str], template: Template) -> int | None:
        """The Unix milliseconds that a found date means; None when it names no real instant."""
        key = (template, match.group())
        known = self._known
        if key in known:
            return known[key]
        if len(known) >= MOST_REMEMBERED:
            known.clear()
        try:
            at_ms = self._read(match, template)
        except (ValueError, OverflowError, KeyError, OSError):
            at_ms = None
        known[key] = at_ms
        return at_ms

    def minute(self, match: re.Match[str]) -> int | None:
        """The Unix milliseconds at which a date's minute begins; None: its seconds do not just add."""
        try:
            first, last = (self._instant({**match.groupdict(), "S": second}) for second in ("00", "59"))
        except (ValueError, OverflowError, KeyError):
            return None
        return first if last - first == LAST_MS else None

    def _instant(self, parts: DateParts) -> int:
        if self._moment is None:
            now = datetime.fromtimestamp(self._now_ms / 1_000, self._local).replace(tzinfo=None)
            self._moment = Moment(now, self._local, self._offset_minutes)
        return instant_of(parts, self._moment) * 1_000

    def _read(self, match: re.Match[str], template: Template) -> int:
        match template.kind:
            case "parts":
                return self._instant(match.groupdict())
            case "tai64n":
                return int(match[1][2:17], 16) * 1_000
            case "epoch" | "long epoch":
                return _milliseconds(match[template.group], long=template.kind == "long epoch")


def _milliseconds(number: str, *, long: bool) -> int:
    if long and len(number) >= LONG_DIGITS:
        return round(float(number) / (1_000 if len(number) >= MICRO_DIGITS and "." not in number else 1))
    return round(float(number) * 1_000)
