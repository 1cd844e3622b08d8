"""The event log in one SQLite file: the embedded default, for one machine without a broker.

WAL mode: one process writes at a time, any number read meanwhile, and a process killed at any moment leaves
whole commits only. The format is in eventlog.sqlite_schema, what can go wrong in eventlog.sqlite_errors.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import accumulate, count
from pathlib import Path
from threading import RLock
from typing import Any, Final, NamedTuple, Self

from eventlog import sqlite_schema as sql
from eventlog.claim import Claim
from eventlog.clock import wall_clock_ms
from eventlog.contract import Append, Message, Place, Shrunk
from eventlog.packing import packed, unpacked
from eventlog.sqlite_errors import no_room, told
from eventlog.sqlite_file import bring_up_to_date, connect, identify, initialize, is_blank, transaction
from eventlog.sqlite_rows import message_of
from eventlog.sqlite_wait import Changes
from eventlog.terms import FIRST_TO_GO, TOMBSTONE_KEPT_MS, Clock, admit, compacted_topic, topic_of
from eventlog.writer import LogWriter, fenced
from schemas.errors import Fenced, Transient
from schemas.topics import BY_NAME, EVENTS

SHRINK_PART: Final = 64
"""A log that is past its size gives this part of it back, so that the next message fits as well."""

SHRINK_BYTES: Final = 32 << 20
"""But no more than this at once: it takes up to 7 ms a megabyte, and stages wait meanwhile."""

READ_BYTES: Final = 4 * 1024 * 1024
"""A read stops after this much, so that a reader of big frames needs little memory."""


class LogCommit(NamedTuple):
    """What is written in one transaction.

    Attributes:
        at_ms: when it was told to the log.
        writer: whose it is, and the epoch that it was given; None: of whoever only adds.
    """

    appends: Sequence[Append]
    at_ms: int
    positions: Mapping[str, bytes] = {}
    writer: tuple[str, int] | None = None


Row = tuple[int, int | None, int, int, str | None, bytes]
"""A message to be inserted: id, stream where compacted, time, highest time so far, key, value."""

LATEST_PAGE: Final = 1_000


class SqliteLog:
    """The contract, in a SQLite file. Threads may share it; a forked child must open its own."""

    def __init__(self, connection: sqlite3.Connection, path: Path, partitions: int, now_ms: Clock) -> None:
        self._db = connection
        self._path = path
        self._partitions = partitions
        self._now_ms = now_ms
        self._lock = RLock()
        self._claims: list[Claim] = []
        self._changes = Changes(path)
        self._streams: dict[tuple[str, int], int] = {
            (topic, number): stream for topic, number, stream in connection.execute(sql.STREAMS)
        }

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        partitions: int | None = None,
        now_ms: Clock = wall_clock_ms,
        read_only: bool = False,
    ) -> Self:
        """Open the log in a file, and make it first where there is none (not when `read_only`).

        Args:
            path: the file; missing directories are made, for this user alone.
            partitions: how many; fixed when the log is made. None: as many as it has, 1 in a new one.
            now_ms: the clock that `at_ms` of a message is read from.
            read_only: every attempt to write is a LogError.

        Raises:
            LogError: not ours, damaged, not permitted, other partitions: with what to do about it.
            Transient: the disk is full, or another process holds the file locked.
        """
        path = Path(path)
        with told(path):
            connection = connect(path, read_only=read_only)
            try:
                if not read_only and is_blank(connection):
                    initialize(connection, partitions or 1)
                recorded = identify(connection, path, partitions)
                if not read_only:
                    bring_up_to_date(connection, recorded)
                return cls(connection, path, recorded, now_ms)
            except BaseException:
                connection.close()
                raise

    @property
    def partitions(self) -> int:
        """How many partitions every topic has; fixed when the log was made."""
        return self._partitions

    def append(self, appends: Sequence[Append]) -> list[int]:
        """Append messages, all or nothing; returns their offsets. Raises Transient or LogError."""
        return self.write([LogCommit(appends, self._now_ms())])[0]

    def write(self, commits: Sequence[LogCommit]) -> list[list[int]]:
        """Write commits, all or nothing, in order; returns the offsets of each one's messages.

        Raises Fenced, Unwritable, Transient and LogError.
        """
        with self._writing():
            return [self._write(commit) for commit in commits]

    def read(self, topic: str, partition: int, offset: int, *, limit: int = 1_000) -> list[Message]:
        """Up to `limit` messages from `offset` on, fewer where they exceed READ_BYTES; empty at the end."""
        low, high = self._span(topic, partition)
        start = low + min(max(offset, 0), sql.OFFSETS)
        unpack = unpacked if topic == EVENTS.name else bytes
        messages: list[Message] = []
        size = 0
        with self._reading(), closing(self._db.execute(sql.READ, (start, high, limit))) as rows:
            for row in rows:
                messages.append(message_of(partition, low, row, unpack))
                size += len(messages[-1].value)
                if size >= READ_BYTES:
                    break
        return messages

    def wait(self, offsets: Mapping[Place, int], *, timeout_ms: int) -> bool:
        """Whether one of these places has a message at or after its offset; sleeps until one has.

        Whoever writes, in this process or another, wakes it.
        """
        spans = [
            (low + max(offset, 0), high)
            for (low, high), offset in ((self._span(*place), offset) for place, offset in offsets.items())
        ]
        return self._changes.wait(lambda: any(self._one(sql.FIRST, *span) for span in spans), timeout_ms)

    def begin(self, topic: str, partition: int = 0) -> int:
        """The offset of the oldest message kept; `end` when there is none."""
        low, high = self._span(topic, partition)
        with self._reading():
            first = self._one(sql.FIRST, low, high)
            return self.end(topic, partition) if first is None else int(first[0]) - low

    def end(self, topic: str, partition: int = 0) -> int:
        """The offset that the next message will get."""
        low, _ = self._span(topic, partition)
        with self._reading():
            (end,) = self._one(sql.END, low >> sql.OFFSET_BITS) or (0,)
            return int(end)

    def offset_at(self, topic: str, partition: int, at_ms: int) -> int:
        """The offset of the first message appended at or after an instant; `end` when there is none.

        Where the clock had stepped back and that message was compacted or dropped since, the offset may be
        one of an earlier instant; a reader from there misses nothing that was appended at or after `at_ms`.
        """
        low, high = self._span(topic, partition)

        def peak_ms(start: int) -> int:
            first = self._one(sql.FIRST, start, high)
            return at_ms if first is None else int(first[1])

        with self._reading():
            end = low + self.end(topic, partition)
            found = bisect_left(range(low, end), at_ms, key=peak_ms) + low
            first = self._one(sql.FIRST, found, end)
        return (end if first is None else int(first[0])) - low

    def latest(self, topic: str, partition: int = 0) -> Iterator[Message]:
        """The newest message of every key in force of a compacted topic, by offset.

        What is appended meanwhile comes too, so a key may come twice; the later one holds.
        """
        compacted_topic(topic, partition, self._partitions)
        low, high = self._span(topic, partition)
        return self._pages(partition, low, high)

    def position(self, reader: str) -> bytes | None:
        """The position a writer's commit last gave this reader; None when it never did."""
        with self._reading():
            row = self._one(sql.POSITION, reader)
            return None if row is None else bytes(row[0])

    def positions(self) -> dict[str, bytes]:
        """Every reader's position."""
        with self._reading():
            rows = self._db.execute(sql.POSITIONS).fetchall()
        return {reader: bytes(position) for reader, position in rows}

    def writer(self, name: str) -> LogWriter:
        """A writer of this name; from now on every older one, of whatever process, is fenced."""
        return LogWriter(name, partial(self._commit, (name, self.new_epoch(name))))

    def new_epoch(self, name: str) -> int:
        """The epoch of a new writer of this name: every older one, of whatever process, is fenced."""
        with self._writing():
            (epoch,) = self._db.execute(sql.NEW_EPOCH, (name,)).fetchall()[0]
        return int(epoch)

    def retain(self, now_ms: int) -> int:
        """Drop what is past its topic's retention, and old tombstones; returns how many.

        It works in short transactions, so that a writer never waits long. The file keeps its size; the room
        is used again.
        """
        return sum(self._retain(*stream, now_ms) for stream in list(self._streams))

    def used_bytes(self) -> int:
        """How much of the file is in use; the room of what was dropped is not, until it is used again."""
        with self._reading():
            (used,) = self._one(sql.USED_BYTES)
            return int(used)

    def shrink(self, max_bytes: int, needed: Callable[[], Mapping[Place, int]]) -> Shrunk:
        """Where more than `max_bytes` are in use, drop the oldest of what may go, SHRINK_BYTES at most.

        As `retain`, in short transactions, and the file keeps its size.
        """
        used_bytes = self.used_bytes()
        if used_bytes <= max_bytes:
            return Shrunk()
        ends, dropped = needed(), 0
        target_bytes = max(max_bytes - max_bytes // SHRINK_PART, used_bytes - SHRINK_BYTES)
        for topics in FIRST_TO_GO:
            while (excess_bytes := self.used_bytes() - target_bytes) > 0:
                some = self._drop_oldest(topics, ends, excess_bytes)
                if not some:
                    break
                dropped += some
        return Shrunk(dropped, max(self.used_bytes() - max_bytes, 0))

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Within it nobody else writes: who tries waits, and then meets Transient. For reading only."""
        with self._writing():
            yield

    def claim(self, role: str) -> None:
        """Be the only process of this role on this log, until it is closed or the process ends.

        Raises:
            LogError: another process is; names its pid.
        """
        self._claims.append(Claim.take(self._path, role))

    def notices(self) -> Mapping[str, int]:
        """That the disk has no room, where it has none: what is to be written waits elsewhere."""
        return {f"{self._path}: its disk is full": 1} if no_room(self._path) else {}

    def close(self) -> None:
        """Let go. Idempotent."""
        self._changes.close()
        with self._lock:
            self._db.close()
        while self._claims:
            self._claims.pop().release()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, told(self._path):
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._reading(), transaction(self._db):
                yield
        except Transient:
            # On a full disk the -wal file may hold what fits into free pages of the log: then the next try
            # finds the room that this one did not.
            with self._lock, suppress(sqlite3.Error):
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            raise

    def _one(self, statement: str, *arguments: object) -> Any:
        """The first row of a statement that gives one at most."""
        with self._reading(), closing(self._db.execute(statement, arguments)) as rows:
            return rows.fetchone()

    def _span(self, topic: str, partition: int) -> tuple[int, int]:
        """The ids of a stream: the first that it may use, and the first that it may not."""
        topic_of(topic, partition, self._partitions)
        low = self._streams.get((topic, partition), sql.NOWHERE) << sql.OFFSET_BITS
        return low, low + sql.OFFSETS

    def _pages(self, partition: int, start: int, high: int) -> Iterator[Message]:
        low = start
        while True:
            with self._reading():
                rows = self._db.execute(sql.IN_FORCE, (start, high, LATEST_PAGE)).fetchall()
                messages = [message_of(partition, low, row) for row in rows]
            yield from messages
            if not rows:
                return
            start = rows[-1][0] + 1

    def _commit(
        self, writer: tuple[str, int], appends: Sequence[Append], positions: Mapping[str, bytes]
    ) -> list[int]:
        return self.write([LogCommit(appends, self._now_ms(), positions, writer)])[0]

    def _write(self, commit: LogCommit) -> list[int]:
        """Write a commit, within a transaction; returns its messages' offsets."""
        appends, at_ms, positions, writer = commit
        if writer is not None and self._db.execute(sql.EPOCH, writer[:1]).fetchall() != [writer[1:]]:
            raise Fenced(fenced(writer[0]))
        self._db.executemany(sql.MOVE, positions.items())
        take = self._take_offsets(appends, at_ms)
        plain: list[Row] = []
        compacted: list[Row] = []
        offsets = []
        for append in appends:
            topic = admit(append, self._partitions)
            low, peak_ms, numbers = take[append.topic, append.partition]
            number = next(numbers)
            stream = low >> sql.OFFSET_BITS if topic.compacted else None
            value = packed(append.value) if append.topic == EVENTS.name else append.value
            row = (number, stream, at_ms, peak_ms, append.key, value)
            (compacted if topic.compacted else plain).append(row)
            offsets.append(number - low)
        self._db.executemany(sql.INSERT, plain)
        self._db.executemany(sql.REPLACE, compacted)
        return offsets

    def _take_offsets(
        self, appends: Sequence[Append], at_ms: int
    ) -> Mapping[tuple[str, int], tuple[int, int, Iterator[int]]]:
        """For each stream written to: its first id, its highest time now, and the ids to give out."""
        taken = {}
        for stream, amount in Counter((append.topic, append.partition) for append in appends).items():
            low, _ = self._span(*stream)
            arguments = (amount, at_ms, low >> sql.OFFSET_BITS)
            ((end, peak_ms),) = self._db.execute(sql.TAKE_OFFSETS, arguments).fetchall()
            taken[stream] = low, peak_ms, count(low + end - amount)
        return taken

    def _retain(self, name: str, partition: int, now_ms: int) -> int:
        topic = BY_NAME.get(name)
        if topic is None:
            return 0
        low, high = self._span(name, partition)
        if topic.compacted:
            return self._drop(sql.DROP_TOMBSTONES, low >> sql.OFFSET_BITS, now_ms - TOMBSTONE_KEPT_MS)
        if topic.retention_ms is None:
            return 0
        cutoff_ms = now_ms - topic.retention_ms
        kept = self._one(sql.FIRST_KEPT, low, high, cutoff_ms, now_ms)
        expired = self._one(sql.LAST_EXPIRED, low, high if kept is None else kept[0], cutoff_ms)
        return 0 if expired is None else self._drop(sql.DROP_RANGE, low, expired[0])

    def _drop_oldest(self, topics: Collection[str], ends: Mapping[Place, int], excess_bytes: int) -> int:
        """Drop some of the oldest messages among topics, no more than need be; returns how many."""
        heads: list[tuple[int, int, int]] = []
        for place in self._streams:
            if place[0] in topics:
                low, high = self._span(*place)
                high = min(high, low + ends.get(place, sql.OFFSETS))
                first = self._one(sql.FIRST, low, high)
                heads += [] if first is None else [(first[1], first[0], high)]
        if not heads:
            return 0
        (_, start, high), *others = sorted(heads)
        until_ms = others[0][0] if others else sql.FOREVER_MS
        with self._reading():
            sizes = self._db.execute(sql.SIZES, (start, high, until_ms)).fetchall()
        sums = list(accumulate(size for _, size in sizes))
        enough = min(bisect_left(sums, excess_bytes), len(sums) - 1)
        return self._drop(sql.DROP_RANGE, start, sizes[enough][0])

    def _drop(self, statement: str, *arguments: int) -> int:
        dropped = 0
        while True:
            with self._writing():
                amount = self._db.execute(statement, arguments).rowcount
            dropped += amount
            if not amount:
                return dropped
