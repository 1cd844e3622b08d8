"""The log's side on the real ones: an id that is made once, and sinks that follow a fleet's log."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from eventlog.identity import keep_id, log_id
from eventlog.memory import MemoryLog
from eventlog.sqlite import SqliteLog
from eventlog.urls import open_log
from schemas.topics import DECISIONS
from sinks.selection import Selection
from sinks.settings import SinkSettings, plan_of
from sinks.thread import SinkThread
from tests.banstream.service import eventually
from tests.broker import Cluster
from tests.sinks.following import ban, put


def test_a_log_in_a_file_has_an_id_from_its_making_on(tmp_path: Path) -> None:
    """Another log has another; who only reads finds it; one from before is given one."""
    first, second = SqliteLog.open(tmp_path / "a.db"), SqliteLog.open(tmp_path / "b.db")
    reading = SqliteLog.open(tmp_path / "a.db", read_only=True)
    with closing(first), closing(second), closing(reading) as reader:
        assert log_id(first) == log_id(reader) != log_id(second)
        first._db.execute("DELETE FROM positions")  # noqa: SLF001 - as a banstream of before left it
    with closing(SqliteLog.open(tmp_path / "a.db")) as again:
        assert len(log_id(again)) == 8


def test_many_that_ask_at_once_get_one_id() -> None:
    """The newer writer fences the older, which then reads what was written."""
    log = MemoryLog()
    found: list[str] = []
    threads = [Thread(target=lambda: found.append(log_id(log))) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    keep_id(log, "q7x2kd3m")
    assert log_id(log) == "q7x2kd3m"


def sink(url: str, file: Path) -> SinkThread:
    """A sink to a file."""
    settings = SinkSettings(
        name="out",
        to=f"file:{file}",
        format="json",
        selection=Selection(),
        most=100,
        start="begin",
        options={"fsync": False, "rotate": None, "keep": 5},
    )
    plan = plan_of(settings, "0.1.0", "bans1")
    return SinkThread(plan, lambda: open_log(url), lambda: time.time_ns() // 1_000_000)


def ids(file: Path) -> list[str]:
    """What was sent."""
    return [json.loads(line)["uid"] for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.real("kafka")
def test_a_fleets_sink_sends_each_decision_once(broker: Cluster, tmp_path: Path) -> None:
    """Of every partition; over a restart; and started twice the newer goes on."""
    url, file = broker.url(3), tmp_path / "out"
    with closing(open_log(url)) as log:
        for number in range(30):
            put(log, DECISIONS, ban(number), partition=number % 3)
        first = sink(url, file)
        first.start()
        eventually(lambda: len(ids(file)) == 30, "all are sent")
        name = log_id(log)
        assert set(ids(file)) == {f"{name}-0-{number}-0-0" for number in range(30)}
        first.close()
        put(log, DECISIONS, ban(30), partition=1)
        second = sink(url, file)
        second.start()
        eventually(lambda: len(ids(file)) == 31, "the next is sent")
        third = sink(url, file)
        third.start(20)
        time.sleep(1.5)
        put(log, DECISIONS, ban(31), partition=2)
        eventually(lambda: len(ids(file)) == 32, "the newer sends")
        eventually(lambda: second.status.ended is not None, "the older has ended")
        put(log, DECISIONS, ban(32), partition=0)
        eventually(lambda: len(ids(file)) == 33, "the newer goes on")
        assert len(set(ids(file))) == 33
        third.close()
        second.close()
    broker.drop(url)
