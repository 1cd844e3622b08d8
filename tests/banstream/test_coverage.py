"""Shapes of lines: what differs from one to the next is left out."""

from __future__ import annotations

import time

import pytest

from banstream import coverage
from banstream.coverage import OTHERS, Coverage, LineShape, shape_of


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        ("hello world", "hello world"),
        ("Nov 22 09:00:00 web app[7]: x", "<date> <time> web app[<n>]: x"),
        ("2026-11-22T09:00:00.123Z x", "<n>-<n>-<n>T<time>Z x"),
        ("from 192.0.2.7 port 5", "from <ip> port <n>"),
        ("from 2001:db8::7 port 5", "from <ip> port <n>"),
        ("from 2001:db8:0:0:0:0:0:7", "from <ip>"),
        ('user "bob \\" x" said', 'user "..." said'),
        ("user 'bob' said", "user '...' said"),
        ("it isn't", "it isn't"),
        ("id 01234567-89ab-cdef-0123-456789abcdef x", "id <hex> x"),
        ("id deadbeef12 of deadbeef", "id <hex> of deadbeef"),
        ("mail to a.b+c@mail.example.com", "mail to <mail>"),
        ("user7", "user<n>"),
        ("", ""),
    ],
)
def test_a_shape_is_a_line_without_what_differs(line: str, shape: str) -> None:
    """Numbers, times, addresses, quoted texts, ids and mail addresses."""
    assert shape_of(line) == shape


def test_lines_are_counted_by_shape_most_first() -> None:
    """With the first line of each and its number; of equals, the one that was there first."""
    one = Coverage()
    one.add([(1, b"a 1"), (2, b"b 1"), (3, b"b 2")])
    one.add([(4, b"c \xff"), (5, b"b 3")])
    assert one.most() == [
        LineShape("b <n>", 3, 2, "b 1"),
        LineShape("a <n>", 1, 1, "a 1"),
        LineShape("c \ufffd", 1, 4, "c \ufffd"),
    ]


def test_more_shapes_than_the_most_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log in which every line is another makes it remember no more."""
    monkeypatch.setattr(coverage, "MOST_SHAPES", 2)
    one = Coverage()
    one.add([(1, b"a"), (2, b"b"), (3, b"c"), (4, b"d"), (5, b"a")])
    assert {(each.shape, each.count, each.line) for each in one.most()} == {
        ("a", 2, 1),
        ("b", 1, 2),
        (OTHERS, 2, 3),
    }


@pytest.mark.parametrize("unit", ['\\"', "a", "a.", "'", "1:", "f", "1", "Nov ", "\0"])
def test_a_hostile_line_has_its_shape_soon(unit: str) -> None:
    """64 KiB of one thing cost about what their beginning does."""
    began = time.process_time()
    shape_of('"' + unit * (65_536 // len(unit)))
    assert time.process_time() - began < 1
