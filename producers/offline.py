"""Raw files, matched as fast as they can be read: for `match` and `replay`. Nothing is stored."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import tzinfo
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from producers.contract import LINE_LIMIT_BYTES
from producers.filters import Filter
from producers.filters.connections import address_of
from producers.filters.plan import Plan
from producers.filters.rows import EventRow
from producers.sources.lines import cut_lines, skip_line
from producers.stamps import LineClock
from producers.torn_lines import TornLines
from schemas.errors import SourceError

BATCH_BYTES: Final = 384 << 10
"""So that a batch's rows stay in the processor's cache: measured, 128 KiB to 1 MiB."""
STDIN: Final = "-"
MAGIC: Final[dict[bytes, Callable[..., Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}

ZSTD: Final = b"\x28\xb5\x2f\xfd"


class MatchedLines(NamedTuple):
    """Some lines of a file, and what each filter found in them.

    Attributes:
        path: the file, as it was named.
        base: the position of the first byte of `data` in the (decompressed) file.
        data: whole lines; of one that a container's runtime has torn an empty line for each piece but the
            last, and in the place of that the whole.
        rows: the events of each filter, in the order of the filters.
    """

    path: str
    base: int
    data: bytes
    rows: tuple[list[EventRow], ...]

    @property
    def untimed(self) -> int:
        """How many events are of lines whose time could not be read: the file's is taken for theirs."""
        return sum(row[8] for rows in self.rows for row in rows)

    @property
    def unnamed(self) -> int:
        """How many events are of a host name or another id, and of no address."""
        return sum(not is_address(row) for rows in self.rows for row in rows if row[10])


def is_address(row: EventRow) -> bool:
    """Whether an event is of an address: what else a filter captures may be a host name, or another id."""
    return not row[10] or address_of(row[2].encode()) is not None


def match_files(  # noqa: PLR0913 - what most callers leave as it is comes last
    paths: Sequence[str],
    filters: Sequence[Filter],
    now_ms: int | None = None,
    batch_bytes: int = BATCH_BYTES,
    named: int | None = None,
    *,
    zone: tzinfo | None = None,
) -> Iterator[MatchedLines]:
    """Match files, each a stream of its own, in order. `-` is standard input; gzip, bzip2 and xz are read.

    `named`: how many filters, the first, see every line; each other only what no filter before it took.
    Times without a year are taken as of `now_ms`, by default the file's modification time; those without a
    zone are of `zone`, by default the local one.
    Raises SourceError, naming the file, when one cannot be read.
    """
    for path in paths:
        clock = LineClock(modified_ms(path) if now_ms is None else now_ms, "offline")
        plan, torn = Plan(filters, named, zone), TornLines()
        for base, data in read_lines(path, batch_bytes):
            for start, lines in torn.join("", base, data):
                yield MatchedLines(path, start, lines, plan.scan(lines, clock))


def modified_ms(path: str) -> int:
    """A file's modification time in Unix milliseconds; SourceError when it cannot be seen."""
    try:
        stat = Path("/dev/stdin" if path == STDIN else path).stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return stat.st_mtime_ns // 1_000_000


def read_lines(path: str, batch_bytes: int = BATCH_BYTES) -> Iterator[tuple[int, bytes]]:
    """The whole lines of a file with the position of their first byte; the last needs no newline.

    Lines past the limit are cut as the live sources cut them. Raises SourceError.
    """
    try:
        with _opened(path) as stream:
            yield from _cut(stream, max(batch_bytes, 1))
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise _unreadable(path, error) from error


def _cut(stream: BufferedIOBase, batch_bytes: int) -> Iterator[tuple[int, bytes]]:
    """The lines of a stream, by way of one buffer that stays in the cache: each byte is copied once."""
    buffer = bytearray(LINE_LIMIT_BYTES + 1 + batch_bytes)
    view = memoryview(buffer)
    base, size, skipping = 0, 0, False
    while count := stream.readinto(view[size : size + batch_bytes]):
        start, size = 0, size + count
        while start < size:
            cut = skip_line(buffer, start, size) if skipping else cut_lines(buffer, start, size)
            if cut.end == start:
                break
            if not skipping:
                yield base + start, bytes(view[start : cut.end]) + b"\n" * cut.skipping
            start, skipping = cut.end, cut.skipping
        base, size = base + start, size - start
        view[:size] = bytes(view[start : start + size])
    if size and not skipping:
        yield base, bytes(view[:size]) + b"\n"


@contextmanager
def _opened(path: str) -> Iterator[BufferedIOBase]:
    """The bytes of a file, decompressed as its first bytes say."""
    with nullcontext(sys.stdin.buffer) if path == STDIN else Path(path).open("rb") as packed:
        start = cast("BufferedReader", packed).peek(6)
        if start.startswith(ZSTD):
            raise SourceError(
                f"{path}: packed with zstd, which this Python cannot read; unpack it: zstd -d {path}"
            )
        opener = next((opener for magic, opener in MAGIC.items() if start.startswith(magic)), None)
        if opener is None:
            yield cast("BufferedReader", packed)
        else:
            with opener(packed, "rb") as stream:
                yield stream


def _unreadable(path: str, error: BaseException) -> SourceError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return SourceError(f"{path}: {reason}")
