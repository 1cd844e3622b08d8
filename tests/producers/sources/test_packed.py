"""Reading at any offset of what a compressed file unpacks to."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from producers.sources.packed import (
    BACK_BYTES,
    DAMAGED,
    NO_ZSTD,
    STEP_BYTES,
    Content,
    Later,
    PackedFile,
    open_content,
)


def xz(data: bytes) -> bytes:
    """Quickly."""
    return lzma.compress(data, preset=0)


PACKERS: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, xz]
TEXT = b"".join(b"%07d\n" % number for number in range(700_000))


def patiently(content: Content, count: int, offset: int) -> bytes:
    """Ask until there is an answer."""
    while True:
        try:
            return content.pread(count, offset)
        except Later:
            continue


@pytest.mark.parametrize("pack", PACKERS)
def test_any_offset_can_be_read(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """Forwards and back, at its start and past its end, of several streams and padding in one file."""
    path = tmp_path / "log"
    path.write_bytes(pack(TEXT[:3_000_000]) + pack(TEXT[3_000_000:]) + b"\0" * 100)
    content = open_content(path)
    for offset in (0, 2_999_999, 5_000_000, 64, 4_500_000, 4_500_000 - BACK_BYTES, len(TEXT) - 8, len(TEXT)):
        assert patiently(content, 16, offset) == TEXT[offset : offset + 16]
    content.close()


def test_a_step_is_bounded(tmp_path: Path) -> None:
    """Of what unpacks to much, no call unpacks more than a step: it is told to come again."""
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(bytes(20 * STEP_BYTES)))
    content = open_content(path)
    laters = 0
    while True:
        try:
            assert content.pread(1, 19 * STEP_BYTES) == b"\0"
            break
        except Later:
            laters += 1
    assert 10 < laters < 25
    content.close()


@pytest.mark.parametrize("pack", PACKERS)
def test_what_is_not_complete_is_an_error(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """At its end, however much came before."""
    path = tmp_path / "log"
    path.write_bytes(pack(b"one\n" * 1_000)[:-5])
    content = open_content(path)
    with pytest.raises(OSError, match=DAMAGED):
        content.pread(1, 1 << 40)
    content.close()


def test_xz_that_asks_for_much_memory_is_refused(tmp_path: Path) -> None:
    """Its header may ask for gigabytes."""
    path = tmp_path / "log"
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]
    path.write_bytes(lzma.compress(b"one\n", filters=filters))
    content = open_content(path)
    with pytest.raises(OSError, match=DAMAGED):
        content.pread(4, 0)
    content.close()


def test_zstd_is_told(tmp_path: Path) -> None:
    """It cannot be read, and the error says what to do."""
    path = tmp_path / "log"
    path.write_bytes(b"\x28\xb5\x2f\xfdx")
    with pytest.raises(OSError, match="zstd") as caught:
        open_content(path)
    assert caught.value.strerror == NO_ZSTD


def test_a_compressed_file_is_known_whatever_its_name(tmp_path: Path) -> None:
    """By its size and its end, which hold a checksum of its text."""
    path = tmp_path / "log"
    found = set()
    for text in (b"one\n", b"two\n"):
        path.write_bytes(gzip.compress(text, mtime=0))
        content = open_content(path)
        assert isinstance(content, PackedFile)
        found.add(content.packed)
        content.close()
    assert len(found) == 2
    (tmp_path / "plain").write_bytes(b"one\n")
    plain = open_content(tmp_path / "plain")
    assert plain.packed == ""
    plain.close()


def test_a_hole_is_jumped_over(tmp_path: Path) -> None:
    """Data behind it is found at once; where there is none, the end."""
    path = tmp_path / "log"
    with path.open("wb") as stream:
        stream.seek(1 << 30)
        stream.write(b"x")
        stream.truncate(2 << 30)
    content = open_content(path)
    assert (1 << 30) - (1 << 20) <= content.data_from(0) <= 1 << 30
    assert content.data_from((1 << 30) + (1 << 20)) == os.path.getsize(path)  # noqa: PTH202
    content.close()
