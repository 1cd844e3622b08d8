"""A log whose disk takes nothing goes on in memory, and what it held is in the file once there is room."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from eventlog import sqlite_file, sqlite_held
from eventlog.contract import Append, EventLog, Message, Writer
from eventlog.memory import MemoryLog
from eventlog.sqlite import SqliteLog
from eventlog.sqlite_held import HoldingLog
from schemas.errors import Fenced, LogError, Unwritable
from schemas.topics import BANS, COMMANDS, DECISIONS, EVENTS, STATE
from tests.eventlog.filling import noise
from tests.eventlog.subjects import START_MS, FixedClock
from tests.eventlog.test_full_disk import FRAME_BYTES, occupy

TOPICS = (EVENTS, DECISIONS, BANS, STATE)
READERS = ("producer", "decider", "up")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each commit tries the disk again."""
    monkeypatch.setattr(sqlite_held, "RETRY_S", 0.0)


@pytest.fixture
def clock() -> FixedClock:
    """The log's clock."""
    return FixedClock()


@pytest.fixture
def log(small_disk: Path, clock: FixedClock) -> Iterator[HoldingLog]:
    """A log on a disk of 1 MB."""
    made = open_on(small_disk, clock)
    yield made
    made.close()


def open_on(disk: Path, clock: FixedClock) -> HoldingLog:
    """The log on a disk, as `up` opens it."""
    return HoldingLog(SqliteLog.open(disk / "log.db", now_ms=clock), clock)


def commit(writer: Writer, number: int) -> list[int]:
    """Commit event `number`, a ban, and the position after it."""
    appends = [
        Append(EVENTS.name, b"%d\0" % number + noise(FRAME_BYTES)),
        Append(BANS.name, b"%d" % number, key=str(number % 3)),
    ]
    return writer.commit(appends, {"reader": b"%d" % (number + 1)})


def until_held(log: HoldingLog, writer: Writer) -> int:
    """Commit until some are held; returns how many were made in all."""
    number = log.end(EVENTS.name)
    while not log.notices():
        commit(writer, number)
        number += 1
    return number


def numbers(log: EventLog) -> list[int]:
    """The events in the log, in order."""
    return [int(message.value.partition(b"\0")[0]) for message in everything(log, EVENTS.name)]


def everything(log: EventLog, topic: str) -> list[Message]:
    """All messages of a topic's only partition, read in small steps."""
    found: list[Message] = []
    while some := log.read(topic, 0, found[-1].offset + 1 if found else 0, limit=3):
        found += some
    return found


@pytest.mark.usefixtures("at_once")
def test_a_full_disk_stops_no_commit(small_disk: Path, log: HoldingLog, clock: FixedClock) -> None:
    """Commits go on, are read back at once, and are in the file, with their instants, once there is room."""
    writer = log.writer("stage")
    filler = occupy(small_disk, leave_bytes=98_304)
    number = until_held(log, writer)
    for more in range(20):
        clock.now_ms += 1_000
        offsets = commit(writer, number + more)
        assert offsets == [number + more] * 2
    made = number + 20
    assert numbers(log) == list(range(made))
    assert log.end(EVENTS.name) == made
    assert log.position("reader") == b"%d" % made
    assert sorted(int(each.value) for each in log.latest(BANS.name)) == [made - 3, made - 2, made - 1]
    assert log.offset_at(EVENTS.name, 0, START_MS + 5_000) == number + 4
    assert log.wait({(EVENTS.name, 0): made - 1}, timeout_ms=0)
    assert not log.wait({(EVENTS.name, 0): made}, timeout_ms=0)
    with closing(SqliteLog.open(small_disk / "log.db", read_only=True)) as file:
        assert numbers(file) == list(range(number - 1))
        assert file.position("reader") == b"%d" % (number - 1)
        assert [*file.notices()] == [f"{small_disk / 'log.db'}: its disk is full"]
    filler.unlink()
    clock.now_ms += 3_600_000
    commit(writer, made)
    assert not log.notices()
    log.close()
    with closing(SqliteLog.open(small_disk / "log.db")) as file:
        assert numbers(file) == list(range(made + 1))
        instants = [message.at_ms - START_MS for message in everything(file, EVENTS.name)[number:]]
        assert instants == [*(1_000 * (each + 1) for each in range(20)), 3_620_000]


def test_what_was_held_is_lost_whole_when_the_process_is_killed(
    small_disk: Path, log: HoldingLog, clock: FixedClock
) -> None:
    """The file has what was told up to some instant: events and position are of one moment."""
    writer = log.writer("stage")
    filler = occupy(small_disk, leave_bytes=98_304)
    number = until_held(log, writer)
    commit(writer, number)
    filler.unlink()
    with closing(open_on(small_disk, clock)) as again:
        kept = len(numbers(again))
        assert again.position("reader") == b"%d" % kept
        assert kept == number - 1
        commit(again.writer("stage"), kept)
    time.sleep(sqlite_held.RETRY_S)
    with pytest.raises(Fenced):
        commit(writer, number + 1)


@pytest.mark.usefixtures("at_once")
def test_what_others_write_too_is_not_held(small_disk: Path, log: HoldingLog) -> None:
    """A command's offset is another process's to take: it is refused, and so is a new writer."""
    writer = log.writer("stage")
    occupy(small_disk, leave_bytes=98_304)
    until_held(log, writer)
    with pytest.raises(Unwritable, match="the disk is full"):
        log.append([Append(COMMANDS.name, b"{}")])
    with pytest.raises(Unwritable, match="the disk is full"):
        log.writer("another")


@pytest.mark.usefixtures("at_once")
def test_a_foreign_write_meanwhile_is_told(small_disk: Path, log: HoldingLog) -> None:
    """Nothing is written at another offset than was promised: who reads would take it for another."""
    writer = log.writer("stage")
    filler = occupy(small_disk, leave_bytes=98_304)
    number = until_held(log, writer)
    filler.unlink()
    with closing(SqliteLog.open(small_disk / "log.db")) as foreign:
        foreign.append([Append(EVENTS.name, b"99")])
    with pytest.raises(LogError, match="another process wrote to the log"):
        commit(writer, number)


@pytest.mark.usefixtures("at_once")
def test_the_memory_is_bounded(small_disk: Path, log: HoldingLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound a commit waits as on any full disk; what is said again and again takes no room."""
    monkeypatch.setattr(sqlite_held, "HELD_BYTES", 200_000)
    writer, beating = log.writer("stage"), log.writer("up")
    occupy(small_disk, leave_bytes=98_304)
    number = until_held(log, writer)
    for beat in range(1_000):
        beating.commit([], {"up": b"%d" % beat + b" " * 3_000})
        beating.commit([Append(STATE.name, b"%d" % beat + b" " * 3_000, key=str(beat % 7))], {})
    assert log.position("up") == b"999" + b" " * 3_000
    assert {int(each.value) for each in log.latest(STATE.name)} == set(range(993, 1_000))
    with pytest.raises(Unwritable, match="held in memory, and no more may be"):  # noqa: PT012 - at some one
        for more in range(100):
            commit(writer, number + more)
    assert 5 < log.end(EVENTS.name) - number < 22


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("seed", range(12))
def test_it_tells_what_a_log_with_room_tells(small_disk: Path, clock: FixedClock, seed: int) -> None:
    """Whatever stages commit, whenever the disk is full: the same messages, instants and positions."""
    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    dice = random.Random(seed)
    log, plain = open_on(small_disk, clock), MemoryLog(now_ms=clock)
    writers = [(log.writer(name), plain.writer(name)) for name in READERS]
    filler: Path | None = None
    held = 0
    for step in range(120):
        clock.now_ms += dice.randrange(50)
        if dice.random() < 0.08:
            if filler is None:
                filler = occupy(small_disk, leave_bytes=dice.choice([0, 32_768, 98_304]))
            else:
                filler.unlink()
                filler = None
        name, appends = any_commit(dice, step)
        state = any(append.topic == STATE.name for append in appends)
        for writer in writers[READERS.index(name)]:
            writer.commit(appends, {} if state else {name: b"%d" % step})
        held += len(log.notices())
        if dice.random() < 0.2:
            assert told(log) == told(plain)
    if filler is not None:
        filler.unlink()
    log.writer("last")
    assert told(log) == told(plain)
    log.close()
    assert held
    with closing(SqliteLog.open(small_disk / "log.db")) as file:
        assert told(file) == told(plain)


def any_commit(dice: random.Random, step: int) -> tuple[str, list[Append]]:
    """A commit as one of the stages makes them: events, decisions with bans, a state, or a heartbeat."""

    def value() -> bytes:
        return b"%d" % step * dice.randrange(1, 900)

    match dice.randrange(4):
        case 0:
            return "producer", [Append(EVENTS.name, value()) for _ in range(dice.randrange(3))]
        case 1:
            ban = Append(BANS.name, dice.choice([b"", value()]), key=str(dice.randrange(5)))
            return "decider", [Append(DECISIONS.name, value()), ban]
        case 2:
            keys = dice.sample("abcde", dice.randrange(1, 4))
            return "decider", [Append(STATE.name, value(), key=key) for key in keys]
        case _:
            return "up", []


def told(log: EventLog) -> dict[str, object]:
    """All that a reader can ask of a log."""
    messages = {
        topic.name: [(each.offset, each.value, each.at_ms) for each in everything(log, topic.name)]
        for topic in (EVENTS, DECISIONS)
    }
    in_force = {
        topic.name: {each.key: each.value for each in log.latest(topic.name)} for topic in (BANS, STATE)
    }
    ends = {topic.name: log.end(topic.name) for topic in (EVENTS, DECISIONS, BANS)}
    return {**messages, **in_force, "ends": ends, "positions": [log.position(name) for name in READERS]}


def test_what_is_refused_takes_nothing_that_is_held(
    log: HoldingLog, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state that no longer fits leaves the one before it, which may hold what it does not say again."""
    decider, producer = log.writer("decider"), log.writer("producer")
    occupy(small_disk, leave_bytes=0)
    monkeypatch.setattr(sqlite_held, "HELD_BYTES", 50_000)

    def save(bucket: str, text: bytes) -> None:
        decider.commit([Append(STATE.name, text, key=bucket), Append(STATE.name, text[:9], key="whole")], {})

    save("bucket1", b"1" * 15_000)
    producer.commit([Append(EVENTS.name, noise(20_000))], {})
    with pytest.raises(Unwritable, match="no more may be"):
        save("bucket2", b"2" * 15_000)
    assert {each.key: each.value[:1] for each in log.latest(STATE.name)} == {"bucket1": b"1", "whole": b"1"}
    save("bucket2", b"2" * 5_000)
    assert {each.key: each.value[:1] for each in log.latest(STATE.name)} == {
        "bucket1": b"1",
        "bucket2": b"2",
        "whole": b"2",
    }


def test_what_is_held_when_another_has_the_file_is_said_to_be_lost(
    clock: FixedClock, small_disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Closing says so and lets go, whatever the file answers."""
    monkeypatch.setattr(sqlite_file, "BUSY_MS", 100)
    log = open_on(small_disk, clock)
    writer = log.writer("stage")
    filler = occupy(small_disk, leave_bytes=98_304)
    until_held(log, writer)
    filler.unlink()
    with closing(sqlite3.connect(small_disk / "log.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        log.close()
    assert "lost" in caplog.text
