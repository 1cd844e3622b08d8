"""The times that services write into logs of their own, in every form."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from producers.filters.times import TIME, plain_time
from producers.stamps import LineClock, Stamps

BERLIN = ZoneInfo("Europe/Berlin")
NOW_MS = 1_795_345_200_000
FORMS = [
    ("22/Nov/2026:09:00:00 +0000", "2026-11-22T09:00:00"),
    ("22/Nov/2026:09:00:00 -0530", "2026-11-22T14:30:00"),
    ("22/Nov/2026:09:00:00.250 +0100", "2026-11-22T08:00:00.250"),
    ("22/Nov/2026:09:00:00", "2026-11-22T08:00:00"),
    ("22/Nov/2026 09:00:00", "2026-11-22T08:00:00"),
    ("11/22/2026 - 09:00:00", "2026-11-22T08:00:00"),
    ("Nov-22-26 09:00:00", "2026-11-22T08:00:00"),
    ("26/11/22@09:00:00", "2026-11-22T08:00:00"),
    ("20261122:090000.123", "2026-11-22T08:00:00.123"),
    ("20261122T090000Z", "2026-11-22T09:00:00"),
    ("20261122T090000+0100", "2026-11-22T08:00:00"),
    ("2026/11/22 09:00:00", "2026-11-22T08:00:00"),
    ("2026/11/22 09:00:00.123456", "2026-11-22T08:00:00.123"),
    ("2026-11-22  9:00:00", "2026-11-22T08:00:00"),
    ("2026.11.22 09:00:00", "2026-11-22T08:00:00"),
    ("Sun Nov 22 09:00:00 2026", "2026-11-22T08:00:00"),
    ("Sun Nov 22 09:00:00.123456 2026", "2026-11-22T08:00:00.123"),
    ("Sun Nov 22 09:00:00 UTC 2026", "2026-11-22T09:00:00"),
    ("Sun Nov  2 09:00:00 2026", "2026-11-02T08:00:00"),
    ("Nov  2 09:00:00 2026", "2026-11-02T08:00:00"),
    ("22-Nov-2026 09:00:00.123", "2026-11-22T08:00:00.123"),
    ("22-Nov-2026 09:00:00.123 UTC", "2026-11-22T09:00:00.123"),
    ("2 Nov 2026 09:00:00", "2026-11-02T08:00:00"),
    ("Sun, 22 Nov 2026 09:00:00 +0000", "2026-11-22T09:00:00"),
    ("Sun, 2 Nov 2026 09:00:00 GMT", "2026-11-02T09:00:00"),
    ("Nov 22, 2026 9:00:00 AM", "2026-11-22T08:00:00"),
    ("Nov 22, 2026, 9:00:00 pm", "2026-11-22T20:00:00"),
    ("Nov 22, 2026 12:00:00 AM", "2026-11-21T23:00:00"),
    ("Nov 22, 2026 12:00:00 PM", "2026-11-22T11:00:00"),
    ("Nov 22, 2026 21:00:00.5", "2026-11-22T20:00:00.500"),
    ("11/22/2026 9:00:00 AM", "2026-11-22T08:00:00"),
    ("1/2/2026, 9:00:00 PM", "2026-01-02T20:00:00"),
    ("22/11/2026 09:00:00", "2026-11-22T08:00:00"),
    ("22.11.2026 09:00:00", "2026-11-22T08:00:00"),
    ("2/1/2026, 9:00:00", "2026-01-02T08:00:00"),
    ("Nov/22/2026 09:00:00", "2026-11-22T08:00:00"),
    ("20261122 09:00:00", "2026-11-22T08:00:00"),
    ("20261122-09:00:00", "2026-11-22T08:00:00"),
    ("20261122T09:00:00.250", "2026-11-22T08:00:00.250"),
    ("261122  9:00:00", "2026-11-22T08:00:00"),
    ("1795338000", "2026-11-22T09:00:00"),
    ("1795338000.5", "2026-11-22T09:00:00.500"),
    ("1795338000123", "2026-11-22T09:00:00.123"),
    ("1795338000123.456", "2026-11-22T09:00:00.123"),
    ("1795338000123456", "2026-11-22T09:00:00.123"),
    ("1795338000123456789", "2026-11-22T09:00:00.123"),
    ("@400000006b02af1a075bca00", "2026-11-22T09:00:00.123"),
    ("2026-11-22T09:00:00.123Z", "2026-11-22T09:00:00.123"),
    ("2026-11-22 09:00:00,123 UTC", "2026-11-22T09:00:00.123"),
    ("2026-11-22T09:00:00+01:00", "2026-11-22T08:00:00"),
    ("2026-11-22 09:00:00 +01", "2026-11-22T08:00:00"),
    ("2026-11-22 09:00:00.123 CET", "2026-11-22T08:00:00.123"),
    ("2026-11-22T09:00:00.123456789+00:00", "2026-11-22T09:00:00.123"),
    ("Nov 22 09:00:00", "2026-11-22T08:00:00"),
    ("Nov  2 09:00:00.5", "2026-11-02T08:00:00.500"),
]


def ms(text: str) -> int:
    """An instant in UTC, in Unix milliseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def read(text: str) -> tuple[int, bool]:
    """The instant of a text, read in Berlin's zone, and whether it is off."""
    stamps = Stamps(BERLIN)
    stamps.begin(LineClock(NOW_MS, "offline"))
    return stamps.read(plain_time(text.encode()))


@pytest.mark.parametrize(("text", "expected"), FORMS)
def test_every_form_is_read(text: str, expected: str) -> None:
    """Each form gives its instant: with its own zone where it names one, else in the local zone."""
    assert read(text) == (ms(expected), False)


@pytest.mark.parametrize("text", [text for text, _ in FORMS])
def test_every_form_is_a_time_to_the_piece(text: str) -> None:
    """What `plain_time` reads is what `{time}` stands for, to its last character, and none has a group."""
    found = re.compile(TIME)
    assert found.groups == 0
    assert found.fullmatch(text.encode())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("22/Jul/2026:09:00:00", "2026-07-22T07:00:00"),
        ("Jul 22, 2026 9:00:00 AM", "2026-07-22T07:00:00"),
        ("29.03.2026 02:30:00", "2026-03-29T01:30:00"),
        ("Sun Oct 25 02:30:00 2026", "2026-10-25T00:30:00"),
        ("2026/10/25 02:30:00 +0100", "2026-10-25T01:30:00"),
        ("Jul 22 09:00:00", "2026-07-22T07:00:00"),
    ],
)
def test_a_zones_summer_time_holds(text: str, expected: str) -> None:
    """In the hour that a zone skips or repeats, the offset before the change holds, whatever the form."""
    assert read(text) == (ms(expected), False)


@pytest.mark.parametrize(
    "text",
    [
        "22/Xyz/2026:09:00:00 +0000",
        "99/Nov/2026:09:00:00",
        "31.02.2026 09:00:00",
        "2026/13/22 09:00:00",
        "2026-11-22 25:00:00",
        "22/Nov/2026:09:00:99",
        "Nov 22, 2026",
        "@40000000",
        "yesterday",
        "-",
        "\0",
        "0000-00-00 00:00:00",
        "1" * 5_000,
    ],
)
def test_what_is_no_time_is_now_and_off(text: str) -> None:
    """A text that names no instant raises nothing; it counts as now."""
    assert read(text) == (NOW_MS, True)


def test_a_label_of_tai64n_counts_from_ten_seconds_before_1970() -> None:
    """By `tai_unix` of libtai, which daemontools and runit write labels with: 2^62 + 10 is the Unix epoch."""
    assert plain_time(b"@400000000000000a00000000") == b"0.000000000"
    assert plain_time(b"@400000006b02af1a3b9ac9ff") == b"1795338000.999999999"
