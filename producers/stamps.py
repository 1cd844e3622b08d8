"""The time a line bears, in every form that syslog and the journal write.

| form | example |
|---|---|
| RFC 3164, journalctl -o short, short-precise | `Nov 22 09:00:00`, `Nov 22 09:00:00.123456` |
| ISO 8601: RFC 5424, rsyslog, -o short-iso | `2026-11-22T09:00:00.123456+00:00`, `...+0000`, `...Z` |
| journalctl -o short-full | `Sun 2026-11-22 09:00:00 UTC` |
| journalctl -o short-unix | `1795338000.123456` |

A time without an offset is local: of the zone that the jail names, else TZ, else /etc/localtime. In the hour
that a zone skips, the offset before the change holds. In the hour that comes twice a live line is of the time
that is nearer to the clock; another one is of the first time, unless the lines before it were past that. A
time without a year is in the latest year that does not put it more than 24 h ahead of the clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final, Literal

from producers.zones import local_zone

Trust = Literal["live", "backlog", "offline"]

SKEW_MS: Final = 60_000
DAY_MS: Final = 86_400_000
QUARTER_MS: Final = 900_000
DISORDER_MS: Final = 300_000
"""Lines are out of order by less: a time that goes back by more is in the hour's second turn."""
LAST_MS: Final = 999
FAR_MS: Final = 1 << 62
MOST_DIFFERENCES: Final = 16
OFF: Final = "times {} the clock, for which the clock's counted: of another zone (set timezone), or late"
UNREAD: Final = "lines without a time that can be read, for which the clock's counted"
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
    """Reads the times of lines; remembers whole minutes, so that a second costs two look-ups and a sum.

    Attributes:
        zone: of times that name none.
        twice: the last time read is in the hour that comes twice: the same text may be another instant later.
    """

    def __init__(self, zone: tzinfo | None = None) -> None:
        self.zone = zone if zone is not None else local_zone()
        self.twice = False
        self._minutes: dict[bytes, int] = {}
        self._now_ms = -DAY_MS
        self._oldest_ms = self._newest_ms = 0
        self._trust: Trust = "live"
        self._last_ms: int | None = None
        self._notices: Counter[str] = Counter()

    def begin(self, clock: LineClock) -> None:
        """Set the clock for the lines that follow."""
        if self._now_ms // DAY_MS != clock.now_ms // DAY_MS:
            self._minutes.clear()
        self._now_ms = clock.now_ms
        self._trust = clock.trust
        oldest_ms = max(0, clock.now_ms - SKEW_MS) if clock.trust == "live" else 0
        self._oldest_ms = oldest_ms if clock.trust != "offline" else -FAR_MS
        self._newest_ms = clock.now_ms + SKEW_MS if clock.trust != "offline" else FAR_MS

    def read(self, text: bytes) -> tuple[int, bool]:
        """The instant that counts for a line, and whether it is the clock's because the line's is off.

        A live line without a time (an empty text) is of now; any other one, and one that names no real
        instant, is now and off.
        """
        minute_ms = self._minutes.get(text[:-2])
        second_ms = SECONDS.get(text[-2:])
        if minute_ms is not None and second_ms is not None:
            at_ms = minute_ms + second_ms
        elif not text and self._trust == "live":
            return self._now_ms, False
        else:
            try:
                at_ms = self._parse(text)
            except (ValueError, OverflowError, KeyError, IndexError):
                self._notices[UNREAD] += 1
                return self._now_ms, True
        if self._oldest_ms <= at_ms <= self._newest_ms:
            self._last_ms = at_ms
            return at_ms, False
        sentence = OFF.format(difference(at_ms - self._now_ms))
        if sentence in self._notices or len(self._notices) < MOST_DIFFERENCES:
            self._notices[sentence] += 1
        return self._now_ms, True

    def second(self, text: bytes) -> int | None:
        """The instant of a time without a fraction; None when that, or that time with some, may not count.

        What a line of this second says is then this and its fraction, in whatever order they come.
        """
        try:
            at_ms = self._parse(text)
        except (ValueError, OverflowError, KeyError, IndexError):
            return None
        if self.twice or at_ms < self._oldest_ms or at_ms + LAST_MS > self._newest_ms:
            return None
        self._last_ms = at_ms
        return at_ms

    def notices(self) -> Mapping[str, int]:
        """Which times did not count: a sentence, and how often."""
        return self._notices

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
            self.twice = False
            base = minute()
            if not self.twice:
                self._minutes[key] = base
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
        return self._split(text, 17, lambda: self._instant(text, _offset(zone) or self.zone), zone)

    def _full(self, text: bytes) -> int:
        day, _, zone = text[4:].rpartition(b" ")
        known = UTC if zone in {b"UTC", b"GMT"} else self.zone
        return self._split(day, 17, lambda: self._instant(day, known), zone)

    def _instant(self, text: bytes, zone: tzinfo) -> int:
        naive = datetime.strptime(text[:16].replace(b" ", b"T").decode(), "%Y-%m-%dT%H:%M")  # noqa: DTZ007
        return self._milliseconds(naive, zone)

    def _milliseconds(self, naive: datetime, zone: tzinfo) -> int:
        """The instant of a local time; of the two that it may be, the one that its neighbours are near."""
        first_ms, second_ms = (
            int(naive.replace(tzinfo=zone, fold=fold).timestamp()) * 1_000 for fold in (0, 1)
        )
        self.twice = second_ms > first_ms
        if not self.twice:
            return first_ms
        if self._trust == "live":
            return min(first_ms, second_ms, key=lambda at_ms: abs(at_ms - self._now_ms))
        return second_ms if self._last_ms is not None and first_ms < self._last_ms - DISORDER_MS else first_ms

    def _yearless(self, text: bytes) -> int:
        month, day = MONTHS[text[:3]], int(text[4:6])
        hour, minute = int(text[7:9]), int(text[10:12])
        this_year = datetime.fromtimestamp(self._now_ms / 1_000, self.zone).year
        for year in range(this_year + 1, this_year - 8, -1):
            try:
                at_ms = self._milliseconds(datetime(year, month, day, hour, minute), self.zone)  # noqa: DTZ001
            except ValueError:
                if (month, day) != (2, 29):
                    raise
                continue
            if at_ms <= self._now_ms + DAY_MS:
                return at_ms
        raise ValueError("no such day in eight years")


def difference(off_ms: int) -> str:
    """How far a time is from the clock, for people: `2 h behind`, `5.5 h ahead of`, `12 days behind`."""
    side = "behind" if off_ms < 0 else "ahead of"
    off_ms = abs(off_ms)
    if off_ms < QUARTER_MS:
        return f"minutes {side}"
    if off_ms < 2 * DAY_MS:
        return f"{round(off_ms / QUARTER_MS) / 4:g} h {side}"
    return f"{off_ms // DAY_MS} days {side}"


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
