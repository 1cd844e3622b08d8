"""Shippers as they should not be, on a real broker with real workers: each handled, and said."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from banstream.instants import now_ms
from eventlog.contract import Append
from eventlog.kafka.log import KafkaLog
from schemas.codec import encode
from schemas.records import Ban, Heartbeat
from schemas.topics import ENFORCEMENTS
from tests.banstream.fleet import Role, role
from tests.banstream.service import eventually
from tests.broker import Cluster
from tests.streams import fleet as workers
from tests.streams.folding import failure

pytestmark = pytest.mark.real("kafka")
ALICE, BOB = "192.0.2.1", "192.0.2.2"
DAY_S = 86_400
SITE = """
import time
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + {off_s}
time.time_ns = lambda: _time_ns() + {off_s} * 10**9
"""
"""Imported when Python starts: the process sees a clock that is off, as all programs of its host would."""


@pytest.fixture
def decide(broker: Cluster, tmp_path: Path) -> Iterator[workers.Fleet]:
    """A worker that decides."""
    with workers.fleet(broker.url(1), tmp_path) as made:
        made.start()
        made.governed()
        yield made


def shipper(stack: ExitStack, decide: workers.Fleet, folder: Path, *, off_s: int = 0) -> Role:
    """A shipper on a host of its own whose clock is off by so much."""
    made = stack.enter_context(role("ship", folder))
    made.settle(decide.url)
    if off_s:
        (folder / "sitecustomize.py").write_text(SITE.format(off_s=off_s), encoding="utf-8")
        made.env["PYTHONPATH"] = str(folder)
    made.begin("Shipping")
    return made


def line(ip: str, pid: int, off_s: int = 0) -> str:
    """A failed login, as rsyslog stamps it on a host whose clock is off by so much."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + off_s))
    return f"{stamp} web sshd[{pid}]: Failed password for root from {ip} port {1024 + pid} ssh2\n"


@pytest.mark.parametrize("off_s", [-DAY_S, DAY_S])
def test_a_shipper_whose_clock_is_wrong_by_a_day(decide: workers.Fleet, tmp_path: Path, off_s: int) -> None:
    """Failures there count now, together with those elsewhere; the worker says which host it is."""
    with ExitStack() as stack:
        wrong = shipper(stack, decide, tmp_path / "wrong", off_s=off_s)
        right = shipper(stack, decide, tmp_path / "right")
        wrong.log.write_text(line(ALICE, 1, off_s) + line(ALICE, 2, off_s), encoding="utf-8")
        right.log.write_text(line(ALICE, 3), encoding="utf-8")
        (ban,) = eventually(decide.decisions, "the ban")
        assert isinstance(ban, Ban)
        assert abs(ban.at_ms - now_ms()) < 120_000
        assert not ban.expired
        assert decide.in_force() == {ALICE}
        eventually(lambda: "clock is wrong" in decide.said, "the worker says so")
        assert f"host=wrong behind_s={-off_s}"[:-2] in decide.said
        decide.settled()


def test_two_shippers_that_give_one_name(decide: workers.Fleet, tmp_path: Path) -> None:
    """Two hosts of one name with a log of one name lose nothing to each other, and the worker says so."""
    with ExitStack() as stack:
        both = []
        for nth in range(2):
            made = stack.enter_context(role("ship", tmp_path / f"host{nth}"))
            made.settle(decide.url)
            made.config.write_text(
                made.config.read_text(encoding="utf-8")
                .replace(f'host = "host{nth}"', 'host = "web"')
                .replace(str(made.log), "/proc/self/cwd/auth.log"),
                encoding="utf-8",
            )
            made.begin("Shipping")
            both.append(made)
        for nth in range(12):
            with both[nth % 2].log.open("a", encoding="utf-8") as log:
                log.write(line(f"198.51.100.{nth}", nth))
            count = nth + 1
            eventually(lambda count=count: events(decide) == count, f"event {count}")  # type: ignore[misc]
        for nth, made in enumerate(both):
            with made.log.open("a", encoding="utf-8") as log:
                log.write("".join(line(ALICE, 100 + nth) for _ in range(2 - nth)))
        eventually(lambda: decide.in_force() == {ALICE}, "the ban")
        eventually(lambda: "Two shippers" in decide.said, "the worker says so")
        assert "host=web source=file:/proc/self/cwd/auth.log" in decide.said
        decide.settled()


def test_two_shippers_that_say_they_are_one_source(decide: workers.Fleet) -> None:
    """What comes at a position seen before is passed over, which the worker says with the source's name."""
    decide.send([[failure(ALICE, now_ms(), number) for number in range(2)]])
    decide.send([[failure(BOB, now_ms(), number) for number in range(2)]])
    eventually(lambda: "sent again" in decide.said, "the worker says so")
    assert "source=file:/var/log/auth.log incarnation=0 events=2" in decide.said


def test_a_host_whose_clock_is_wrong_is_heard_all_the_same(broker: Cluster, tmp_path: Path) -> None:
    """`status --fleet` goes by when the log had a host's word, and says that its clock is off."""
    url = broker.url(1)
    log = KafkaLog.open(url)
    with role("enforce", tmp_path / "host") as enforcer:
        enforcer.settle(url)
        beat = Heartbeat(host="web1", backend="null", at_ms=now_ms() - DAY_S * 1_000, lag_ms=0, in_force=0)
        log.append([Append(ENFORCEMENTS.name, encode(beat), key="web1")])
        shown, *_, partition = enforcer.json("status", "--fleet", code=1)
        assert (partition["type"], partition["state"]) == ("partition", "nobody decides")
        assert shown["state"] == "running"
        assert shown["heard_ms"] < 60_000
        assert round(shown["clock_off_ms"] / 1_000) == -DAY_S
        said = enforcer.run("status", "--fleet", "--config", str(enforcer.config), code=1).stdout
        assert "the clock of web1 is off by -86400 s" in " ".join(said.split())
    log.close()


def events(decide: workers.Fleet) -> int:
    """How many shipped messages are in the log."""
    return sum(message.key is not None for message in decide.inputs(0))
