"""What only the SQLite log does: bounded reads, and a view for people with a shell."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from eventlog.contract import Append
from eventlog.sqlite import READ_BYTES, SqliteLog
from schemas.topics import BANS, EVENTS
from tests.eventlog.filling import noise


def test_a_read_stops_after_so_many_bytes(log: SqliteLog) -> None:
    """A read of big frames gives the first that reach READ_BYTES, so that it needs little memory."""
    frame_bytes = READ_BYTES // 3
    log.append([Append(EVENTS.name, bytes(frame_bytes))] * 10)
    assert [message.offset for message in log.read(EVENTS.name, 0, 0)] == [0, 1, 2, 3]
    assert [message.offset for message in log.read(EVENTS.name, 0, 8)] == [8, 9]


def test_a_frame_beyond_the_bound_is_read_alone(log: SqliteLog) -> None:
    """A read gives at least one message, however big."""
    log.append([Append(EVENTS.name, bytes(2 * READ_BYTES)), Append(EVENTS.name, b"x")])
    assert [message.offset for message in log.read(EVENTS.name, 0, 0)] == [0]


def test_a_stream_never_reads_into_another(log: SqliteLog) -> None:
    """An offset before the first or far past the last gives nothing of a neighbouring stream."""
    log.append([Append(EVENTS.name, b"e"), Append(BANS.name, b"b", key="k")])
    assert [message.value for message in log.read(EVENTS.name, 0, -(2**70))] == [b"e"]
    assert log.read(BANS.name, 0, 2**47) == []
    assert log.read(BANS.name, 0, 2**70) == []


def test_a_log_at_its_size_uses_its_room_again(log: SqliteLog, path: Path) -> None:
    """What went gives its room to what comes: the file grows no further, though it does not shrink."""
    room_bytes = 4 << 20
    sizes = []
    for _ in range(12):
        log.append([Append(EVENTS.name, noise(1_000))] * 2_000)
        log.shrink(room_bytes, dict)
        assert log.used_bytes() <= room_bytes
        sizes.append(path.stat().st_size)
    assert sizes[-1] == sizes[5] < room_bytes + (3 << 20)
    assert log.end(EVENTS.name) - log.begin(EVENTS.name) > 2_000


def test_people_can_read_it_with_a_shell(log: SqliteLog, path: Path) -> None:
    """The view `log` shows topic, partition, offset, instant, key and value of every message."""
    log.append(
        [Append(EVENTS.name, b"first"), Append(EVENTS.name, b"second"), Append(BANS.name, b"b", key="k")]
    )
    with closing(sqlite3.connect(path)) as shell:
        rows = shell.execute('SELECT topic, partition, "offset", key, value FROM log').fetchall()
    assert sorted(rows, key=repr) == [
        (BANS.name, 0, 0, "k", b"b"),
        (EVENTS.name, 0, 0, None, b"first"),
        (EVENTS.name, 0, 1, None, b"second"),
    ]


def test_at_rest_it_is_read_and_nobody_writes(log: SqliteLog, path: Path) -> None:
    """Meanwhile another connection gets no write lock; afterwards it does, and nothing was changed."""
    log.append([Append(EVENTS.name, b"first")])
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        with log.at_rest():
            assert [message.value for message in log.read(EVENTS.name, 0, 0)] == [b"first"]
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    assert log.end(EVENTS.name) == 1


def test_closing_the_log_ends_a_wait(log: SqliteLog) -> None:
    """Whoever waits in a thread holds up nobody who stops."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(log.wait, {(EVENTS.name, 0): 0}, timeout_ms=60_000)
        time.sleep(0.1)
        started = time.monotonic()
        log.close()
        assert waiting.result(timeout=10) is False
        assert time.monotonic() - started < 5
    assert log.wait({(EVENTS.name, 0): 0}, timeout_ms=60_000) is False
