"""Standard input as a source, on a real pipe."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from producers.contract import LINE_LIMIT_BYTES
from producers.sources.stdin import StdinSource

Pipe = tuple[int, StdinSource]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """The end to write to, and the source."""
    reader, writer = os.pipe()
    yield writer, StdinSource(lambda: 1_000, reader)
    os.close(reader)


def test_lines_are_read_without_waiting(pipe: Pipe) -> None:
    """Nothing there is None at once; whole lines come, half a line waits, until the end."""
    writer, source = pipe
    assert source.read(1_000) is None
    os.write(writer, b"one\ntw")
    chunk = source.read(1_000)
    assert chunk is not None
    assert (chunk.data, chunk.start) == (b"one\n", 0)
    assert source.read(1_000) is None
    os.close(writer)
    chunk = source.read(1_000)
    assert chunk is not None
    assert (chunk.data, chunk.start) == (b"tw\n", 4)
    assert source.read(1_000) is None
    assert source.filenos() == []


def test_a_long_line_is_cut(pipe: Pipe) -> None:
    """Of a line past the limit the start is kept, the rest skipped, and it is counted."""
    writer, source = pipe
    found = b""
    for piece in [b"x" * 60_000] * 20 + [b"\nafter\n"]:
        os.write(writer, piece)
        while chunk := source.read(1_000):
            found += chunk.data
    os.close(writer)
    assert found == b"x" * LINE_LIMIT_BYTES + b"\nafter\n"
    assert list(source.notices().values()) == [1]
