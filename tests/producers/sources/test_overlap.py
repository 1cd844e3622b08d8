"""How many lines of a rewritten log had been read before it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.sources.overlap import lines_read_before


@pytest.mark.parametrize(
    ("lines", "remembered", "count"),
    [
        ("cdefg", "abcde", 3),
        ("bcde", "abcde", 4),
        ("cd", "abcde", 2),
        ("xyabcdefg", "abcde", 7),
        ("fgh", "abcde", 0),
        ("abxde", "abcde", 0),
        ("acde", "abcde", 0),
        ("dexde", "abcde", 2),
        ("", "abc", 0),
        ("abc", "", 0),
    ],
)
def test_the_overlap_is_found(lines: str, remembered: str, count: int) -> None:
    """Up to the last line read, or so far as there is any; never over a gap; the first place counts."""
    assert lines_read_before(list(lines), list(remembered)) == count


@pytest.mark.parametrize(("lines", "remembered"), [("xxx", "axxx"), ("xx", "xx"), ("xyxy", "axyxy")])
def test_lines_that_repeat_tell_nothing(lines: str, remembered: str) -> None:
    """Anybody may have a service write the same again."""
    assert lines_read_before(list(lines), list(remembered)) == 0


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 20), st.integers(1, 64))
def test_whatever_is_cut_off_the_rest_goes_on(size: int, cut: int, more: int, kept: int) -> None:
    """Of lines that differ, with some off the head and some added: exactly the new ones are new."""
    written = [str(number) for number in range(size + more)]
    left = written[min(cut, size - 1) :]
    assert lines_read_before(left, written[:size][-kept:]) == size - min(cut, size - 1)
