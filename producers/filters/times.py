"""The times that services write into logs of their own, brought to a form that `producers.stamps` reads.

| form | written by | example |
|---|---|---|
| common log format | web servers | `22/Nov/2026:09:00:00 +0000`, `22/Nov/2026 09:00:00` (Werkzeug) |
| with slashes | nginx's error log, Go's `log` | `2026/11/22 09:00:00` |
| ctime(3) | Apache's error log, MongoDB, OpenVPN | `Sun Nov 22 09:00:00.123456 2026` |
| day first | BIND, Tomcat | `22-Nov-2026 09:00:00.123` |
| RFC 2822 | Synology, Rails | `Sun, 22 Nov 2026 09:00:00 +0000` |
| American | Java, IIS, Plex | `Nov 22, 2026 9:00:00 AM`, `11/22/2026 9:00:00 AM`, `11/22/2026-09:00:00` |
| rare | Half-Life, ASSP, xinetd | `11/22/2026 - 09:00:00`, `Nov-22-26 09:00:00`, `26/11/22@09:00:00` |
| European | FreeSWITCH's tools, TeamCity | `22/11/2026 09:00:00`, `22.11.2026 09:00:00` |
| without dashes | MySQL 5, Samba's tools | `20261122 09:00:00`, `20261122-09:00:00`, `261122  9:00:00` |
| digits | Zabbix, ISO 8601's basic form | `20261122:090000.123`, `20261122T090000Z` |
| Unix time | Squid, JSON logs | `1795338000`, `1795338000123`, `1795338000.123` |
| TAI64N | daemontools, s6 | `@400000006b02f1da075bca00` |
| ISO 8601 and what is like it | everything else | `2026-11-22T09:00:00.123Z`, `2026-11-22 09:00:00,123 UTC` |
| RFC 3164 | syslog | `Nov 22 09:00:00`, `Nov 2 09:00:00` |
| with its year elsewhere | relays, devices | `Nov 22 2026 09:00:00`, `2026 Nov 22 09:00:00` |
| rarer | GIN, ZoneMinder, glog, Snort | `2026/11/22 - 09:00:00`, `11/22/26 09:00:00.1`, `I1122 09:00:00.1` |
| with five digits of a second, in UTC | svlogd | `2026-11-22_09:00:00.12345`, `2026-11-22T09:00:00.12345` |
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from producers.filters.bounds import compiled

MONTHS: Final = (
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
)  # fmt: skip
TAI_EPOCH: Final = 0x4000000000000000
LEAP_SECONDS: Final = 10
"""libtai's tai_unix, so multilog and svlogd, writes the Unix time plus 2^62 + 10, without a table of leap
seconds. (fail2ban takes off 2^62 alone.)"""
PM: Final = 12
EPOCH_DIGITS: Final = 10

MONTH: Final = rb"[A-Za-z]{3}"
CLOCK: Final = rb"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?"
ZONE: Final = rb"(?: ?(?:Z|[+-]\d\d(?::?\d\d)?|[A-Z]{3,5}))?"

Rewrite = Callable[[re.Match[bytes]], bytes]


def _clock(text: bytes, half: bytes | None = None) -> bytes:
    """`9:00:00 PM` as `21:00:00`."""
    hour, _, rest = text.partition(b":")
    number = int(hour)
    if half:
        number = number % PM + (PM if half.upper() == b"PM" else 0)
    return b"%02d:%s" % (number, rest)


def _zone(text: bytes | None) -> bytes:
    """A numeric offset; UTC and GMT as `Z`. Other abbreviations are taken for the local zone."""
    zone = (text or b"").strip()
    if zone in {b"UTC", b"GMT", b"Z"}:
        return b"Z"
    if zone[:1] not in {b"+", b"-"}:
        return b""
    return zone + b"00" if len(zone) == len("+00") else zone


def _month(text: bytes) -> int:
    """A month's number; 0, which no instant has, of what is none."""
    name = text.lower()
    return MONTHS.index(name) + 1 if name in MONTHS else 0


def _named(found: re.Match[bytes]) -> bytes:
    """The groups year, month, day, clock, half, zone as ISO 8601."""
    parts = found.groupdict()
    month, year = parts["month"], parts["year"]
    number = int(month) if month.isdigit() else _month(month)
    full = b"20" + year if len(year) == 2 else year  # noqa: PLR2004 - two digits
    clock = _clock(parts["clock"], parts.get("half"))
    return b"%s-%02d-%02dT%s%s" % (full, number, int(parts["day"]), clock, _zone(parts.get("zone")))


def _digits(found: re.Match[bytes]) -> bytes:
    year, month, day, hour, minute, second, zone = found.groups()
    return b"%s-%s-%sT%s:%s:%s%s" % (year, month, day, hour, minute, second, _zone(zone))


def _epoch(found: re.Match[bytes]) -> bytes:
    digits, fraction = found[1], found[2] or b""
    return digits[:EPOCH_DIGITS] + b"." + (digits[EPOCH_DIGITS:] + fraction or b"0")[:9]


def _supervised(found: re.Match[bytes]) -> bytes:
    """A time of svlogd's, in UTC, which does not say so: five digits of a second tell it from others."""
    return b"%sT%sZ" % (found[1], found[2])


def _unpadded(found: re.Match[bytes]) -> bytes:
    """RFC 3164's time, each of its numbers as wide as it has to be."""
    second, point, fraction = found[4].partition(b".")
    clock = b"%s:%02d%s%s" % (_clock(found[3]), int(second), point, fraction)
    return b"%s %2d %s" % (found[1], int(found[2]), clock)


def _month_and_day(found: re.Match[bytes]) -> bytes:
    """A time without a year, its month a number, as RFC 3164 has it."""
    month = int(found[1])
    name = MONTHS[month - 1].capitalize() if 1 <= month <= len(MONTHS) else b"---"
    return b"%s %2d %s" % (name, int(found[2]), found[3])


def _short_digits(found: re.Match[bytes]) -> bytes:
    return b"20%s-%s-%sT%s:%s:%s" % found.groups()


def _tai(found: re.Match[bytes]) -> bytes:
    seconds = int(found[1], 16) - TAI_EPOCH - LEAP_SECONDS
    return b"%d.%09d" % (seconds, int(found[2], 16))


FORMS: Final[tuple[tuple[bytes, Rewrite], ...]] = (
    (rb"(\d{4}-\d\d-\d\d)[_T](\d\d:\d\d:\d\d\.\d{5})", _supervised),
    (rb"(?P<day>\d\d)/(?P<month>%(m)s)/(?P<year>\d{4})[: ](?P<clock>%(c)s)(?P<zone> [+-]\d{4})?", _named),
    (
        rb"(?P<year>\d{4})[/.-](?P<month>\d\d)[/.-](?P<day>\d\d)(?:T| {1,2})(?P<clock>%(c)s)(?P<zone>%(z)s)",
        _named,
    ),
    (
        (
            rb"(?:%(m)s )?(?P<month>%(m)s) +(?P<day>\d{1,2}) (?P<clock>%(c)s)(?P<zone>(?: [A-Z]{3,5})?) "
            rb"(?P<year>\d{4})"
        ),
        _named,
    ),
    (rb"(?P<day>\d{1,2})[- ](?P<month>%(m)s)[- ](?P<year>\d{4})[ :](?P<clock>%(c)s)(?P<zone>%(z)s)", _named),
    (rb"%(m)s, (?P<day>\d{1,2}) (?P<month>%(m)s) (?P<year>\d{4}) (?P<clock>%(c)s)(?P<zone>%(z)s)", _named),
    (
        rb"(?P<month>%(m)s) (?P<day>\d{1,2}), (?P<year>\d{4}),? (?P<clock>%(c)s)(?: (?P<half>[AaPp][Mm]))?",
        _named,
    ),
    (rb"(?P<month>%(m)s)/(?P<day>\d\d)/(?P<year>\d{4}) (?P<clock>%(c)s)", _named),
    (rb"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4}),? (?P<clock>%(c)s) (?P<half>[AaPp][Mm])", _named),
    (rb"(?P<month>\d\d)/(?P<day>\d\d)/(?P<year>\d{4})(?:-| - )(?P<clock>%(c)s)", _named),
    (rb"(?P<month>%(m)s)-(?P<day>\d\d)-(?P<year>\d\d) (?P<clock>%(c)s)", _named),
    (rb"(?P<year>\d\d)/(?P<month>\d{1,2})/(?P<day>\d{1,2})@(?P<clock>%(c)s)", _named),
    (rb"(?P<year>\d{4}):(?P<month>\d\d):(?P<day>\d\d)-(?P<clock>%(c)s)", _named),
    (rb"(?P<day>\d{1,2})[/.](?P<month>\d{1,2})[/.](?P<year>\d{4}),? (?P<clock>%(c)s)", _named),
    (rb"(?P<year>\d{4}|\d\d)(?P<month>\d\d)(?P<day>\d\d)(?: +|[T-])(?P<clock>%(c)s)", _named),
    (rb"(\d{4})(\d\d)(\d\d)[:T](\d\d)(\d\d)(\d\d(?:\.\d{1,9})?)(%(z)s)", _digits),
    (rb"@([0-9a-f]{16})([0-9a-f]{8})", _tai),
    (rb"(\d{10}(?:\d{3}){0,3})(?:\.(\d{1,9}))?", _epoch),
    (rb"(?P<month>%(m)s) {1,2}(?P<day>\d{1,2}) (?P<year>\d{4}) (?P<clock>%(c)s)", _named),
    (rb"(?P<year>\d{4}) (?P<month>%(m)s) {1,2}(?P<day>\d{1,2}) (?P<clock>%(c)s)", _named),
    (rb"(?P<year>\d{4})/(?P<month>\d\d)/(?P<day>\d\d) - (?P<clock>%(c)s)", _named),
    (rb"(?P<month>\d\d)/(?P<day>\d\d)/(?P<year>\d\d)[ -](?P<clock>%(c)s)", _named),
    (
        (
            rb"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d\d), (?P<clock>%(c)s) (?P<half>[AP]M)"
            rb"(?P<zone>(?: [A-Z]{3,5})?)(?:\.\d{6})?"
        ),
        _named,
    ),
    (
        rb"(?P<month>\d\d)/(?P<day>\d\d)/(?P<year>\d{4}):(?P<clock>%(c)s)(?P<zone>(?: (?:GMT|[+-]\d{4}))?)",
        _named,
    ),
    (rb"(?P<day>\d\d)-(?P<month>\d\d)-(?P<year>\d{4}) (?P<clock>%(c)s)(?P<zone>%(z)s)", _named),
    (rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d\.\d{3})", _short_digits),
    (rb"[IWEF](\d\d)(\d\d) (%(c)s)", _month_and_day),
    (rb"(\d\d)/(\d\d)-(%(c)s)", _month_and_day),
    (rb"(%(m)s) {1,2}(\d{1,2}) (\d{1,2}:\d\d):(\d{1,2}(?:\.\d{1,9})?)", _unpadded),
)
EXPRESSIONS: Final = tuple(
    (text.replace(b"%(m)s", MONTH).replace(b"%(c)s", CLOCK).replace(b"%(z)s", ZONE), rewrite)
    for text, rewrite in FORMS
)
SYSLOG: Final = rb"%s [ \d]\d %s" % (MONTH, CLOCK)
_COMPILED: list[tuple[re.Pattern[bytes], Rewrite]] = []

TIME: Final = (
    b"(?:"
    + b"|".join((*(re.sub(rb"\(\?P<\w+>|\((?!\?)", b"(?:", text) for text, _ in EXPRESSIONS), SYSLOG))
    + b")"
)
"""An expression that matches every form, without groups."""


@lru_cache(maxsize=1_024)
def plain_time(text: bytes) -> bytes:
    """A time in a form that `Stamps.read` knows; what has none of the forms above is returned as it is."""
    if not _COMPILED:
        _COMPILED.extend((compiled(expression), rewrite) for expression, rewrite in EXPRESSIONS)
    for expression, rewrite in _COMPILED:
        found = expression.fullmatch(text)
        if found is not None:
            return rewrite(found)
    return text
