"""The time a line bears, in every form that syslog and the journal write.

| form | example |
|---|---|
| RFC 3164, journalctl -o short, short-precise | `Nov 22 09:00:00`, `Nov 22 09:00:00.123456` |
| ISO 8601: RFC 5424, rsyslog, -o short-iso | `2026-11-22T09:00:00.123456+00:00`, `...+0000`, `...Z` |
| journalctl -o short-full | `Sun 2026-11-22 09:00:00 UTC` |
| journalctl -o short-unix | `1795338000.123456` |

A time without an offset is local: the zone that TZ names, else /etc/localtime. In the hour that a zone
skips or repeats, the offset before the change holds. A time without a year is in the latest year that
does not put it more than 24 h ahead of the clock.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

Trust = Literal["live", "backlog", "offline"]

SKEW_MS: Final = 60_000
DAY_MS: Final = 86_400_000
FAR_MS: Final = 1 << 62
CACHED_MINUTES: Final = 4_096
RSYSLOG_LENGTH: Final = len("2026-11-22T09:00:00.123456+00:00")
SECONDS: Final = {b"%02d" % second: second * 1_000 for second in range(61)}
MONTHS: Final = {
    name.encode(): number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}
TIME: Final = (
    rb"(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8}(?:\.\d{1,9}|)"
    rb"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
    rb"|[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})? [A-Z0-9+-]{1,6}"
    rb"|\d{9,11}\.\d{1,9})"
)
"""An expression that matches every form, without groups."""


@dataclass(frozen=True, slots=True)
class LineClock:
    """What time it is, and whose time counts.

    Attributes:
        now_ms: the producer's clock when the lines were read.
        trust: `live`: a line's time more than 60 s from now is replaced by now; `backlog`: only one more
            than 60 s ahead is, or before 1970; `offline`: the line's time counts, whatever the clock says.
    """

    now_ms: int
    trust: Trust = "live"


class Stamps:
    """Reads the times of lines; remembers whole minutes, so that a second costs two look-ups and a sum."""

    def __init__(self, zone: tzinfo | None = None) -> None:
        self._zone = zone if zone is not None else local_zone()
        self._minutes: dict[bytes, int] = {}
        self._now_ms = -DAY_MS
        self._oldest_ms = self._newest_ms = 0

    def begin(self, clock: LineClock) -> None:
        """Set the clock for the lines that follow."""
        if self._now_ms // DAY_MS != clock.now_ms // DAY_MS:
            self._minutes.clear()
        self._now_ms = clock.now_ms
        oldest_ms = max(0, clock.now_ms - SKEW_MS) if clock.trust == "live" else 0
        self._oldest_ms = oldest_ms if clock.trust != "offline" else -FAR_MS
        self._newest_ms = clock.now_ms + SKEW_MS if clock.trust != "offline" else FAR_MS

    def read(self, text: bytes) -> tuple[int, bool]:
        """The instant that counts for a line, and whether it is the clock's because the line's is off.

        An empty text (a line without a time) is now; one that names no real instant is now and off.
        """
        minute_ms = self._minutes.get(text[:-2])
        second_ms = SECONDS.get(text[-2:])
        if minute_ms is not None and second_ms is not None:
            at_ms = minute_ms + second_ms
        elif not text:
            return self._now_ms, False
        else:
            try:
                at_ms = self._parse(text)
            except (ValueError, OverflowError, KeyError):
                return self._now_ms, True
        if self._oldest_ms <= at_ms <= self._newest_ms:
            return at_ms, False
        return self._now_ms, True

    def _parse(self, text: bytes) -> int:
        if len(text) == RSYSLOG_LENGTH:
            minute_ms = self._minutes.get(text[:17] + text[26:])
            if minute_ms is not None:
                return minute_ms + SECONDS[text[17:19]] + int(text[20:23])
        if text[0] > 0x39:  # noqa: PLR2004 - past `9`: a month or a weekday
            if text[4:8].isdigit():
                return self._full(text)
            return self._split(text, 13, lambda: self._yearless(text))
        if text[4:5] == b"-":
            return self._iso(text)
        seconds, _, fraction = text.partition(b".")
        return int(seconds) * 1_000 + _thousandths(fraction)

    def _split(self, text: bytes, at: int, minute: Callable[[], int], zone: bytes = b"") -> int:
        """The remembered minute of a text, plus the seconds that stand at `at`, plus their fraction."""
        key = text[:at] + zone
        base = self._minutes.get(key)
        if base is None:
            if len(self._minutes) >= CACHED_MINUTES:
                self._minutes.clear()
            base = self._minutes[key] = minute()
        fraction = text[at + 3 :]
        seconds = int(text[at : at + 2])
        if seconds > 60:  # noqa: PLR2004 - 60 is a leap second
            raise ValueError("seconds")
        return base + seconds * 1_000 + (_thousandths(fraction) if fraction else 0)

    def _iso(self, text: bytes) -> int:
        zone = b""
        if text.endswith(b"Z"):
            text, zone = text[:-1], b"Z"
        else:
            for width in (6, 5):
                if text[-width] in b"+-" and len(text) > 19:  # noqa: PLR2004 - past the seconds
                    text, zone = text[:-width], text[-width:]
                    break
        return self._split(text, 17, lambda: self._instant(text, _offset(zone) or self._zone), zone)

    def _full(self, text: bytes) -> int:
        day, _, zone = text[4:].rpartition(b" ")
        known = UTC if zone in {b"UTC", b"GMT"} else self._zone
        return self._split(day, 17, lambda: self._instant(day, known), zone)

    def _instant(self, text: bytes, zone: tzinfo) -> int:
        naive = datetime.strptime(text[:16].replace(b" ", b"T").decode(), "%Y-%m-%dT%H:%M")  # noqa: DTZ007
        return _milliseconds(naive, zone)

    def _yearless(self, text: bytes) -> int:
        month, day = MONTHS[text[:3]], int(text[4:6])
        hour, minute = int(text[7:9]), int(text[10:12])
        this_year = datetime.fromtimestamp(self._now_ms / 1_000, self._zone).year
        for year in range(this_year + 1, this_year - 8, -1):
            try:
                at_ms = _milliseconds(datetime(year, month, day, hour, minute), self._zone)  # noqa: DTZ001
            except ValueError:
                if (month, day) != (2, 29):
                    raise
                continue
            if at_ms <= self._now_ms + DAY_MS:
                return at_ms
        raise ValueError("no such day in eight years")


def local_zone() -> tzinfo:
    """The zone that TZ names, else the one of /etc/localtime, else UTC."""
    name = os.environ.get("TZ", "").removeprefix(":")
    file = Path(name or "/etc/localtime")
    try:
        if file.is_absolute():
            with file.open("rb") as stream:
                return ZoneInfo.from_file(stream)
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return datetime.now(UTC).astimezone().tzinfo or UTC


def _milliseconds(naive: datetime, zone: tzinfo) -> int:
    return int(naive.replace(tzinfo=zone).timestamp()) * 1_000


def _offset(zone: bytes) -> tzinfo | None:
    if not zone:
        return None
    if zone == b"Z":
        return UTC
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    span = timedelta(hours=hours, minutes=minutes)
    return timezone(-span if zone[:1] == b"-" else span)


def _thousandths(fraction: bytes) -> int:
    return int(fraction[:3].ljust(3, b"0"))
