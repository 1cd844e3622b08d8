"""Events take little room in a log's file, and come out of it as they went in."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from eventlog.contract import Append
from eventlog.packing import DICTIONARY, PACKED, packed, unpacked
from eventlog.sqlite import SqliteLog
from eventlog.sqlite_room import compact
from schemas.codec import encode, encode_frame
from schemas.errors import LogError
from schemas.topics import DECISIONS, EVENTS
from tests.streams.folding import failure

EVENT = failure(
    "198.51.100.88",
    1_796_000_000_123,
    470_113,
    filter_version="a528fa66ffb2",
    incarnation="1a22d33adea",
    line="2026-11-30T03:33:20.123456+00:00 web1 sshd[1007]: "
    "Failed password for oracle from 198.51.100.88 port 56628 ssh2",
    user="oracle",
    port=56_628,
    service="sshd",
    host="web1",
)


@pytest.fixture(params=[isal_zlib, zlib], ids=["isal", "zlib"])
def other(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the libraries that pack; the name of the one that unpacks, which is the other."""
    monkeypatch.setattr("eventlog.packing.deflate", request.param)
    return "zlib" if request.param is isal_zlib else "isal.isal_zlib"


def test_what_one_library_packs_the_other_unpacks(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log's file goes from a machine with the extra `fast` to one without, and back."""
    stored = packed(encode(EVENT) * 50)
    assert stored.startswith(PACKED)
    monkeypatch.setattr("eventlog.packing.deflate", import_module(other))
    assert unpacked(stored) == encode(EVENT) * 50
    for damaged in (stored[:-1], stored + b"x", PACKED + stored):
        with pytest.raises(ValueError, match="cannot be unpacked"):
            unpacked(damaged)


@given(st.binary(max_size=300))
def test_whatever_goes_in_comes_out(value: bytes) -> None:
    """Also what looks packed and is not."""
    assert unpacked(packed(value)) == value
    assert unpacked(packed(PACKED + value)) == PACKED + value


def test_events_take_little_room() -> None:
    """A lone one half of its bytes at most, a frame of them a fifth."""
    lone = encode(EVENT)
    assert len(packed(lone)) * 2 < len(lone)
    frame = encode_frame(
        [
            replace(
                EVENT, position=number * 97, ip=f"198.51.{number % 100}.{number % 251}", port=number + 1_024
            )
            for number in range(500)
        ]
    )
    assert len(packed(frame)) * 5 < len(frame)


def test_the_dictionary_is_a_part_of_the_format() -> None:
    """Every file that there is was written with it: a better one needs another mark."""
    assert (len(DICTIONARY), crc32(DICTIONARY)) == (1_035, 0x7F2D0CC4)


@pytest.mark.parametrize(
    "damage", [lambda stored: stored[:-3], lambda stored: stored + b"x", lambda _: PACKED]
)
def test_damage_is_told(damage: object, tmp_path: Path) -> None:
    """As any damage of the file; the rest can be read."""
    path = tmp_path / "log.db"
    with closing(SqliteLog.open(path)) as log:
        log.append([Append(EVENTS.name, encode(EVENT))] * 2)
    with closing(sqlite3.connect(path)) as database, database:
        ((stored,),) = database.execute('SELECT value FROM log WHERE "offset" = 1').fetchall()
        assert stored.startswith(PACKED)
        database.execute("UPDATE messages SET value = ? WHERE value = ? AND id & 1", (damage(stored), stored))  # type: ignore[operator]
    with closing(SqliteLog.open(path, read_only=True)) as log:
        assert log.read(EVENTS.name, 0, 0, limit=1)[0].value == encode(EVENT)
        with pytest.raises(LogError, match="damaged"):
            log.read(EVENTS.name, 0, 1)


def test_events_of_before_are_read_as_they_are(tmp_path: Path) -> None:
    """A file of an older format holds them unpacked; what is no event is never packed."""
    path = tmp_path / "log.db"
    with closing(SqliteLog.open(path)) as log:
        log.append([Append(EVENTS.name, encode(EVENT)), Append(DECISIONS.name, PACKED + b"x")])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE messages SET value = ? WHERE length(value) > 2", (encode(EVENT),))
        database.execute("PRAGMA user_version = 2")
    with closing(SqliteLog.open(path)) as log:
        log.append([Append(EVENTS.name, encode(EVENT))])
        assert [each.value for each in log.read(EVENTS.name, 0, 0)] == [encode(EVENT)] * 2
        assert log.read(DECISIONS.name, 0, 0)[0].value == PACKED + b"x"


def test_compacting_packs_what_is_not_and_gives_room_back(tmp_path: Path) -> None:
    """Nothing else changes: offsets, order and values stay."""
    path = tmp_path / "log.db"
    frames = [
        encode_frame([replace(EVENT, position=number + each) for each in range(50)]) for number in range(90)
    ]
    with closing(SqliteLog.open(path)) as log:
        log.append([Append(EVENTS.name, frame) for frame in frames])
    with closing(sqlite3.connect(path)) as database, database:
        database.executemany(
            "UPDATE messages SET value = ? WHERE id & 0xffffffff = ?", zip(frames, range(90), strict=True)
        )
    with closing(SqliteLog.open(path)) as log:
        assert [each.value for each in log.read(EVENTS.name, 0, 0)] == frames
        before_bytes = path.stat().st_size
    compact(path)
    with closing(SqliteLog.open(path)) as log:
        assert [each.value for each in log.read(EVENTS.name, 0, 0)] == frames
        assert path.stat().st_size * 4 < before_bytes
        assert log.end(EVENTS.name) == 90
    compact(path)
