"""`banstream enforce` on a real broker, in a network namespace with nftables and packets."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from banstream.instants import now_ms
from eventlog.kafka.log import KafkaLog
from tests.banstream.fleet import Role, ban, enforced, free, heartbeats, relay, role
from tests.banstream.service import eventually
from tests.broker import Broker
from tests.namespaces import Fleet, fleet

pytestmark = pytest.mark.real("kafka", "nftables")
HOUR_MS = 3_600_000
ATTACKER = "203.0.113.9"


class Scene(NamedTuple):
    """A broker and hosts, an enforcer on the host `server` that has not begun; the log, and its url."""

    broker: Broker
    net: Fleet
    enforcer: Role
    url: str
    log: KafkaLog


@contextmanager
def scene(folder: Path, timeout: str, *others: str) -> Iterator[Scene]:
    """Where each test begins; `timeout` is the url's, `others` are further hosts."""
    with (
        Broker(folder / "broker") as broker,
        fleet("server", *others) as net,
        role("enforce", folder / "server", net["server"]) as enforcer,
        relay(broker.ports["INTERNAL"], net["server"]),
    ):
        url = broker.url(1, timeout=timeout)
        with closing(KafkaLog.open(url)) as log:
            yield Scene(broker, net, enforcer, url, log)


def test_bans_hold_through_a_kill_and_an_absent_broker(tmp_path: Path) -> None:
    """A ban blocks packets within moments; it stays while enforcer and broker are dead, and ends in time."""
    with scene(tmp_path, "3s", "attacker") as (broker, net, enforcer, url, log):
        server, attacker = net["server"], net["attacker"]
        attacker.add(ATTACKER)
        enforcer.settle(url, '[enforcer]\nhost = "server"\njails = ["sshd"]')
        ban(log, "198.51.100.1", now_ms() + HOUR_MS, now_ms())
        ban(log, "198.51.100.2", now_ms() + HOUR_MS, now_ms(), jail="web")
        enforcer.begin("Enforcing")
        assert enforcer.elements() == {"198.51.100.1"}
        assert attacker.reaches(server.ip4, 22, source=ATTACKER)
        ban(log, ATTACKER, now_ms() + HOUR_MS, now_ms())
        eventually(lambda: ATTACKER in enforcer.elements(), "the ban")
        assert not attacker.reaches(server.ip4, 22, source=ATTACKER)
        (record,) = eventually(
            lambda: [each for each in enforced(log, "server") if each.prefix == ATTACKER], "a word on it"
        )
        assert (record.outcome, record.verb) == ("applied", "ban")
        assert record.delay_ms is not None
        assert 0 <= record.delay_ms < 10_000
        enforcer.kill()
        assert not attacker.reaches(server.ip4, 22, source=ATTACKER)
        free(log, "198.51.100.1")
        ban(log, "198.51.100.3", now_ms() + 6_000, now_ms())
        enforcer.begin("Enforcing")
        assert enforcer.elements() == {ATTACKER, "198.51.100.3"}
        broker.kill()
        server.run(["nft", "delete", "table", "inet", "banstream"])
        eventually(lambda: "Waiting to try again" in enforcer.errors, "it says that the broker is away")
        eventually(lambda: _blocked(enforcer, ATTACKER), "a repair without the broker")
        assert not attacker.reaches(server.ip4, 22, source=ATTACKER)
        eventually(lambda: enforcer.elements() == {ATTACKER}, "the kernel ends a ban by itself")
        broker.start()
        eventually(lambda: "Recovered" in enforcer.errors, "it goes on")
        free(log, ATTACKER)
        eventually(lambda: not enforcer.elements(), "the end of the ban")
        assert attacker.reaches(server.ip4, 22, source=ATTACKER)
        assert enforcer.stop() == 0
        last = heartbeats(log, "server")[-1]
        assert (last.stopped, last.in_force) == (True, 0)
        assert last.drift in {1, 2}, "one of the two may have ended before it was put back"


def test_it_starts_before_the_broker(tmp_path: Path) -> None:
    """Without a broker it waits and says so, and enforces when the broker is there."""
    with scene(tmp_path, "2s") as (broker, _, enforcer, url, log):
        ban(log, ATTACKER, None, now_ms())
        broker.kill()
        enforcer.settle(url, '[enforcer]\nhost = "server"')
        enforcer.begin("Waiting to try again stage=enforcer")
        broker.start()
        eventually(lambda: "Enforcing host=server" in enforcer.errors, "it enforces")
        assert enforcer.elements() == {ATTACKER}
        started = time.monotonic()
        assert enforcer.stop() == 0
        assert time.monotonic() - started < 10


@pytest.mark.parametrize("way", ["kill", "halt"])
def test_a_lost_broker_holds_up_neither_repairs_nor_the_end(tmp_path: Path, way: str) -> None:
    """However long a call may take by its url: the firewall is repaired and SIGTERM heeded within seconds."""
    with scene(tmp_path, "1m") as (broker, net, enforcer, url, log):
        ban(log, ATTACKER, None, now_ms())
        log.close()
        enforcer.settle(url, '[enforcer]\nhost = "server"')
        enforcer.begin("Enforcing")
        getattr(broker, way)()
        net["server"].run(["nft", "flush", "ruleset"])
        eventually(lambda: _blocked(enforcer, ATTACKER), "the repair", 25)
        started = time.monotonic()
        assert enforcer.stop() == 0
        assert time.monotonic() - started < 25
        assert _blocked(enforcer, ATTACKER)


def _blocked(enforcer: Role, prefix: str) -> bool:
    """Whether the firewall holds a prefix; its table may be gone at this moment."""
    try:
        return prefix in enforcer.elements()
    except subprocess.CalledProcessError:
        return False
