"""Durations as people write them, and as they read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("600", 600),
        ("10m", 600),
        ("1d12h", 129_600),
        ("1 d 12 hours", 129_600),
        ("1w", 604_800),
        ("1mo", 2_629_800),
        ("1y", 31_557_600),
        ("1y 6mo", 47_336_400),
        ("1.5h", 5_400),
        ("90 Seconds", 90),
        ("0", 0),
        ("1d12", 86_412),
    ],
)
def test_fail2bans_abbreviations_mean_what_its_manual_says(text: str, seconds: int) -> None:
    """A minute is m, a month (mo) 30.4375 days, a year 365.25; parts add up; a bare number is seconds."""
    assert parse_duration(text) == seconds * 1_000


@pytest.mark.parametrize("text", ["", "soon", "10q", "m", "-5", "10 10m x", "1e9y", "9" * 13, "99999999y"])
def test_what_is_no_duration_is_refused_with_what_was_expected(text: str) -> None:
    """A word, an unknown unit, nothing at all, a sign, or more than a thousand years."""
    with pytest.raises(ValueError, match="a duration such as"):
        parse_duration(text)


@given(st.integers(0, 10**9))
def test_a_written_duration_reads_back_to_its_two_largest_units(seconds: int) -> None:
    """Writing drops what is smaller than the second largest unit, and nothing else."""
    back = parse_duration(format_duration(seconds * 1_000)) // 1_000
    assert 0 <= seconds - back < max(seconds / 24, 1)


def test_no_end_is_for_ever() -> None:
    """None is a duration without end."""
    assert format_duration(None) == "for ever"
    assert format_duration(129_600_000) == "1d12h"
