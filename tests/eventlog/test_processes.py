"""Several processes on one SQLite log: readers beside a writer, writers side by side, and sudden death."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from eventlog import sqlite_file
from eventlog.contract import Append
from eventlog.sqlite import SqliteLog
from schemas.errors import Fenced, LogError, Transient
from schemas.topics import BANS, DAY_MS, DECISIONS, EVENTS

Child = Callable[..., "subprocess.Popen[str]"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def child() -> Iterator[Child]:
    """Starts a process of tests.eventlog.children; all of them are killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(role: str, path: Path, argument: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.eventlog.children", role, str(path), argument]
        started.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def said(process: subprocess.Popen[str]) -> str:
    """The next line that a process prints; empty when it ended."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_readers_follow_while_one_writes(child: Child, log: SqliteLog, path: Path) -> None:
    """Reading processes see every event once and in order while another writes, compacts and retains."""
    readers = [child("follow", path) for _ in range(3)]
    assert [said(reader) for reader in readers] == ["following"] * 3
    expected = hashlib.sha256()
    for number in range(1_500):
        value = b"%d " % number * (1 + number % 50 * 40)
        expected.update(value)
        log.append([Append(EVENTS.name, value), Append(BANS.name, value, key=str(number % 5))])
        if number % 300 == 0:
            log.retain(int(time.time() * 1_000) + DAY_MS)
    log.append([Append(EVENTS.name, b"end")])
    expected.update(b"end")
    assert [said(reader) for reader in readers] == [f"1501 {expected.hexdigest()}"] * 3


def test_writers_take_turns(child: Child, log: SqliteLog, path: Path) -> None:
    """Appends of several processes at once all arrive, each in its own order, with offsets of their own."""
    others = [child("append", path, "200") for _ in range(2)]
    own = 0
    while any(other.poll() is None for other in others):
        log.append([Append(EVENTS.name, b"own %d" % own)])
        own += 1
        time.sleep(0.001)  # as a stage does, which has more to do than to commit
    assert [other.wait() for other in others] == [0, 0]
    values = [message.value for message in log.read(EVENTS.name, 0, 0, limit=10**6)]
    assert len(values) == own + 400 == log.end(EVENTS.name)
    assert [value for value in values if value.startswith(b"own")] == [b"own %d" % n for n in range(own)]
    assert sorted(values)[:400] == sorted([b"command %d" % n for n in range(200)] * 2)


def test_a_killed_writer_leaves_whole_commits(child: Child, path: Path) -> None:
    """However a writer dies, each commit is wholly there or not at all, and all it had said are there."""
    chosen = random.Random(4)
    for _ in range(12):
        victim = child("write", path)
        acknowledged = said(victim)
        time.sleep(chosen.uniform(0, 0.15))
        victim.kill()
        rest, _ = victim.communicate()
        complete, _, _ = f"{acknowledged}\n{rest}".rpartition("\n")
        check_whole(path, int(complete.split()[-1]))


def check_whole(path: Path, at_least: int) -> None:
    """Every topic stands at the same commit, and that is not before the last one acknowledged."""
    log = SqliteLog.open(path)
    committed = int(log.position("victim") or b"0")
    assert committed >= at_least
    assert [int(message.value) for message in log.read(EVENTS.name, 0, 0, limit=10**6)] == list(
        range(committed)
    )
    assert log.end(DECISIONS.name) == log.end(EVENTS.name) == log.end(BANS.name) == committed
    assert [int(message.value) for message in log.latest(BANS.name)] == [committed - 1]
    decisions: list[int] = []
    while messages := log.read(DECISIONS.name, 0, len(decisions)):
        decisions += [int(message.value) for message in messages]
    assert decisions == list(range(committed))
    log.close()


def test_a_writer_of_another_process_fences(child: Child, log: SqliteLog, path: Path) -> None:
    """A writer made by another process fences the one of this process, and what it committed stays."""
    writer = log.writer("victim")
    writer.commit([Append(DECISIONS.name, b"1")], {"victim": b"1"})
    assert said(child("fence", path)) == "fenced"
    with pytest.raises(Fenced):
        writer.commit([Append(DECISIONS.name, b"2")], {"victim": b"2"})
    assert log.position("victim") == b"1"
    assert log.end(DECISIONS.name) == 1


def test_a_role_is_claimed_by_one_process(child: Child, log: SqliteLog, path: Path) -> None:
    """A second process of a role is told the first one's pid; another role is free, and so are appends."""
    holder = child("claim", path, "up")
    assert said(holder) == "claimed"
    with pytest.raises(LogError, match=rf"another `up`, process {holder.pid}"):
        log.claim("up")
    log.claim("ship")
    assert log.append([Append(EVENTS.name, b"x")]) == [0]


def test_a_lock_file_holds_the_pid(log: SqliteLog, path: Path) -> None:
    """The lock file says which process has the role, whatever it said before."""
    lock_file = Path(f"{path}.up.lock")
    lock_file.write_text("99999999999999999999\n")
    log.claim("up")
    assert lock_file.read_text() == f"{os.getpid()}\n"


def test_a_claim_ends_with_its_process(child: Child, log: SqliteLog, path: Path) -> None:
    """However the holder dies, the role is free at once, whatever its lock file says."""
    holder = child("claim", path, "up")
    assert said(holder) == "claimed"
    holder.kill()
    holder.wait(60)
    log.claim("up")
    with closing(SqliteLog.open(path)) as other:
        with pytest.raises(LogError, match="in use"):
            other.claim("up")
        log.close()
        other.claim("up")


def test_a_lock_held_too_long_is_transient(
    monkeypatch: pytest.MonkeyPatch, log: SqliteLog, path: Path
) -> None:
    """While another connection holds the write lock, a commit is Transient; afterwards it succeeds."""
    monkeypatch.setattr(sqlite_file, "BUSY_MS", 50)
    impatient = SqliteLog.open(path)
    writer = impatient.writer("decider")
    with sqlite_file.transaction(log._db):  # noqa: SLF001 - a transaction that another program leaves open
        with pytest.raises(Transient, match="locked") as refused:
            writer.commit([Append(DECISIONS.name, b"1")], {"r": b"1"})
        assert refused.value.retry_after_ms < 1_000
        assert impatient.position("r") is None
    assert writer.commit([Append(DECISIONS.name, b"1")], {"r": b"1"}) == [0]
    impatient.close()


def test_a_log_is_made_once(child: Child, tmp_path: Path) -> None:
    """Processes that open a missing log at the same moment make one, and all of them write to it."""
    path = tmp_path / "new" / "log.db"
    makers = [child("append", path, "5") for _ in range(6)]
    assert [maker.wait(60) for maker in makers] == [0] * 6
    log = SqliteLog.open(path)
    assert log.end(EVENTS.name) == 30
    log.close()
