"""The index finds every message that is about a subject, whatever happens to the log and to its file."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import ip_address, ip_network
from itertools import count
from pathlib import Path
from random import Random

import pytest

from eventlog import index as indexes
from eventlog.contract import Append, EventLog, Place
from eventlog.index import Index
from eventlog.memory import MemoryLog
from eventlog.sqlite import SqliteLog
from eventlog.subjects import about, hash_of, span_of, spans_inside, subjects_of
from schemas.codec import encode, encode_frame
from schemas.records import AuthEvent, Unban
from schemas.topics import DECISIONS, EVENTS
from tests.eventlog.subjects import START_MS, FixedClock, Subject
from tests.streams.folding import failure

PLACE: Place = (EVENTS.name, 0)
ADDRESSES = (
    *(f"192.0.2.{number}" for number in range(40)),
    *(f"198.51.100.{number}" for number in range(20)),
    *(f"2001:db8:7::{number:x}" for number in range(1, 20)),
    "2001:db8:7:1::1",
)

_position = count()


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and pages small enough that a test fills some."""
    monkeypatch.setattr(indexes, "FULL_PAIRS", 64)
    monkeypatch.setattr(indexes, "PAGE", 7)
    monkeypatch.setattr(indexes, "WORTH_KEEPING", 3)


def event(ip: str) -> AuthEvent:
    """A failure of an address."""
    return failure(ip, START_MS, next(_position))


def grow(log: EventLog, random: Random, messages: int, partition: int = 0) -> None:
    """Append frames of a few events each."""
    for _ in range(messages):
        frame = encode_frame(event(random.choice(ADDRESSES)) for _ in range(random.randint(1, 6)))
        log.append([Append(EVENTS.name, frame, partition=partition)])


def looked_through(log: EventLog, ip: str, place: Place = PLACE) -> list[int]:
    """Where a subject is, newest first, by looking at everything."""
    return [
        message.offset
        for message in reversed(log.read(*place, 0, limit=100_000))
        if ip in subjects_of(place[0], message.value)
    ]


def found(index: Index, ip: str, place: Place = PLACE) -> list[int]:
    """Where the index finds it, less what a look shows to be about another."""
    return [
        message.offset
        for message in index.messages(place, [span_of(ip)])
        if any(about(place[0], message, {ip}.__contains__))
    ]


@contextmanager
def asked(log: EventLog, path: Path | None = None) -> Iterator[Index]:
    """An index as one command has it."""
    with closing(Index(log, path, path and path.with_suffix(".db"))) as index:
        yield index


def agree(log: EventLog, path: Path | None = None) -> None:
    """The index finds of every address what there is."""
    with asked(log, path) as index:
        for ip in (*ADDRESSES, "203.0.113.1"):
            assert found(index, ip) == looked_through(log, ip), ip


@pytest.fixture
def kept(path: Path) -> Path:
    """Where the index of the log at `path` is kept."""
    return path.with_suffix(".index")


def test_it_finds_what_every_log_has(subject: Subject) -> None:
    """In every partition, newest first, kept in memory alone."""
    random = Random(1)
    for partition in (0, 3):
        grow(subject.log, random, 60, partition)
    with asked(subject.log) as index:
        for place in ((EVENTS.name, 0), (EVENTS.name, 2), (EVENTS.name, 3)):
            for ip in ADDRESSES:
                assert found(index, ip, place) == looked_through(subject.log, ip, place)


@pytest.mark.parametrize("seed", range(4))
def test_it_keeps_up_with_a_log_that_grows_and_loses_its_oldest(
    log: SqliteLog, kept: Path, seed: int
) -> None:
    """Asked at any moment; between, messages come, the oldest go, and another command is asked."""
    random = Random(seed)
    for _ in range(8):
        grow(log, random, random.choice((0, 1, 2, 9, 40)))
        if random.random() < 0.3:
            begin = log.begin(EVENTS.name)
            size = log.used_bytes()
            log.shrink(size - 4_096, dict)
            assert log.begin(EVENTS.name) >= begin
        agree(log, kept)


def test_what_it_has_is_not_read_again(log: SqliteLog, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second command reads what came since, and the messages that it is told of."""
    grow(log, Random(1), 100)
    agree(log, kept)
    read: list[int] = []
    plain = SqliteLog.read

    def noted(
        self: SqliteLog, topic: str, partition: int, offset: int, *, limit: int = 1_000
    ) -> list[object]:
        messages = plain(self, topic, partition, offset, limit=limit)
        read.extend(message.offset for message in messages)
        return messages  # type: ignore[return-value]

    monkeypatch.setattr(SqliteLog, "read", noted)
    with asked(log, kept) as index:
        assert list(index.offsets(PLACE, [span_of("203.0.113.1")])) == []
    assert read == [99]
    grow(log, Random(2), 2)
    read.clear()
    with asked(log, kept) as index:
        assert list(index.offsets(PLACE, [span_of("203.0.113.1")])) == []
    assert read == [99, 100, 101]


def test_networks_are_found_by_what_lies_inside(log: SqliteLog) -> None:
    """From a /22 down to a few addresses; a prefix too wide is not looked for."""
    grow(log, Random(1), 80)
    with asked(log) as index:
        for prefix in ("192.0.2.0/24", "192.0.0.0/22", "192.0.2.16/28", "2001:db8:7::/64", "2001:db8:7::/60"):
            spans = spans_inside(prefix)
            assert spans is not None
            inside = ip_network(prefix)
            expected = {
                message.offset
                for message in log.read(*PLACE, 0)
                if any(ip_address(ip) in inside for ip in subjects_of(EVENTS.name, message.value))
            }
            assert expected <= set(index.offsets(PLACE, spans)), prefix
    assert spans_inside("192.0.0.0/8") is None
    assert spans_inside("2001:db8::/32") is None


@pytest.mark.parametrize(
    "written",
    [
        b'"ip" : "192.0.2.200"',
        b'"ip":\t"192.0.2.200"',
        b'"ip":"192.0.2.\\u003200"',
        b'"\\u0069p":"192.0.2.200"',
        b'"ip":"192.0.2.1","ip":"192.0.2.200"',
        b'"labels":{"ip":"192.0.2.1"},"ip": "192.0.2.200"',
    ],
)
def test_an_event_is_found_however_it_is_written(written: bytes) -> None:
    """Whoever may write events may write them as JSON allows: they count, and so they are found."""
    log = MemoryLog()
    line = encode(event("192.0.2.1")).replace(b'"ip":"192.0.2.1"', written)
    log.append([Append(EVENTS.name, b"\n".join([encode(event("192.0.2.3")), b"garbage", line]))])
    with asked(log) as index:
        (message,) = index.messages(PLACE, [span_of("192.0.2.200")])
        (known,) = about(EVENTS.name, message, {"192.0.2.200"}.__contains__)
        assert (known.index, known.record.ip) == (2, "192.0.2.200")  # type: ignore[union-attr]


def test_decisions_are_found_by_prefix_and_by_id(log: SqliteLog) -> None:
    """A network is its own subject there; what else says `id` is none."""
    for number in range(50):
        record = Unban(
            id=f"0-{number}-0-0",
            prefix=f"10.0.{number}.0/24",
            jail="sshd",
            at_ms=1,
            ban="0-1-0-0",
            reason="expired",
        )
        log.append([Append(DECISIONS.name, encode(record))])
    place = (DECISIONS.name, 0)
    with asked(log) as index:
        assert found(index, "10.0.7.0/24", place) == [7]
        assert found(index, "0-49-0-0", place) == [49]
        assert found(index, "0-1-0-0", place) == [1]


def test_another_log_of_the_same_name_is_told_apart(path: Path, kept: Path) -> None:
    """Removed and made anew, or put back from an older copy and gone on: nothing of it is missed."""
    clock = FixedClock()
    with closing(SqliteLog.open(path, now_ms=clock)) as log:
        grow(log, Random(1), 30)
        backup = path.read_bytes() if log.wait({PLACE: 0}, timeout_ms=0) else b""
        with closing(sqlite3.connect(path)) as copy, closing(sqlite3.connect(path.with_name("copy"))) as to:
            copy.backup(to)
        grow(log, Random(2), 60)
        agree(log, kept)
    assert backup
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.with_name("copy").rename(path)
    path.chmod(0o600)
    clock.now_ms += 1
    with closing(SqliteLog.open(path, now_ms=clock)) as log:
        agree(log, kept)
        grow(log, Random(3), 90)
        agree(log, kept)
    path.unlink()
    with closing(SqliteLog.open(path, now_ms=clock)) as log:
        agree(log, kept)
        grow(log, Random(4), 90)
        agree(log, kept)


def test_a_damaged_file_is_made_again(log: SqliteLog, kept: Path) -> None:
    """Any byte of it, its end, all of it; what is no database at all."""
    random = Random(1)
    grow(log, random, 150)
    agree(log, kept)
    whole = kept.read_bytes()
    damages = [whole[: len(whole) // 2], whole[:100], b"\0" * len(whole), b"no database" * 200]
    for _ in range(20):
        place = random.randrange(len(whole))
        damages.append(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    for damaged in damages:
        kept.write_bytes(damaged)
        agree(log, kept)


def test_a_file_that_others_may_have_written_is_left_alone(log: SqliteLog, kept: Path) -> None:
    """It is neither believed nor touched; the answer is the same."""
    grow(log, Random(1), 50)
    agree(log, kept)
    before = kept.read_bytes()
    grow(log, Random(2), 50)
    kept.chmod(0o666)
    agree(log, kept)
    assert kept.read_bytes() == before


def test_it_has_the_mode_of_the_log(log: SqliteLog, path: Path, kept: Path) -> None:
    """Who may read the log may use it, and nobody else."""
    path.chmod(0o640)
    grow(log, Random(1), 50)
    agree(log, kept)
    assert kept.stat().st_mode & 0o777 == 0o640


def test_who_may_not_write_looks_through_the_rest(log: SqliteLog, path: Path, kept: Path) -> None:
    """What is kept is used as it is, by a user who may read alone; he leaves nothing behind."""
    path.chmod(0o644)
    grow(log, Random(1), 50)
    agree(log, kept)
    before = kept.read_bytes()
    grow(log, Random(2), 50)
    kept.chmod(0o444)
    opened = [each for each in path.parents if each.stat().st_mode & 0o005 != 0o005]
    for folder in opened:
        folder.chmod(0o755)
    with as_nobody():
        agree(log, kept)
        agree(log, kept.with_name("other"))
    for folder in opened:
        folder.chmod(0o700)
    assert kept.read_bytes() == before
    assert not kept.with_name("other").exists()


@contextmanager
def as_nobody() -> Iterator[None]:
    """Within it this process may do no more than anybody, where it is root's."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_many_at_once_do_no_harm(path: Path, log: SqliteLog, kept: Path) -> None:
    """Commands that bring it up to date at the same time, while the log grows."""
    wrong: list[Exception] = []

    def look(seed: int) -> None:
        try:
            with closing(SqliteLog.open(path, read_only=True)) as reader:
                for _ in range(12):
                    with asked(reader, kept) as index:
                        end = reader.end(*PLACE)
                        ip = Random(seed).choice(ADDRESSES)
                        before = [each for each in looked_through(reader, ip) if each < end]
                        assert [each for each in found(index, ip) if each < end] == before
        except Exception as error:  # noqa: BLE001 - for the test's own thread to raise
            wrong.append(error)

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    grow(log, Random(9), 400)
    for thread in threads:
        thread.join()
    assert wrong == []
    agree(log, kept)


def test_a_foreign_file_is_left_as_it_is(log: SqliteLog, kept: Path) -> None:
    """A database of somebody else's, or an index of another version."""
    grow(log, Random(1), 50)
    with closing(sqlite3.connect(kept)) as other:
        other.execute("CREATE TABLE mine (a)")
    kept.chmod(0o600)
    before = kept.read_bytes()
    agree(log, kept)
    assert kept.read_bytes() == before
    kept.unlink()
    agree(log, kept)
    with closing(sqlite3.connect(kept)) as ours:
        ours.execute("PRAGMA user_version = 99")
    before = kept.read_bytes()
    agree(log, kept)
    assert kept.read_bytes() == before


def test_a_file_that_is_busy_is_done_without(
    log: SqliteLog, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer does not wait for who holds it."""
    monkeypatch.setattr("eventlog.index_file.BUSY_S", 0.05)
    grow(log, Random(1), 50)
    agree(log, kept)
    grow(log, Random(2), 50)
    with closing(sqlite3.connect(kept, isolation_level=None)) as other:
        for lock in ("IMMEDIATE", "EXCLUSIVE"):
            other.execute(f"BEGIN {lock}")
            agree(log, kept)
            other.execute("ROLLBACK")


def test_addresses_of_a_network_share_the_upper_half_of_their_hashes() -> None:
    """So that a span finds them; another network's lie elsewhere."""
    assert hash_of("192.0.2.7") >> 16 == hash_of("192.0.2.200") >> 16 != hash_of("192.0.3.7") >> 16
    assert hash_of("2001:db8::1") >> 16 == hash_of("2001:db8::a:1") >> 16 != hash_of("2001:db8:0:1::1") >> 16


def test_who_waits_is_told_once(log: SqliteLog, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where much has come; not where little has."""
    monkeypatch.setattr(indexes, "LONG_BYTES", 10_000)
    told: list[str] = []
    grow(log, Random(1), 100)
    for expected in (["wait"], ["wait"]):
        with closing(Index(log, kept, kept.with_suffix(".db"), lambda: told.append("wait"))) as index:
            list(index.offsets(PLACE, [span_of(ADDRESSES[0])]))
        assert told == expected
