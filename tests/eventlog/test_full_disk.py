"""A disk that is really full: commits wait, nothing is lost, nothing is written twice."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from eventlog.contract import Append, Writer
from eventlog.sqlite import SqliteLog
from schemas.errors import Transient
from schemas.topics import BANS, EVENTS
from tests.eventlog.filling import noise

FRAME_BYTES = 9_000


def occupy(disk: Path, leave_bytes: int = 0) -> Path:
    """Fill what is left of a disk but so many bytes, as another program does."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4_096))
        except OSError:
            file.truncate(max(0, file.tell() - leave_bytes))
    return filler


def commit(writer: Writer, number: int) -> None:
    """Commit message `number`, and the position after it."""
    appends = [
        Append(EVENTS.name, b"%d\0" % number + noise(FRAME_BYTES)),
        Append(BANS.name, b"%d" % number, key="only"),
    ]
    writer.commit(appends, {"reader": b"%d" % (number + 1)})


def commit_until_full(writer: Writer, number: int) -> int:
    """Commit from `number` on until the disk is full; returns the number that was refused."""
    while True:
        try:
            commit(writer, number)
        except Transient:
            return number
        number += 1


def check(log: SqliteLog, committed: int) -> None:
    """The log holds exactly the commits 0 to `committed`, each once."""
    numbers: list[int] = []
    while messages := log.read(EVENTS.name, 0, len(numbers)):
        numbers += [int(message.value.partition(b"\0")[0]) for message in messages]
    assert numbers == list(range(committed))
    assert [int(message.value) for message in log.latest(BANS.name)] == [committed - 1]
    assert log.position("reader") == b"%d" % committed


def test_a_full_disk_stops_nothing_for_ever(small_disk: Path) -> None:
    """On a full disk a commit is Transient and writes nothing; with room the same commit succeeds, once."""
    log = SqliteLog.open(small_disk / "log.db")
    writer = log.writer("decider")
    commit(writer, 0)
    number = 1
    for _ in range(2):
        filler = occupy(small_disk, leave_bytes=98_304)
        refused = commit_until_full(writer, number)
        assert refused > number
        for _ in range(3):
            with pytest.raises(Transient, match=r"log\.db: the disk is full; nothing was written"):
                commit(writer, refused)
        check(log, refused)
        filler.unlink()
        commit(writer, refused)
        check(log, refused + 1)
        number = refused + 1
    log.close()
    with closing(SqliteLog.open(small_disk / "log.db")) as again:
        check(again, number)


def test_a_full_disk_can_be_read(small_disk: Path) -> None:
    """Another process reads, and opens, a log on a full disk."""
    log = SqliteLog.open(small_disk / "log.db")
    committed = commit_until_full(log.writer("decider"), 0)
    reader = SqliteLog.open(small_disk / "log.db", read_only=True)
    check(reader, committed)
    reader.close()
    log.close()


def test_retention_makes_room(small_disk: Path) -> None:
    """The room that retention frees within the file is written again, on a disk that stays full."""
    with closing(SqliteLog.open(small_disk / "log.db")) as log:
        writer = log.writer("decider")
        for number in range(18):
            commit(writer, number)
    occupy(small_disk, leave_bytes=131_072)
    log = SqliteLog.open(small_disk / "log.db")
    writer = log.writer("decider")
    assert log.retain(2**45) == 18
    number = 18
    for _ in range(12):
        number = commit_until_full(writer, number)
    assert number >= 30
    assert log.position("reader") == b"%d" % number
    log.close()


def test_a_log_cannot_be_made_on_a_full_disk(small_disk: Path) -> None:
    """Making a log on a full disk is Transient; with room the same call makes it."""
    filler = occupy(small_disk)
    for _ in range(2):
        with pytest.raises(Transient, match="the disk is full"):
            SqliteLog.open(small_disk / "new" / "log.db")
    filler.unlink()
    with closing(SqliteLog.open(small_disk / "new" / "log.db")) as log:
        commit(log.writer("decider"), 0)
        check(log, 1)


def test_a_log_is_opened_on_a_full_disk_or_later(small_disk: Path) -> None:
    """Opening a log on a full disk either works or is Transient, and loses nothing."""
    with closing(SqliteLog.open(small_disk / "log.db")) as log:
        commit(log.writer("decider"), 0)
    filler = occupy(small_disk)
    with pytest.raises(Transient, match="the disk is full"):
        commit(SqliteLog.open(small_disk / "log.db").writer("decider"), 1)
    filler.unlink()
    with closing(SqliteLog.open(small_disk / "log.db")) as log:
        check(log, 1)
