"""Zones by name, by POSIX' rule and by offset."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from producers.filters import load_filter
from producers.filters.fail2ban import load
from producers.stamps import LineClock
from producers.zones import local_zone, zone_of

YEARS = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=3 * step) for step in range(6_000)]


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("CET-1CEST,M3.5.0,M10.5.0/3", "Europe/Berlin"),
        ("<+03>-3", "Europe/Moscow"),
        ("<-03>3", "America/Sao_Paulo"),
        ("IST-5:30", "Asia/Kolkata"),
        ("EST5EDT", "America/New_York"),
        ("PST8PDT7", "America/Los_Angeles"),
        ("AEST-10AEDT,M10.1.0,M4.1.0/3", "Australia/Sydney"),
        ("NZST-12NZDT,M9.5.0,M4.1.0/3", "Pacific/Auckland"),
        ("IST-1GMT0,M10.5.0,M3.5.0/1", "Europe/Dublin"),
        ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "America/Nuuk"),
        (":Europe/Berlin", "Europe/Berlin"),
        ("/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"),
        ("UTC", "UTC"),
    ],
)
def test_a_rule_is_the_zone_that_it_describes(rule: str, name: str) -> None:
    """Through two years, in both hemispheres, whatever hour the change is at."""
    one, other = zone_of(rule), ZoneInfo(name)
    assert [at for at in YEARS if at.astimezone(one).utcoffset() != at.astimezone(other).utcoffset()] == []


@pytest.mark.parametrize(
    ("rule", "month", "hours"),
    [
        ("EST5EDT,J60,J300", 7, -4),
        ("EST5EDT,J60,J300", 1, -5),
        ("EST5EDT,59/2,299/26", 7, -4),
        ("EST5EDT,59/2,299/26", 12, -5),
        ("+02:00", 1, 2),
        ("-0330", 1, -3.5),
        ("+02", 7, 2),
    ],
)
def test_days_by_their_number_and_fixed_offsets(rule: str, month: int, hours: float) -> None:
    """Julian days with and without February 29; an offset holds all year."""
    assert datetime(2026, month, 1, tzinfo=zone_of(rule)).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "foo",
        "Mars/Olympus",
        "CET-1CEST,M13.5.0,M1",
        "+25:00",
        "XXX24",
        "XXX-24",
        "/etc/passwd",
        "/",
        "../x",
        "A" * 9_999,
    ],
)
def test_what_names_no_zone_is_refused(text: str) -> None:
    """With what would."""
    with pytest.raises(ValueError, match="Europe/Berlin"):
        zone_of(text)


def test_the_environment_may_name_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """For native filters and for fail2ban's; what is none leaves the machine's zone."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    assert datetime(2026, 7, 20, 12, tzinfo=local_zone()).utcoffset() == timedelta(hours=2)
    line = b"Jul 20 12:00:00 gate sshd[1]: Failed password for root from 203.0.113.41 port 22 ssh2\n"
    meant = datetime(2026, 7, 20, 10, tzinfo=UTC).timestamp() * 1_000
    for each in (load_filter("sshd"), load("sshd")):
        assert [row[1] for row in each.matcher().scan(line, LineClock(1_795_345_200_000, "offline"))] == [
            meant
        ]
    monkeypatch.setenv("TZ", "nonsense")
    assert local_zone() is not None
    monkeypatch.setenv("TZ", "")
    assert local_zone() is UTC
