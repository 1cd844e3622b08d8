"""What has been read and is not in the log yet, and how far sources have been read: one file on this host.

Events and position are one commit here, as in a log, and an event leaves only when the log has it. So a crash
at any moment loses nothing; what was sent and not yet taken out is sent again, and the decider knows it by
its position. While the broker is away the spool fills up to its limit; then nothing more is read, and lines
wait in their files.

No fsync a commit: a power cut takes the last moments' events back together with the position.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Condition
from typing import Any, Final, Self

from eventlog.contract import Append, Writer
from eventlog.sqlite_errors import told
from eventlog.sqlite_file import connect, transaction
from eventlog.writer import LogWriter
from schemas.errors import LogError, Transient

APPLICATION_ID: Final = 0x62735370
"""`bsSp`."""
DDL: Final = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS positions (reader TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS frames (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, part INTEGER NOT NULL, value BLOB NOT NULL
    )""",
)
FULL_RETRY_MS: Final = 200
SHRINK_BYTES: Final = 32 << 20
"""A file larger than this is cut down when the spool has run empty."""


class Spool:
    """A producer's way to write, and the uplink's way to read. Threads may share it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, limit_bytes: int) -> None:
        self._path = path
        self._connection = connection
        self._limit_bytes = limit_bytes
        self._changed = Condition()
        self._fulls = 0
        found = connection.execute("SELECT value FROM meta WHERE name = 'partitions'").fetchone()
        self.known_partitions: int | None = None if found is None else int(found[0])
        row = connection.execute("SELECT count(*), coalesce(sum(length(value)), 0) FROM frames").fetchone()
        self._frames, self._bytes = map(int, row)

    @classmethod
    def open(cls, path: Path, limit_bytes: int, *, read_only: bool = False) -> Self:
        """The spool at `path`, made where it is missing. Raises LogError and Transient."""
        with told(path):
            connection = connect(path, read_only=read_only)
            try:
                if not read_only:
                    _prepare(connection)
                _identify(connection, path)
                return cls(path, connection, limit_bytes)
            except BaseException:
                connection.close()
                raise

    @property
    def partitions(self) -> int:
        """How many partitions the log has; raises Transient until it was asked once."""
        if self.known_partitions is None:
            raise Transient(f"{self._path}: the log's number of partitions is not known yet")
        return self.known_partitions

    def learn_partitions(self, partitions: int) -> None:
        """Remember the log's number of partitions; LogError when what waits was laid out for another."""
        if self.known_partitions not in {None, partitions} and self._frames:
            raise LogError(
                f"{self._path}: holds {self._frames} frames for a log of {self.known_partitions} partitions, "
                f"and this one has {partitions}; ship them to the old log, or remove the file"
            )
        if self.known_partitions != partitions:
            with self._changed, told(self._path), transaction(self._connection):
                self._connection.execute("REPLACE INTO meta VALUES ('partitions', ?)", (partitions,))
            self.known_partitions = partitions

    def position(self, reader: str) -> bytes | None:
        """The position last stored for this reader; None when it never was."""
        with self._changed, told(self._path):
            query = "SELECT value FROM positions WHERE reader = ?"
            row = self._connection.execute(query, (reader,)).fetchone()
        return None if row is None else bytes(row[0])

    def writer(self, name: str) -> Writer:
        """A stage's way to write; the spool has one at a time, since one process has the spool."""
        return LogWriter(name, self._commit)

    def _commit(self, appends: Sequence[Append], positions: Mapping[str, bytes]) -> list[int]:
        """Keep messages and positions, all or nothing; returns no offsets: the log will give them."""
        size = sum(len(append.value) for append in appends)
        with self._changed:
            if self._frames and self._bytes + size > self._limit_bytes:
                self._fulls += 1
                raise Transient(
                    f"{self._path}: the spool is full ({self._limit_bytes} bytes); nothing more is read, and "
                    "lines wait in their files until the broker takes what is in it",
                    retry_after_ms=FULL_RETRY_MS,
                )
            rows = [(append.topic, append.partition, append.value) for append in appends]
            with told(self._path), transaction(self._connection):
                self._connection.executemany("INSERT INTO frames (topic, part, value) VALUES (?, ?, ?)", rows)
                self._connection.executemany("REPLACE INTO positions VALUES (?, ?)", positions.items())
            self._frames += len(rows)
            self._bytes += size
            self._changed.notify()
        return []

    def keep(self, name: str, value: bytes) -> None:
        """Store one position, or what a shipper says of itself."""
        with self._changed, told(self._path), transaction(self._connection):
            self._connection.execute("REPLACE INTO positions VALUES (?, ?)", (name, value))

    def oldest(self, most_bytes: int) -> tuple[list[Append], int]:
        """The oldest messages, about `most_bytes` of them, and what `drop` takes to take them out."""
        found: list[Append] = []
        last = size = 0
        with self._changed, told(self._path):
            for seq, topic, part, value in self._connection.execute("SELECT * FROM frames ORDER BY seq"):
                found.append(Append(topic, value, partition=part))
                last, size = seq, size + len(value)
                if size >= most_bytes:
                    break
        return found, last

    def drop(self, taken: Sequence[Append], last: int) -> None:
        """Take out what `oldest` gave: the log has it."""
        with self._changed, told(self._path):
            with transaction(self._connection):
                self._connection.execute("DELETE FROM frames WHERE seq <= ?", (last,))
            self._frames -= len(taken)
            self._bytes -= sum(len(append.value) for append in taken)
            if not self._frames and self._path.stat().st_size > SHRINK_BYTES:
                self._connection.execute("PRAGMA incremental_vacuum").fetchall()

    def wait(self, timeout_s: float) -> None:
        """Wait until it holds something."""
        with self._changed:
            if not self._frames:
                self._changed.wait(timeout_s)

    def wake(self) -> None:
        """End a `wait`."""
        with self._changed:
            self._changed.notify()

    def filled(self) -> float:
        """Which share of its limit is taken."""
        return self._bytes / self._limit_bytes

    def status(self) -> dict[str, Any]:
        """What waits here, in JSON's types; `spool_refusals` counts how often it was full."""
        return {
            "spooled_frames": self._frames,
            "spooled_bytes": self._bytes,
            "spool_bytes": self._limit_bytes,
            "spool_refusals": self._fulls,
        }

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        with self._changed:
            self._connection.close()


def _identify(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise LogError(f"{path}: not a shipper's spool; name another directory in [ship]")


def _prepare(connection: sqlite3.Connection) -> None:
    if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA journal_mode = WAL")
    with transaction(connection):
        for statement in DDL:
            connection.execute(statement)
