"""The producer on real files and real logs: events and position in one commit."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from eventlog.contract import Append, EventLog
from eventlog.memory import MemoryLog
from eventlog.urls import open_log
from producers.contract import Chunk
from producers.producer import IDLE_COMMIT_MS, Producer, WatchedSource
from producers.stream import FARTHEST, TOO_FAR
from schemas.codec import decode_frame
from schemas.errors import ConfigError, Fenced, Transient
from schemas.records import AuthEvent
from schemas.topics import EVENTS

NOW_MS = 1_795_338_000_000
ATTEMPT = "2026-11-22T09:00:00+00:00 web sshd[{0}]: Invalid user u{0} from 192.0.2.{1} port 5\n"
OTHER = "2026-11-22T09:00:00+00:00 web CRON[1]: nothing\n"


class FullDisk(MemoryLog):
    """A log whose disk is full for so many commits."""

    failures = 0
    tried = 0

    def writer(self, name: str) -> FullDiskWriter:  # type: ignore[override]
        """A writer that fails as long as the disk is full."""
        return FullDiskWriter(self, super().writer(name).commit)


class FullDiskWriter:
    """Raises Transient while its log's disk is full."""

    def __init__(self, log: FullDisk, commit: Callable[..., list[int]]) -> None:
        self._log = log
        self._commit = commit

    def commit(self, appends: Sequence[Append], positions: Mapping[str, bytes]) -> list[int]:
        """As a writer does, once there is room."""
        if self._log.failures:
            self._log.failures -= 1
            self._log.tried = max(self._log.tried, len(appends))
            raise Transient("the disk is full")
        return self._commit(appends, positions)

    def close(self) -> None:
        """Nothing to let go of."""


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    """A log, in memory or in a file."""
    opened: EventLog = MemoryLog() if request.param == "memory" else open_log(f"sqlite://{tmp_path}/log.db")
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log file, empty."""
    path = tmp_path / "auth.log"
    path.touch()
    return path


def attempts(*numbers: int) -> str:
    """Lines of so many attempts."""
    return "".join(ATTEMPT.format(number, number % 200 + 1) for number in numbers)


def write(path: Path, text: str) -> None:
    """Append to a file."""
    with path.open("a") as stream:
        stream.write(text)


def start(log: EventLog, path: Path, now_ms: Callable[[], int] = lambda: NOW_MS) -> Producer:
    """A producer of one file with the sshd filter."""
    return Producer(log, [WatchedSource(f"file:{path}", ("sshd",), start="beginning")], now_ms)


def abandon(producer: Producer) -> None:
    """Let go of what a killed process would let go of; nothing is written."""
    for stream in producer._streams:  # noqa: SLF001 - a kill asks nobody either
        stream.source.close()


def drain(producer: Producer) -> None:
    """Poll until there is no more."""
    while producer.poll():
        pass


def events(log: EventLog) -> list[AuthEvent]:
    """The events in a log, in order of the partitions."""
    found: list[AuthEvent] = []
    for partition in range(log.partitions):
        for message in log.read(EVENTS.name, partition, 0, limit=100_000):
            for event in decode_frame(message.value):
                assert isinstance(event, AuthEvent)
                found.append(event)
    return found


def users(log: EventLog) -> list[str | None]:
    """Whom the events are about."""
    return [event.user for event in events(log)]


def test_lines_become_events_with_their_source(log: EventLog, path: Path) -> None:
    """An event says where it was read, and its line; other lines give none."""
    write(path, OTHER + attempts(1))
    producer = Producer(
        log, [WatchedSource(f"file:{path}", ("sshd",), {"site": "a"}, "beginning")], lambda: NOW_MS
    )
    drain(producer)
    (event,) = events(log)
    assert (event.source, event.position, event.user) == (f"file:{path}", len(OTHER), "u1")
    assert event.line == attempts(1).strip()
    assert (event.kind, event.filter, event.service, event.host) == ("failed", "sshd", "sshd", "web")
    assert (event.at_ms, event.seen_at_ms, event.labels) == (NOW_MS, NOW_MS, {"site": "a"})
    producer.close()


def test_a_restart_repeats_nothing_and_loses_nothing(log: EventLog, path: Path) -> None:
    """A producer that starts where another stopped goes on with the next line."""
    write(path, attempts(1))
    for number in (2, 3, 4):
        producer = start(log, path)
        drain(producer)
        producer.close()
        write(path, attempts(number))
    assert users(log) == ["u1", "u2", "u3"]


def test_a_crash_repeats_nothing_and_loses_nothing(log: EventLog, path: Path) -> None:
    """Dropped without a word at random moments, with lines of sessions across them: as if never."""
    chance = random.Random(7)
    producer = start(log, path)
    expected: list[str] = []
    for number in range(1, 120):
        session = f"2026-11-22T09:00:00+00:00 web sshd[{number}]: "
        peer = f"192.0.2.9 port {number}"
        write(path, f"{session}Invalid user u{number} from {peer}\n")
        if chance.random() < 0.5:
            producer.poll()
        if chance.random() < 0.3:
            abandon(producer)
            producer = start(log, path)
        write(path, f"{session}Failed password for invalid user u{number} from {peer} ssh2\n")
        expected += ["failed", "probed"]
    drain(producer)
    assert [event.kind for event in events(log)] == expected
    positions = [event.position for event in events(log)]
    assert positions == sorted(set(positions))
    producer.close()


def test_nothing_moves_while_the_disk_is_full(path: Path) -> None:
    """A commit that fails is tried again as it was, and nothing more is read meanwhile."""
    log = FullDisk()
    write(path, attempts(1))
    producer = start(log, path)
    log.failures = 3
    for _ in range(3):
        with pytest.raises(Transient):
            producer.poll()
        write(path, attempts(2))
    assert log.tried == 1
    drain(producer)
    assert users(log) == ["u1", "u2", "u2", "u2"]
    assert len({event.position for event in events(log)}) == 4
    producer.close()


def test_events_are_spread_over_the_partitions(path: Path) -> None:
    """With several partitions each event is in the one of its address, still in one commit."""
    log = MemoryLog(partitions=4)
    lines = [attempts(number).replace("192.0.2.", f"192.0.{number}.") for number in range(1, 60)]
    write(path, "".join(lines))
    producer = start(log, path)
    drain(producer)
    assert len(events(log)) == 59
    assert all(log.end(EVENTS.name, partition) for partition in range(4))
    producer.close()


def test_hosts_are_told_apart(path: Path) -> None:
    """The host is part of the identity of an event."""
    path.write_text(attempts(1), encoding="utf-8")
    log = MemoryLog()
    producer = Producer(log, [WatchedSource(f"file:{path}", ("sshd",), start="beginning")], host="web1")
    while producer.poll():
        pass
    producer.close()
    (event,) = [event for each in log.read(EVENTS.name, 0, 0) for event in decode_frame(each.value)]
    assert isinstance(event, AuthEvent)
    assert event.incarnation.startswith("web1/")


def test_a_quiet_position_is_stored_after_a_while(log: EventLog, path: Path) -> None:
    """Lines without events move the stored position too, late: reading them again would find nothing."""
    now_ms = [NOW_MS]
    producer = start(log, path, lambda: now_ms[0])
    drain(producer)
    before = log.position(f"source/file:{path}")
    write(path, OTHER)
    drain(producer)
    now_ms[0] += IDLE_COMMIT_MS
    producer.poll()
    assert log.position(f"source/file:{path}") not in {None, before}
    producer.close()


def test_an_end_found_at_the_first_start_is_kept(log: EventLog, path: Path) -> None:
    """With `start = "end"`, lines written while the first run's successor was down are read."""
    write(path, attempts(1))
    watch = WatchedSource(f"file:{path}", ("sshd",), start="end")
    producer = Producer(log, [watch], lambda: NOW_MS)
    drain(producer)
    producer.close()
    write(path, attempts(2))
    producer = Producer(log, [watch], lambda: NOW_MS)
    drain(producer)
    assert users(log) == ["u2"]
    producer.close()


def test_a_second_producer_takes_over(path: Path) -> None:
    """The older one is fenced: it cannot write any more."""
    log = MemoryLog()
    first = start(log, path)
    second = start(log, path)
    write(path, attempts(1))
    with pytest.raises(Fenced):
        first.poll()
    drain(second)
    assert users(log) == ["u1"]
    second.close()
    with pytest.raises(Fenced):
        first.close()


def test_files_of_a_glob_have_their_own_connections(log: EventLog, tmp_path: Path) -> None:
    """The same process and peer in two files of a glob are two connections, across a restart too."""
    watch = WatchedSource(f"file:{tmp_path}/*.auth", ("sshd",), start="beginning")
    for name in ("a.auth", "b.auth"):
        (tmp_path / name).write_text(attempts(1))
    producer = Producer(log, [watch], lambda: NOW_MS)
    drain(producer)
    producer.close()
    for name in ("a.auth", "b.auth"):
        write(
            tmp_path / name,
            attempts(1).replace("Invalid", "Failed password for invalid").replace("5\n", "5 ssh2\n"),
        )
    producer = Producer(log, [watch], lambda: NOW_MS)
    drain(producer)
    assert [event.kind for event in events(log)] == ["failed", "failed", "probed", "probed"]
    assert {event.source for event in events(log)} == {f"file:{tmp_path}/{name}.auth" for name in "ab"}
    producer.close()


def test_it_says_what_it_watches_and_what_is_wrong(log: EventLog, tmp_path: Path) -> None:
    """The start-up text names source and filter; a missing file is a notice."""
    producer = start(log, tmp_path / "none.log")
    assert producer.describe() == [f"file:{tmp_path}/none.log with filter sshd, from its beginning"]
    producer.poll()
    assert [notice for notice in producer.notices() if "none.log" in notice]
    producer.close()


def test_an_unknown_filter_is_refused(log: EventLog, path: Path) -> None:
    """The error says where the known ones are listed."""
    with pytest.raises(ConfigError, match="banstream filters list"):
        Producer(log, [WatchedSource(f"file:{path}", ("nosuch",))])


def test_an_older_filters_state_is_left(log: EventLog, path: Path) -> None:
    """State that this version cannot read is dropped and said; the position holds."""
    producer = start(log, path)
    write(path, attempts(1))
    drain(producer)
    producer.close()
    reader = f"source/file:{path}"
    stored = log.position(reader)
    assert stored is not None
    log.writer("test").commit([], {reader: stored.replace(b'"young":[[', b'"young":[["x"],[')})
    producer = start(log, path)
    assert any("sshd" in notice for notice in producer.notices())
    write(path, attempts(2))
    drain(producer)
    assert users(log) == ["u1", "u2"]
    producer.close()


def test_lines_past_the_end_of_any_log_are_told_and_not_read(log: EventLog, path: Path) -> None:
    """A sparse file may be larger than a position may be; what is within its bound is read still."""
    write(path, attempts(1))
    producer = start(log, path)
    drain(producer)
    (stream,) = producer._streams  # noqa: SLF001 - most filesystems have no such files
    chunk = Chunk(attempts(2).encode(), "1", FARTHEST, {}, live=True, origin=f"file:{path}")
    assert [event.user for event in stream.events(chunk, NOW_MS)] == ["u2"]
    assert not stream.events(replace(chunk, start=FARTHEST + 1), NOW_MS)
    assert producer.notices() == {f"file:{path}: {TOO_FAR}": 1}
    producer.close()


def test_a_source_in_another_zone_is_said_and_may_be_told_its_zone(path: Path) -> None:
    """Its live lines count as of now, and the difference is told; with its zone, their own times do."""
    now_ms = NOW_MS + 1_000
    for zone, skewed in (("", True), ("Asia/Tokyo", False)):
        log = MemoryLog()
        path.write_bytes(b"")
        watch = WatchedSource(f"file:{path}", ("sshd", "dropbear"), start="end", timezone=zone)
        producer = Producer(log, [watch], lambda: now_ms)
        drain(producer)
        write(path, "Nov 22 18:00:00 web sshd[1]: Invalid user a from 192.0.2.1 port 5\n")
        write(path, "Nov 22 18:00:00 web dropbear[1]: Bad password attempt for 'a' from 192.0.2.1:5\n")
        drain(producer)
        found = [event.at_ms for event in events(log)]
        assert found == [now_ms if skewed else NOW_MS] * 2
        told = [text for text in producer.notices() if "9 h ahead of the clock" in text]
        assert [path.name in text for text in told] == [True, True] * skewed
        producer.close()


COSTLY = r"""
[Definition]
failregex = ^(?:[ab]+)+c from <HOST>$
"""


def test_a_log_that_costs_much_holds_up_no_other(log: EventLog, tmp_path: Path, path: Path) -> None:
    """Each of its lines takes as long as a line may; the other source has its turn in between."""
    (tmp_path / "slow.conf").write_text(COSTLY, encoding="utf-8")
    slow = tmp_path / "slow.log"
    slow.write_text("".join(f"{'ab' * 100} from 192.0.2.1 {number}\n" for number in range(5_000)))
    watches = [
        WatchedSource(f"file:{slow}", (f"{tmp_path}/slow.conf",), start="beginning"),
        WatchedSource(f"file:{path}", ("sshd",), start="beginning"),
    ]
    producer = Producer(log, watches, lambda: NOW_MS)
    try:
        for number in range(1, 4):
            write(path, attempts(number))
            started_s = monotonic()
            producer.poll()
            producer.poll()
            assert users(log) == [f"u{each}" for each in range(1, number + 1)]
            assert monotonic() - started_s < 5
        assert log.position(f"source/file:{slow}") is None
    finally:
        producer.release()


def test_what_is_half_matched_is_matched_again_after_a_crash(log: EventLog, path: Path) -> None:
    """A turn may end in the midst of what was read: neither its events nor its position are stored then."""
    (path.parent / "slow.conf").write_text(COSTLY, encoding="utf-8")
    write(path, attempts(*range(2_500)))
    write(path, "".join(f"{'ab' * 100} from 192.0.2.1\n" for _ in range(20)))
    write(path, attempts(*range(2_500, 5_000)))
    watches = [WatchedSource(f"file:{path}", (f"{path.parent}/slow.conf", "sshd"), start="beginning")]
    producer = Producer(log, watches, lambda: NOW_MS)
    assert producer.poll()
    assert events(log) == []
    abandon(producer)
    producer = Producer(log, watches, lambda: NOW_MS)
    drain(producer)
    producer.close()
    assert users(log) == [f"u{number}" for number in range(5_000)]


@pytest.mark.parametrize("filled", [False, True])
def test_an_endless_line_holds_up_nobody(log: EventLog, tmp_path: Path, filled: bool) -> None:  # noqa: FBT001
    """A link to a huge sparse file under a glob, or one that is full: each poll takes a moment."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with (tmp_path / "a" / "big").open("wb") as big:
        if filled:
            big.write(b"x" * (64 << 20))
        else:
            os.truncate(big.fileno(), 300 << 30)
    (tmp_path / "a" / "auth.log").symlink_to("big")
    watch = WatchedSource(f"file:{tmp_path}/*/auth.log", ("sshd",), start="beginning")
    producer = Producer(log, [watch], lambda: NOW_MS)
    try:
        for number in range(1, 9):
            write(tmp_path / "b" / "auth.log", attempts(number))
            started_s = monotonic()
            producer.poll()
            producer.poll()
            assert monotonic() - started_s < 2
            assert users(log) == [f"u{each}" for each in range(1, number + 1)]
    finally:
        producer.release()
