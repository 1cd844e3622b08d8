"""Making a log's file as small as what is in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from eventlog import sqlite_schema as sql
from eventlog.packing import PACKED, packed
from eventlog.sqlite_errors import told
from eventlog.sqlite_file import bring_up_to_date, connect, identify, transaction
from schemas.topics import EVENTS


def compact(path: Path) -> None:
    """Pack what an older version wrote unpacked, and give the room that is not in use back to the disk.

    It needs as much room on the disk again as is in use, and nobody else can write meanwhile. Raises
    Transient and LogError; then the log is whole, though not compact.
    """
    with told(path), closing(connect(path, read_only=False)) as connection:
        bring_up_to_date(connection, identify(connection, path, None))
        for topic, _, stream in connection.execute(sql.STREAMS).fetchall():
            if topic == EVENTS.name:
                _pack(connection, stream << sql.OFFSET_BITS)
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _pack(connection: sqlite3.Connection, low: int) -> None:
    """Pack what stands unpacked in a stream, in short transactions."""
    start = low
    while True:
        with transaction(connection):
            rows = connection.execute(sql.UNPACKED, (start, low + sql.OFFSETS, PACKED)).fetchall()
            connection.executemany(sql.PACK, [(packed(value), number) for number, value in rows])
        if not rows:
            return
        start = rows[-1][0] + 1
