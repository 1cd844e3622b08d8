"""The spool and the uplink: in order, bounded, and nothing out before the log has it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from eventlog.clock import wall_clock_ms
from eventlog.contract import Append
from eventlog.memory import MemoryLog
from producers.seals import unsigned
from producers.spool import Spool
from producers.uplink import Uplink
from schemas.errors import LogError, Transient
from schemas.topics import EVENTS

LIMIT = 1_000
SEAL = unsigned("web1", wall_clock_ms)


def frames(*values: bytes, partition: int = 0) -> list[Append]:
    """Messages of the events topic."""
    return [Append(EVENTS.name, value, partition=partition) for value in values]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An empty spool for a log of two partitions."""
    made = Spool.open(tmp_path / "ship.db", LIMIT)
    made.learn_partitions(2)
    yield made
    made.close()


class Flaky(MemoryLog):
    """A memory log whose first appends are refused, or written without being acknowledged.

    Attributes:
        refusals, silences: how many appends are still to be treated so.
    """

    refusals = 0
    silences = 0

    def append(self, appends: Sequence[Append]) -> list[int]:
        """As MemoryLog, when it works."""
        if self.refusals:
            self.refusals -= 1
            raise Transient("away", retry_after_ms=1)
        offsets = super().append(appends)
        if self.silences:
            self.silences -= 1
            raise Transient("no acknowledgement", retry_after_ms=1)
        return offsets

    def values(self) -> list[bytes]:
        """What partition 0 holds."""
        return [message.value for message in self.read(EVENTS.name, 0, 0)]


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true within 20 s."""
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def test_a_reopened_spool_holds_what_was_committed(spool: Spool, tmp_path: Path) -> None:
    """Messages in order, positions, the number of partitions, and how much of the limit is taken."""
    spool.writer("producer").commit(frames(b"one", b"two", partition=1), {"source/a": b"7"})
    spool.close()
    again = Spool.open(tmp_path / "ship.db", LIMIT)
    assert again.oldest(1_000)[0] == frames(b"one", b"two", partition=1)
    assert (again.position("source/a"), again.position("source/b")) == (b"7", None)
    assert (again.partitions, again.status()["spooled_bytes"]) == (2, 6)
    again.close()


def test_a_full_spool_takes_nothing_and_moves_nothing(spool: Spool) -> None:
    """A commit beyond the limit is refused whole, position included; one too large for it goes in alone."""
    writer = spool.writer("producer")
    writer.commit(frames(b"x" * 2 * LIMIT), {"source/a": b"1"})
    with pytest.raises(Transient, match="full"):
        writer.commit(frames(b"y"), {"source/a": b"2"})
    assert spool.position("source/a") == b"1"
    spool.drop(*spool.oldest(1))
    writer.commit(frames(b"y"), {"source/a": b"2"})
    assert spool.oldest(1)[0] == frames(b"y")


def test_what_waits_for_a_log_of_other_partitions_is_not_sent(spool: Spool) -> None:
    """Frames are laid out by partition; with none waiting another number is taken as it is."""
    spool.learn_partitions(3)
    spool.writer("producer").commit(frames(b"one"), {})
    with pytest.raises(LogError, match="3 partitions"):
        spool.learn_partitions(2)
    uplink = Uplink(spool, MemoryLog(partitions=2), SEAL)
    assert eventually(lambda: uplink.ended)
    with pytest.raises(LogError, match="3 partitions"):
        uplink.check()


def test_another_file_is_no_spool(tmp_path: Path) -> None:
    """A database of something else is refused and left alone."""
    file = tmp_path / "ship.db"
    Spool.open(file, LIMIT).close()
    other = sqlite3.connect(file)
    other.execute("PRAGMA application_id = 5")
    other.close()
    with pytest.raises(LogError, match="not a shipper's spool"):
        Spool.open(file, LIMIT)


def test_the_log_gets_everything_in_order_and_the_spool_runs_empty(spool: Spool) -> None:
    """Also while the log refuses, and what is unacknowledged is sent again from where it began."""
    log = Flaky(partitions=2)
    log.refusals, log.silences = 2, 1
    spool.writer("producer").commit(frames(b"1", b"2", b"3"), {})
    uplink = Uplink(spool, log, SEAL)
    assert eventually(lambda: spool.filled() == 0)
    assert log.values() == [b"1", b"2", b"3", b"1", b"2", b"3"]
    spool.writer("producer").commit(frames(b"4"), {})
    assert eventually(lambda: log.values()[-1] == b"4")
    uplink.check()
    assert not uplink.away
    uplink.close()
    assert uplink.ended


def test_a_stop_sends_what_can_be_sent(spool: Spool) -> None:
    """Closing the uplink leaves an empty spool where the log is there, and a full one where it is not."""
    log = Flaky(partitions=2)
    spool.writer("producer").commit(frames(b"1"), {})
    Uplink(spool, log, SEAL).close()
    assert (log.values(), spool.filled()) == ([b"1"], 0)
    log.refusals = 1_000_000
    spool.writer("producer").commit(frames(b"2"), {})
    uplink = Uplink(spool, log, SEAL)
    assert eventually(lambda: uplink.away)
    uplink.close()
    assert uplink.ended
    assert spool.oldest(1)[0] == frames(b"2")
