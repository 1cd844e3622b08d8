"""`banstream ship` on a real broker: nothing missing and in order, whatever is killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from eventlog.claim import Claim
from eventlog.kafka.log import KafkaLog
from producers.spool import Spool
from schemas.records import AuthEvent
from schemas.topics import partition_of
from tests.banstream.fleet import Role, failure, role, shipped
from tests.banstream.service import Service, eventually
from tests.broker import Broker

pytestmark = pytest.mark.real("kafka")
PARTITIONS = 4


class Load(threading.Thread):
    """Writes failing logins without a pause, and moves the file away when it is told to.

    Attributes:
        written: every line's address, in order.
    """

    def __init__(self, target: Role, lines_a_turn: int = 50) -> None:
        super().__init__(daemon=True)
        self.target = target
        self.done = threading.Event()
        self.rotate = threading.Event()
        self.written: list[str] = []
        self._lines = lines_a_turn

    def run(self) -> None:
        """Write until `done`."""
        while not self.done.wait(0.005):
            first = len(self.written)
            ips = [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(first, first + self._lines)]
            with self.target.log.open("a", encoding="utf-8") as log:
                log.write("".join(failure(ip, first + nth) for nth, ip in enumerate(ips)))
            self.written += ips
            if self.rotate.is_set():
                self.target.log.rename(self.target.log.with_name("auth.log.1"))
                self.target.log.touch()
                self.rotate.clear()


@contextmanager
def loaded(target: Role, lines_a_turn: int = 50) -> Iterator[Load]:
    """Under load within it."""
    load = Load(target, lines_a_turn)
    load.start()
    try:
        yield load
    finally:
        load.done.set()
        load.join()


def distinct(events: list[AuthEvent]) -> list[AuthEvent]:
    """What a decider makes of them: an event at or below the mark of its source and partition is dropped."""
    marks: dict[tuple[int, str, str], int] = {}
    kept = []
    for event in events:
        key = partition_of(event.ip, PARTITIONS), event.incarnation, event.filter
        if event.position > marks.get(key, -1):
            marks[key] = event.position
            kept.append(event)
    return kept


def counted(url: str) -> list[str]:
    """The addresses of the events that count, as they stand in the log."""
    log = KafkaLog.open(url, read_only=True)
    try:
        return [event.ip for event in distinct(shipped(log))]
    finally:
        log.close()


def away(shipper: Role) -> dict[str, Any] | None:
    """The shipper's status, when it says that the broker is away and that the spool was full."""
    (status,) = shipper.json("status")
    uplink = status["uplink"]
    return uplink if uplink["away"] and uplink["spooled_bytes"] > 500_000 else None


def test_two_kills_and_a_rotation_lose_nothing(tmp_path: Path) -> None:
    """Every line is an event that counts, once, in the order of the file, whatever was killed when."""
    broker = Broker(tmp_path / "broker")
    with role("ship", tmp_path / "web1") as shipper:
        try:
            broker.start()
            url = broker.url(PARTITIONS)
            shipper.settle(url)
            with loaded(shipper) as load:
                for _ in range(2):
                    shipper.begin("Shipping")
                    time.sleep(0.7)
                    load.rotate.set()
                    time.sleep(0.3)
                    shipper.kill()
                    if not shipper.log.with_name("auth.log.2").exists():
                        eventually(lambda: not load.rotate.is_set(), "the rotation")
                        shipper.log.with_name("auth.log.1").rename(shipper.log.with_name("auth.log.2"))
            shipper.begin("Shipping")
            whole = load.written
            eventually(lambda: len(counted(url)) >= len(whole), f"{len(whole)} events")
            found = counted(url)
            assert sorted(found) == sorted(whole)
            by_partition = [
                [ip for ip in whole if partition_of(ip, PARTITIONS) == each] for each in range(PARTITIONS)
            ]
            assert found == [ip for part in by_partition for ip in part]
            assert shipper.stop() == 0
        finally:
            broker.kill()


def test_an_absent_broker_fills_the_spool_and_no_more(tmp_path: Path) -> None:
    """What the spool cannot hold waits in the file; a kill meanwhile and the broker's return lose nothing."""
    broker = Broker(tmp_path / "broker")
    with role("ship", tmp_path / "web1") as shipper:
        try:
            broker.start()
            url = broker.url(PARTITIONS, timeout="2s")
            shipper.settle(url, spool="1 MB")
            with loaded(shipper) as load:
                shipper.begin("Shipping")
                eventually(lambda: counted(url), "the first events")
                broker.kill()
                eventually(lambda: "THE LOG IS AWAY" in shipper.errors, "it says that the broker is away")
                eventually(lambda: "the spool is full" in shipper.errors.lower(), "the spool is full")
                status = eventually(lambda: away(shipper), "the status says so")
                # An empty spool takes one commit whatever its size: else a large one would never go out.
                assert 500_000 < status["spooled_bytes"] < 3 * status["spool_bytes"] == 3 << 20
                shipper.kill()
                shipper.begin("Shipping")
                eventually(lambda: shipper.errors.count("THE LOG IS AWAY") == 2, "it is away still")
                eventually(lambda: away(shipper), "the spool is full still")
                on_disk = sum(file.stat().st_size for file in (shipper.folder / "state").iterdir())
                assert on_disk < 40 << 20
                broker.start()
                eventually(lambda: "The broker is back" in shipper.errors, "the broker is back")
                time.sleep(0.5)
            whole = load.written
            eventually(lambda: len(counted(url)) >= len(whole), f"{len(whole)} events")
            assert sorted(counted(url)) == sorted(whole)
            assert shipper.stop() == 0
            (status,) = shipper.json("status", code=1)
            uplink = status["uplink"]
            assert (uplink["away"], uplink["spooled_frames"], status["stopped"]) == (None, 0, True)
        finally:
            broker.kill()


def test_it_waits_for_the_broker_it_has_never_met(tmp_path: Path) -> None:
    """The number of partitions is the broker's to tell; until then lines wait in their file."""
    broker = Broker(tmp_path / "broker")
    with role("ship", tmp_path / "web1") as shipper:
        try:
            broker.start()
            url = broker.url(PARTITIONS, timeout="2s")
            broker.kill()
            shipper.settle(url)
            with shipper.log.open("a", encoding="utf-8") as log:
                log.write(failure("192.0.2.7", 1))
            shipper.begin("the first start needs the broker")
            broker.start()
            eventually(lambda: counted(url) == ["192.0.2.7"], "the event")
            spool = Spool.open(shipper.folder / "state" / "ship.db", 1 << 20, read_only=True)
            assert spool.partitions == PARTITIONS
            spool.close()
        finally:
            broker.kill()


def test_a_shipper_runs_from_taking_its_spool_on(tmp_path: Path) -> None:
    """`status` says so, though it could not say a word there yet: a disk may be full by then."""
    made = Service(tmp_path)
    made.config.write_text(f'[log]\nurl = "kafka://localhost:1"\n[ship]\ndirectory = "{tmp_path}"\n', "utf-8")
    spool = tmp_path / "ship.db"
    Spool.open(spool, 1 << 20).close()
    claim = Claim.take(spool, "ship")
    assert made.json("status") == [{"running": True}]
    assert "runs; it could not say yet" in made.run("status", "--config", str(made.config)).stdout
    claim.release()
    assert made.json("status", code=1) == [{"running": False}]
