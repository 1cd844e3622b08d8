"""Raw files, plain and compressed, matched without a log."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from producers.contract import LINE_LIMIT_BYTES
from producers.filters import load_filter
from producers.filters.rows import AT_MS, IP
from producers.offline import match_files, read_lines
from schemas.errors import SourceError

LINE = b"Nov 22 09:00:00 web sshd[1]: Invalid user x from 192.0.2.7 port 5\n"
OTHER = b"Nov 22 09:00:00 web CRON[1]: nothing\n"
SSHD = (load_filter("sshd"),)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("batch_bytes", [1, 50, 1 << 20])
def test_packed_or_not_the_rows_are_the_same(
    tmp_path: Path, pack: Callable[[bytes], bytes], batch_bytes: int
) -> None:
    """Positions count in the unpacked text, whatever the packing and the size of a batch."""
    path = tmp_path / "log"
    path.write_bytes(pack(OTHER + LINE + OTHER + LINE))
    batches = list(match_files([str(path)], SSHD, batch_bytes=batch_bytes))
    starts = [batch.base + row[3] for batch in batches for row in batch.rows[0]]
    assert starts == [len(OTHER), 2 * len(OTHER) + len(LINE)]
    assert b"".join(batch.data for batch in batches) == OTHER + LINE + OTHER + LINE


def test_a_last_line_needs_no_newline(tmp_path: Path) -> None:
    """A file that ends in the middle of a line ends there."""
    (tmp_path / "log").write_bytes(LINE[:-1])
    (batch,) = match_files([str(tmp_path / "log")], SSHD)
    assert [row[IP] for row in batch.rows[0]] == ["192.0.2.7"]


def test_long_lines_are_cut_as_live_ones_are(tmp_path: Path) -> None:
    """What is past the limit is skipped, and the positions after it hold."""
    (tmp_path / "log").write_bytes(b"x" * 2_000_000 + b"\n" + LINE)
    found = list(read_lines(str(tmp_path / "log"), 10_000))
    assert [data for _, data in found] == [b"x" * LINE_LIMIT_BYTES + b"\n", LINE]
    assert [base for base, _ in found] == [0, 2_000_001]


@pytest.mark.parametrize(("year", "now"), [(2025, None), (2024, datetime(2024, 12, 1, tzinfo=UTC))])
def test_a_year_is_taken_from_the_file_or_as_told(
    tmp_path: Path, year: int, now: datetime | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Yearless times are as of the file's modification, or of the instant given; never replaced by it."""
    monkeypatch.setenv("TZ", "UTC")
    path = tmp_path / "log"
    path.write_bytes(LINE)
    modified = datetime(2025, 12, 24, tzinfo=UTC).timestamp()
    os.utime(path, (modified, modified))
    (batch,) = match_files([str(path)], SSHD, None if now is None else int(now.timestamp() * 1_000))
    expected = datetime(year, 11, 22, 9, tzinfo=UTC)
    assert batch.rows[0][0][AT_MS] == int(expected.timestamp() * 1_000)


def test_each_file_is_a_stream_of_its_own(tmp_path: Path) -> None:
    """The same connection in two files is two connections."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(LINE)
    batches = match_files([str(tmp_path / name) for name in ("a", "b")], SSHD)
    assert [row[0] for batch in batches for row in batch.rows[0]] == ["failed", "failed"]


@pytest.mark.parametrize(
    "content",
    [None, gzip.compress(LINE)[:-9], lzma.compress(LINE)[:-9], b"\x28\xb5\x2f\xfdx"],
    ids=["absent", "gzip", "xz", "zstd"],
)
def test_what_cannot_be_read_is_a_source_error(tmp_path: Path, content: bytes | None) -> None:
    """A missing file or a damaged one is refused by name."""
    path = tmp_path / "log"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=str(path)):
        list(match_files([str(path)], SSHD))
