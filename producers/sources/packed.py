"""A content to be read at any offset: a file's bytes, or what a compressed file unpacks to.

A packed one can only be unpacked from its start, a step at a time: who asks for what is further ahead is told
`Later`, and comes again. What it unpacks to is never kept as a whole.
"""

from __future__ import annotations

import bz2
import errno
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit
from typing import Final, Protocol

STEP_BYTES: Final = 4 << 20
"""As much is unpacked in one go."""
INPUT_BYTES: Final = 64 << 10
MAGIC_BYTES: Final = 6
MOST_INPUTS: Final = 64
"""As many inputs are taken in one go, whatever they unpack to."""
TAIL_BYTES: Final = 64
START_BYTES: Final = 64 << 10
BACK_BYTES: Final = 64 << 10
"""As much of the text before the place asked for last is kept: to go further back is to begin anew."""
SHORT_BYTES: Final = 256
MOST_KEPT: Final = 1_024
XZ_MEMORY_BYTES: Final = 128 << 20
"""What `xz -9` needs is 65 MiB; a file made for it could ask for 4 GiB."""
DAMAGED: Final = "compressed, and damaged or not complete"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
NO_ZSTD: Final = "compressed with zstd, which this Python cannot read; unpack it (zstd -d), or use gzip or xz"


RESERVE: Final = 64
"""So many open files are left to the rest of the process: its log, its firewall, journalctl."""
FULL: Final = "not read: too many files are open; raise LimitNOFILE, or name fewer files"


class Later(Exception):  # noqa: N818 - said of an answer, as StopIteration is of an iterator
    """The answer needs more unpacking than one step: ask again."""


class Decompressor(Protocol):
    """What `bz2`, `lzma` and Python's own `zstd` have."""

    @property
    def eof(self) -> bool:
        """The end of a stream was reached."""
        ...

    @property
    def needs_input(self) -> bool:
        """There is nothing more to be had from what it was given."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What follows the end of the stream."""
        ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Some of what follows."""
        ...


class Gunzip:
    """zlib's decompressor with the interface of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        """The end of a member was reached."""
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        """There is nothing more to be had from what it was given."""
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        """What follows the end of the member."""
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Some of what follows."""
        return self._inner.decompress(self._inner.unconsumed_tail + data, max(max_length, 0))


MAGIC: Final[Mapping[bytes, Callable[[], Decompressor]]] = {
    b"\x1f\x8b": Gunzip,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES),
}


class Content(Protocol):
    """Bytes to be read at any offset."""

    @property
    def packed(self) -> str:
        """What a compressed file is known by; empty for any other."""
        ...

    @property
    def worked(self) -> int:
        """How many bytes have gone into and come out of unpacking."""
        ...

    def pread(self, count: int, offset: int) -> bytes:
        """So many bytes from an offset on; fewer at the end alone. Raises OSError and Later."""
        ...

    def data_from(self, offset: int) -> int:
        """The first offset from this one on that is not in a hole; the end where only a hole follows."""
        ...

    def stat(self) -> os.stat_result:
        """What the file system says of the file now."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class PlainFile:
    """A file as it is."""

    packed = ""
    worked = 0

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def pread(self, count: int, offset: int) -> bytes:
        """So many bytes from an offset on."""
        return os.pread(self.fd, count, offset)

    def data_from(self, offset: int) -> int:
        """The first offset that is not in a hole (lseek(2), SEEK_DATA)."""
        try:
            return os.lseek(self.fd, offset, os.SEEK_DATA)
        except OSError as error:
            return os.fstat(self.fd).st_size if error.errno == errno.ENXIO else offset

    def stat(self) -> os.stat_result:
        """What the file system says of the file now."""
        return os.fstat(self.fd)

    def close(self) -> None:
        """Let go."""
        os.close(self.fd)


class PackedFile:
    """What a compressed file unpacks to."""

    def __init__(self, fd: int, make: Callable[[], Decompressor]) -> None:
        self._fd = fd
        self._make = make
        size = os.fstat(fd).st_size
        tail = os.pread(fd, TAIL_BYTES, max(0, size - TAIL_BYTES))
        self.packed = f"{size}:{blake2b(tail, digest_size=8).hexdigest()}"
        self.worked = 0
        self._kept_start: bytes | None = None
        self._kept: dict[tuple[int, int], bytes] = {}
        self._rewind()

    def pread(self, count: int, offset: int) -> bytes:
        """So many bytes of the text from an offset on.

        Its start, and what is short, is kept: who was told `Later` asks for the same again, from the first.
        """
        if offset + count <= START_BYTES:
            if self._kept_start is None:
                self._kept_start = self._text_at(START_BYTES, 0)
            return self._kept_start[offset : offset + count]
        if count > SHORT_BYTES:
            return self._text_at(count, offset)
        found = self._kept.get((count, offset))
        if found is None:
            found = self._text_at(count, offset)
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[count, offset] = found
        return found

    def _text_at(self, count: int, offset: int) -> bytes:
        if offset < self._start:
            self._rewind()
        inputs = steps = 0
        while not self._ended and self._start + len(self._text) < offset + count:
            if steps >= STEP_BYTES or inputs >= MOST_INPUTS:
                raise Later
            self._drop(offset)
            more = self._unpack(STEP_BYTES)
            self._text += more
            self.worked += len(more)
            steps += len(more)
            inputs += 1
        self._drop(offset)
        at = offset - self._start
        return bytes(self._text[at : at + count])

    def data_from(self, offset: int) -> int:
        """The offset: a text has no holes."""
        return offset

    def stat(self) -> os.stat_result:
        """What the file system says of the compressed file."""
        return os.fstat(self._fd)

    def close(self) -> None:
        """Let go."""
        os.close(self._fd)

    def _rewind(self) -> None:
        self._decompressor = self._make()
        self._at = self._start = 0
        self._text = bytearray()
        self._ended = False

    def _drop(self, offset: int) -> None:
        """Forget the text before an offset, but for what is asked for again."""
        away = min(max(0, offset - BACK_BYTES - self._start), len(self._text))
        del self._text[:away]
        self._start += away

    def _unpack(self, most_bytes: int) -> bytes:
        try:
            if self._decompressor.eof:
                self._at -= len(self._decompressor.unused_data)
                self._begin()
            if self._ended or not self._decompressor.needs_input:
                return b"" if self._ended else self._decompressor.decompress(b"", most_bytes)
            return self._decompressor.decompress(self._input(), most_bytes)
        except (zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
            raise OSError(errno.EINVAL, DAMAGED) from error

    def _input(self) -> bytes:
        data = os.pread(self._fd, INPUT_BYTES, self._at)
        self._at += len(data)
        self.worked += len(data)
        if not data:
            raise EOFError
        return data

    def _begin(self) -> None:
        """Begin the next stream in the file, if there is one; what else follows is padding."""
        self._decompressor = self._make()
        self._ended = not os.pread(self._fd, MAGIC_BYTES, self._at).startswith(tuple(MAGIC))


def open_content(path: Path) -> Content:
    """A regular file, opened, and unpacked where its first bytes say so. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _content_of(fd, path)
    except BaseException:
        os.close(fd)
        raise


def _content_of(fd: int, path: Path) -> Content:
    if fd >= getrlimit(RLIMIT_NOFILE)[0] - RESERVE:  # the lowest that was free
        raise OSError(errno.EMFILE, FULL, str(path))
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise OSError(0, "not a regular file", str(path))
    start = os.pread(fd, MAGIC_BYTES, 0)
    if start.startswith(ZSTD_MAGIC):
        raise OSError(0, NO_ZSTD, str(path))
    make = next((make for magic, make in MAGIC.items() if start.startswith(magic)), None)
    return PlainFile(fd) if make is None else PackedFile(fd, make)
