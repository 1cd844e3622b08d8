"""Cutting bytes into lines."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from producers.contract import LINE_LIMIT_BYTES
from producers.sources.lines import cut_lines, skip_line

PIECES = {
    "short": b"a",
    "newline": b"\n",
    "line": b"bc\n",
    "limit": b"x" * LINE_LIMIT_BYTES,
    "long": b"y" * (LINE_LIMIT_BYTES + 1),
}


def reference(data: bytes) -> bytes:
    """Every whole line, cut at the limit."""
    return b"".join(line[:LINE_LIMIT_BYTES] + b"\n" for line in data.split(b"\n")[:-1])


@given(st.lists(st.sampled_from(list(PIECES)), max_size=8))
@settings(deadline=None, max_examples=50)
def test_lines_are_cut_as_one_by_one(parts: list[str]) -> None:
    """Cut and skipped to the end, what comes out is each whole line, cut at the limit."""
    data = b"".join(PIECES[part] for part in parts) + b"\n"
    found, at, skipping = b"", 0, False
    while at < len(data):
        cut = skip_line(data, at, len(data)) if skipping else cut_lines(data, at, len(data))
        found += b"" if skipping else data[at : cut.end] + b"\n" * cut.skipping
        at, skipping = cut
    assert found == reference(data)


def test_half_a_line_is_left() -> None:
    """What does not end in a newline stays, unless it is past the limit."""
    assert cut_lines(b"one\ntw", 0, 6) == (4, False)
    assert cut_lines(b"one\ntw", 4, 6) == (4, False)
    assert cut_lines(b"x" * LINE_LIMIT_BYTES, 0, LINE_LIMIT_BYTES) == (0, False)


def test_a_line_of_exactly_the_limit_is_whole() -> None:
    """The newline does not count."""
    line = b"x" * LINE_LIMIT_BYTES + b"\n"
    assert cut_lines(line, 0, len(line)) == (len(line), False)
