"""The file of an index: blocks of hashes, each sealed, so that what is damaged or torn is known for it.

| table | holds |
|---|---|
| blocks | of each block its place, its first offset and the one behind it, its last message, how many pairs |
| shards | of each block its pairs (hash, offset from the block's first) in order, in SHARDS parts by hash |

It holds nothing that cannot be made again, so it is written without waiting for the disk, and thrown away as
soon as a seal (a CRC-32 over all of a row) is wrong.
"""

from __future__ import annotations

import os
import sqlite3
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, Self
from zlib import crc32

from eventlog.contract import Message, Place
from eventlog.sqlite_file import transaction
from eventlog.trust import doubt

APPLICATION_ID: Final = 0x62616E69
"""`bani` in ASCII, in the header's application id."""
FORMAT: Final = 1
SHARD_BITS: Final = 4
SHARDS: Final = 1 << SHARD_BITS
OFFSET_BITS: Final = 32
HASH_BITS: Final = 32
BUSY_S: Final = 2.0
DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
Pairs = array
"""`array("Q")`: hash above offset, sorted."""

DDL: Final = """
CREATE TABLE IF NOT EXISTS blocks (topic TEXT, partition INTEGER, first INTEGER, next INTEGER, last INTEGER,
    last_at_ms INTEGER, last_crc INTEGER, pairs INTEGER, seal INTEGER, PRIMARY KEY (topic, partition, first));
CREATE TABLE IF NOT EXISTS shards (topic TEXT, partition INTEGER, first INTEGER, shard INTEGER, seal INTEGER,
    pairs BLOB, PRIMARY KEY (topic, partition, first, shard));
"""
MAKE: Final = (
    f"BEGIN IMMEDIATE; {DDL} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT"
)
BLOCKS: Final = "SELECT * FROM blocks WHERE topic = ? AND partition = ? ORDER BY first"
SHARD: Final = """SELECT seal, pairs FROM shards
    WHERE topic = ? AND partition = ? AND first = ? AND shard = ?"""
FORGET: Final = (
    "DELETE FROM blocks WHERE topic = ? AND partition = ? AND first = ?",
    "DELETE FROM shards WHERE topic = ? AND partition = ? AND first = ?",
)
PUT_BLOCK: Final = "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
PUT_SHARD: Final = "INSERT INTO shards VALUES (?, ?, ?, ?, ?, ?)"


class UnusableIndexError(Exception):
    """The file cannot be used.

    Attributes:
        why: `damaged`: it is not as it was written, and is to be made again; `changed`: another put other
            blocks there meanwhile; `busy`: another holds it.
    """

    def __init__(self, why: Literal["damaged", "changed", "busy"] = "damaged") -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Block:
    """Messages that stand side by side.

    Attributes:
        first, next: from this offset to before that one.
        last, last_at_ms, last_crc: the last message's offset, instant, and the CRC-32 of its value.
        pairs: how many (hash, offset) there are.
    """

    topic: str
    partition: int
    first: int
    next: int
    last: int
    last_at_ms: int
    last_crc: int
    pairs: int

    def ends_with(self, message: Message) -> bool:
        """Whether this message is its last, as it was."""
        return (message.offset, message.at_ms, crc32(message.value)) == (
            self.last,
            self.last_at_ms,
            self.last_crc,
        )

    def seal(self, more: bytes = b"") -> int:
        """The CRC-32 of all of it."""
        return crc32(more, crc32(repr(astuple(self)).encode()))


class IndexFile:
    """Blocks in a SQLite file, or in a temporary one of this process alone."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None, *, writable: bool) -> None:
        self._db = connection
        self._path = path
        self.writable = writable

    @classmethod
    def private(cls) -> Self:
        """One that goes with this process."""
        connection = sqlite3.connect("", isolation_level=None)
        connection.executescript(DDL)
        return cls(connection, None, writable=True)

    @classmethod
    def open(cls, path: Path, beside: Path | None = None) -> Self | None:
        """The index in a file, made where there is none; None where it may be neither read nor made.

        `beside`: the log, whose owner and mode it gets. One that others may have written is left alone.
        """
        for _ in range(2):
            with suppress(OSError, sqlite3.Error):
                writable = _made(path, beside)
                if doubt(path, also=None if beside is None else beside.stat().st_uid) is not None:
                    return None
                writable = writable and os.access(path, os.W_OK, effective_ids=True)
                file = cls(_connected(path, writable=writable), path, writable=writable)
                try:
                    return file if file.identify() else None
                except UnusableIndexError:
                    continue  # it was damaged, and is gone
            return None
        return None

    def identify(self) -> bool:
        """Whether it is an index of this format; else it is let go of. Raises UnusableIndexError."""
        try:
            with self._checked():
                if self._marks() == (0, 0, 0) and self.writable:
                    self._db.executescript(MAKE)
                if self._marks()[:2] == (APPLICATION_ID, FORMAT):
                    return True
        except UnusableIndexError as error:
            if error.why == "damaged":
                self.discard()
                raise
        self.close()
        return False

    def blocks(self, place: Place) -> list[Block]:
        """The blocks of a place that follow each other from the first on. Raises UnusableIndexError."""
        with self._checked():
            rows = self._db.execute(BLOCKS, place).fetchall()
        found = [Block(*row[:-1]) for row in rows]
        if any(block.seal() != row[-1] for block, row in zip(found, rows, strict=True)):
            raise UnusableIndexError
        if any(before.next != after.first for before, after in pairwise(found)):
            raise UnusableIndexError
        return found

    def shard(self, block: Block, number: int) -> Pairs[int]:
        """The pairs in a part of a block. Raises UnusableIndexError."""
        with self._checked():
            row = self._db.execute(SHARD, (block.topic, block.partition, block.first, number)).fetchone()
        if row is None or not isinstance(row[1], bytes) or row[0] != block.seal(b"%d:" % number + row[1]):
            there = block in self.blocks((block.topic, block.partition))
            raise UnusableIndexError("damaged" if there else "changed")
        pairs = array("Q")
        pairs.frombytes(row[1])
        return pairs

    def pairs(self, block: Block) -> Pairs[int]:
        """All the pairs of a block. Raises UnusableIndexError."""
        pairs = array("Q")
        for number in range(SHARDS):
            pairs += self.shard(block, number)
        return pairs

    def put(self, block: Block, pairs: Pairs[int], instead: Block | None = None) -> bool:
        """Keep a block, in the place of the last one; whether it is kept: others may have been first.

        Raises UnusableIndexError, where it is damaged.
        """
        try:
            with self._checked(), transaction(self._db):
                known = self.blocks((block.topic, block.partition))
                kept = known if instead is None else known[:-1]
                goes_on = not kept or kept[-1].next == block.first
                if known[len(kept) :] != ([] if instead is None else [instead]) or not goes_on:
                    return False
                self._forget(known[len(kept) :])
                self._insert(block, pairs)
        except UnusableIndexError as error:
            if error.why == "damaged":
                raise
            return False
        return True

    def forget(self, blocks: list[Block]) -> None:
        """Drop blocks. Raises UnusableIndexError."""
        with self._checked(), transaction(self._db):
            self._forget(blocks)

    def discard(self) -> None:
        """Remove the file, as far as one may, and let go of it."""
        self.close()
        if self._path is not None and self.writable:
            for path in (Path(f"{self._path}-journal"), self._path):
                with suppress(OSError):
                    path.unlink()

    def close(self) -> None:
        """Let go. Idempotent."""
        self._db.close()

    def _marks(self) -> tuple[int, int, int]:
        """Whose it is, of which format, and how many tables it has."""
        (application,), (version,), (tables,) = (
            self._db.execute(question).fetchone()
            for question in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_master",
            )
        )
        return application, version, tables

    def _forget(self, blocks: list[Block]) -> None:
        for statement in FORGET:
            self._db.executemany(statement, [(each.topic, each.partition, each.first) for each in blocks])

    def _insert(self, block: Block, pairs: Pairs[int]) -> None:
        key = block.topic, block.partition, block.first
        self._db.execute(PUT_BLOCK, (*astuple(block), block.seal()))
        self._db.executemany(
            PUT_SHARD,
            (
                (*key, number, block.seal(b"%d:" % number + part), part)
                for number, part in enumerate(_parted(pairs))
            ),
        )

    @contextmanager
    def _checked(self) -> Iterator[None]:
        """Within it what SQLite raises is UnusableIndexError."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            raise UnusableIndexError("damaged" if code in DAMAGED else "busy") from error


def _connected(path: Path, *, writable: bool) -> sqlite3.Connection:
    quoted = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    mode = "rw" if writable else "ro"
    connection = sqlite3.connect(f"file:{quoted}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None)
    for setting in ("trusted_schema = OFF", "synchronous = OFF"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def _parted(pairs: Pairs[int]) -> Iterator[bytes]:
    """Sorted pairs in parts by the first bits of the hash."""
    raw, start = pairs.tobytes(), 0
    for number in range(1, SHARDS + 1):
        limit = number << (OFFSET_BITS + HASH_BITS - SHARD_BITS)
        end = len(pairs) if number == SHARDS else _first_at(pairs, limit)
        yield raw[start * 8 : end * 8]
        start = end


def _first_at(pairs: Pairs[int], limit: int) -> int:
    low, high = 0, len(pairs)
    while low < high:
        middle = (low + high) // 2
        if pairs[middle] < limit:
            low = middle + 1
        else:
            high = middle
    return low


def _made(path: Path, beside: Path | None) -> bool:
    """Make an empty file where there is none; whether it may be written. Raises OSError."""
    mode, like = 0o600, None
    if beside is None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    else:
        like = beside.stat()
        mode = like.st_mode & 0o666
    if not os.access(path.parent, os.W_OK, effective_ids=True):
        return False
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            if like is not None and os.geteuid() == 0:
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
    return True
