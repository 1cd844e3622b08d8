"""The time a line bears, in every form, zone and year."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from producers.stamps import SKEW_MS, UNREAD, LineClock, Stamps, Trust
from producers.zones import local_zone


def ms(text: str) -> int:
    """An instant in ISO form, in Unix milliseconds; UTC where it names no offset."""
    at = datetime.fromisoformat(text)
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)


def read(text: str, now: str = "2026-11-22T12:00:00", zone: str = "UTC", trust: Trust = "offline") -> int:
    """The instant of a text that is not off."""
    stamps = Stamps(ZoneInfo(zone))
    stamps.begin(LineClock(ms(now), trust))
    at_ms, skewed = stamps.read(text.encode())
    assert not skewed
    return at_ms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nov 22 09:00:00", "2026-11-22T09:00:00"),
        ("Nov  2 09:00:00", "2026-11-02T09:00:00"),
        ("Nov 22 09:00:00.123456", "2026-11-22T09:00:00.123"),
        ("Nov 22 09:00:60", "2026-11-22T09:01:00"),
        ("2026-11-22T09:00:00.123456+00:00", "2026-11-22T09:00:00.123"),
        ("2026-11-22T09:00:00.5+0200", "2026-11-22T07:00:00.5"),
        ("2026-11-22T09:00:00-05:30", "2026-11-22T14:30:00"),
        ("2026-11-22T09:00:00Z", "2026-11-22T09:00:00"),
        ("2026-11-22T09:00:00.250Z", "2026-11-22T09:00:00.25"),
        ("2026-11-22 09:00:00,250", "2026-11-22T09:00:00.25"),
        ("2026-11-22T09:00:00", "2026-11-22T09:00:00"),
        ("Sun 2026-11-22 09:00:00 UTC", "2026-11-22T09:00:00"),
        ("Sun 2026-11-22 09:00:00.123456 UTC", "2026-11-22T09:00:00.123"),
        ("1795338000.123456", "2026-11-22T09:00:00.123"),
    ],
)
def test_every_form_is_read(text: str, expected: str) -> None:
    """Each form gives its instant, to the millisecond; a leap second is the next one."""
    assert read(text) == ms(expected)


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        ("Dec 31 23:59:59", "2027-01-01T00:00:01", "2026-12-31T23:59:59"),
        ("Nov 23 11:59:59", "2026-11-22T12:00:00", "2026-11-23T11:59:59"),
        ("Nov 23 12:01:00", "2026-11-22T12:00:00", "2025-11-23T12:01:00"),
        ("Jan  1 00:00:05", "2026-12-31T23:59:58", "2027-01-01T00:00:05"),
        ("Feb 29 10:00:00", "2026-11-22T12:00:00", "2024-02-29T10:00:00"),
    ],
)
def test_a_year_is_the_latest_that_is_not_ahead(text: str, now: str, expected: str) -> None:
    """A time without a year is of this year, or of the last when it would be over 24 h ahead."""
    assert read(text, now) == ms(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nov 22 09:00:00", "2026-11-22T08:00:00"),
        ("Jul 22 09:00:00", "2026-07-22T07:00:00"),
        ("Mar 29 02:30:00", "2026-03-29T01:30:00"),
        ("Oct 25 02:30:00", "2026-10-25T00:30:00"),
        ("Sun 2026-11-22 09:00:00 CET", "2026-11-22T08:00:00"),
        ("2026-11-22T09:00:00", "2026-11-22T08:00:00"),
    ],
)
def test_a_time_without_an_offset_is_local(text: str, expected: str) -> None:
    """The zone's rules hold; in a skipped or repeated hour the offset before the change does."""
    assert read(text, zone="Europe/Berlin") == ms(expected)


@pytest.mark.parametrize("text", ["Feb 30 09:00:00", "Nov 22 25:00:00", "Xyz 22 09:00:00", "Nov 22 09:00:99"])
def test_what_is_no_instant_is_now(text: str) -> None:
    """A text that looks like a time and is none gives the clock's, and says so."""
    stamps = Stamps(UTC)
    stamps.begin(LineClock(1_000, "offline"))
    assert stamps.read(text.encode()) == (1_000, True)


def test_no_time_is_now_and_not_off() -> None:
    """A line without a time bears the time it is seen."""
    stamps = Stamps(UTC)
    stamps.begin(LineClock(1_000, "live"))
    assert stamps.read(b"") == (1_000, False)


@pytest.mark.parametrize(
    ("trust", "off_ms", "skewed"),
    [
        ("live", SKEW_MS, False),
        ("live", SKEW_MS + 1_000, True),
        ("live", -SKEW_MS - 1_000, True),
        ("backlog", SKEW_MS + 1_000, True),
        ("backlog", -3_600_000, False),
        ("offline", SKEW_MS + 3_600_000, False),
    ],
)
def test_a_time_far_off_is_replaced_by_the_clock(trust: Trust, off_ms: int, skewed: bool) -> None:  # noqa: FBT001
    """Live, more than 60 s either way; in a backlog, more than 60 s ahead; offline, never."""
    now_ms = ms("2026-11-22T09:00:00")
    stamps = Stamps(UTC)
    stamps.begin(LineClock(now_ms, trust))
    at = datetime.fromtimestamp((now_ms + off_ms) / 1_000, UTC)
    expected = now_ms if skewed else now_ms + off_ms
    assert stamps.read(at.strftime("%b %d %H:%M:%S").encode()) == (expected, skewed)


def test_remembered_minutes_follow_the_clock() -> None:
    """A year later the same text is of the next year, though its minute was remembered."""
    stamps = Stamps(UTC)
    stamps.begin(LineClock(ms("2026-11-22T12:00:00"), "offline"))
    first = stamps.read(b"Nov 22 09:00:00")[0]
    stamps.begin(LineClock(ms("2027-11-22T12:00:00"), "offline"))
    assert stamps.read(b"Nov 22 09:00:00")[0] - first == 365 * 86_400_000


@pytest.mark.parametrize("name", ["Europe/Berlin", ":Europe/Berlin", "/usr/share/zoneinfo/Europe/Berlin"])
def test_tz_names_the_zone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """TZ holds a name or a file, with or without a colon."""
    monkeypatch.setenv("TZ", name)
    offset = datetime(2026, 11, 22, tzinfo=UTC).astimezone(local_zone()).utcoffset()
    assert offset is not None
    assert offset.total_seconds() == 3_600


def test_without_tz_there_is_a_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TZ, or with one nobody knows, times are read all the same."""
    for name in ("", "Nowhere/Land"):
        monkeypatch.setenv("TZ", name)
        assert Stamps().read(b"x") is not None


def test_a_time_before_1970_is_replaced_by_the_clock_in_a_backlog_too() -> None:
    """No reader takes such an instant; offline nobody has to."""
    stamps = Stamps(UTC)
    for trust in ("live", "backlog", "offline"):
        stamps.begin(LineClock(1_000, trust))
        expected = (-1_000, False) if trust == "offline" else (1_000, True)
        assert stamps.read(b"1969-12-31T23:59:59Z") == expected
        assert stamps.read(b"1970-01-01T00:00:00Z") == (0, False)


def read_all(texts: list[str], now: str, trust: Trust = "offline") -> list[int]:
    """The instants of texts, in Berlin, one after the other."""
    stamps = Stamps(ZoneInfo("Europe/Berlin"))
    stamps.begin(LineClock(ms(now), trust))
    return [stamps.read(text.encode())[0] for text in texts]


def test_the_hour_that_comes_twice_goes_on_from_the_lines_before() -> None:
    """In Berlin's October the clock goes from 03:00 back to 02:00: then the same text is an hour later."""
    texts = ["01:59:50", "02:00:10", "02:59:40", "02:58:00", "02:00:10", "02:30:00", "02:59:59", "03:00:00"]
    for form in ("Oct 25 {}", "2026-10-25T{}", "2026-10-25 {}.250"):
        found = read_all([form.format(text) for text in texts], "2026-11-22T12:00:00")
        expected = [
            "2026-10-24T23:59:50",
            "2026-10-25T00:00:10",
            "2026-10-25T00:59:40",
            "2026-10-25T00:58:00",
            "2026-10-25T01:00:10",
            "2026-10-25T01:30:00",
            "2026-10-25T01:59:59",
            "2026-10-25T02:00:00",
        ]
        assert [each // 1_000 * 1_000 for each in found] == [ms(each) for each in expected]


@pytest.mark.parametrize("now", ["2026-10-25T00:30:05", "2026-10-25T01:30:05"])
def test_a_live_line_of_that_hour_is_the_clocks(now: str) -> None:
    """The clock knows which of the two it is, without a line before."""
    assert read_all(["Oct 25 02:30:00"], now, "live") == [ms(now) - 5_000]


def test_a_time_that_cannot_be_read_is_said() -> None:
    """In a replay and in a backlog a line without a time is not quietly of now; a live one is of now."""
    stamps = Stamps(UTC)
    for trust, text, off, count in (
        ("live", b"", False, 0),
        ("backlog", b"", True, 1),
        ("offline", b"", True, 2),
        ("offline", b"x", True, 3),
        ("offline", b"[    5.123456]", True, 4),
    ):
        stamps.begin(LineClock(7_000, trust))  # type: ignore[arg-type]
        assert stamps.read(text) == (7_000, off)
        assert stamps.notices().get(UNREAD, 0) == count


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-11-22T10:00:00Z", "times 2 h behind the clock"),
        ("2026-11-22T17:30:02Z", "times 5.5 h ahead of the clock"),
        ("2026-11-22T11:55:00Z", "times minutes behind the clock"),
        ("2026-11-10T12:00:00Z", "times 12 days behind the clock"),
    ],
)
def test_a_time_far_from_the_clock_is_said_with_the_difference(text: str, said: str) -> None:
    """A zone's whole hours are told; a log that comes late, too."""
    stamps = Stamps(UTC)
    stamps.begin(LineClock(ms("2026-11-22T12:00:00"), "live"))
    assert stamps.read(text.encode()) == (ms("2026-11-22T12:00:00"), True)
    (sentence,) = stamps.notices()
    assert sentence.startswith(said)


def test_differences_are_few() -> None:
    """Whoever writes wild times fills no memory."""
    stamps = Stamps(UTC)
    stamps.begin(LineClock(ms("2026-11-22T12:00:00"), "live"))
    for year in range(1_000, 2_000):
        stamps.read(f"{year}-01-01T00:00:00Z".encode())
    assert len(stamps.notices()) <= 16


@pytest.mark.parametrize(
    ("text", "now", "trust", "expected"),
    [
        (b"2026-11-22T12:00:59+00:00", "2026-11-22T12:00:00", "live", "2026-11-22T12:00:59"),
        (b"2026-11-22T12:01:00+00:00", "2026-11-22T12:00:00", "live", None),
        (b"2026-11-22T11:58:59+00:00", "2026-11-22T12:00:00", "live", None),
        (b"2026-11-22T11:58:59+00:00", "2026-11-22T12:00:00", "backlog", "2026-11-22T11:58:59"),
        (b"2027-11-22T11:58:59+00:00", "2026-11-22T12:00:00", "offline", "2027-11-22T11:58:59"),
        (b"Nov 22 12:00:61", "2026-11-22T12:00:00", "offline", None),
        (b"Oct 25 02:30:00", "2026-11-22T12:00:00", "offline", None),
    ],
)
def test_a_second_counts_where_all_of_it_does(
    text: bytes, now: str, trust: Trust, expected: str | None
) -> None:
    """None at the clock's limits, in the hour that comes twice and of no instant; nothing is said of it."""
    stamps = Stamps(ZoneInfo("Europe/Berlin"))
    stamps.begin(LineClock(ms(now), trust))
    assert stamps.second(text) == (None if expected is None else ms(expected))
    assert not stamps.notices()
