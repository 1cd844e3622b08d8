"""`banstream log migrate` on the real broker: an attack that began on one machine is decided in the fleet."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from banstream.reading import records
from eventlog.contract import Append
from eventlog.kafka.log import KafkaLog
from eventlog.sqlite import SqliteLog
from schemas.codec import encode, encode_frame
from schemas.records import Ban
from schemas.rules import Jail, Rules
from schemas.topics import BANS, DAY_MS, DECISIONS, EVENTS
from streams.embedded import EmbeddedDecider
from tests.banstream.fleet import Role, relay, role, shipped
from tests.banstream.service import Service, eventually, service
from tests.broker import Cluster
from tests.namespaces import fleet
from tests.streams.fleet import now_ms
from tests.streams.folding import failure

PARTITIONS = 4
ATTACKER, OLD, UNMOVED = "203.0.113.9", "203.0.113.10", "203.0.113.11"
JAIL = 'maxretry = 5\nbantime = "1h"'


def settle(made: Role, url: str) -> None:
    """The same machine with the same sources, on the new log."""
    made.settle(url, f'{JAIL}\n[enforcer]\nhost = "server"')


@pytest.mark.real("kafka", "nftables")
def test_an_attack_is_decided_at_the_same_failure_after_the_move(tmp_path: Path, broker: Cluster) -> None:
    """Four failures before and one after are a ban; old bans hold on and are explained; no line is lost."""
    url = broker.url(PARTITIONS)
    with ExitStack() as stack:
        net = stack.enter_context(fleet("server", "attacker"))
        server, attacker = net["server"], net["attacker"]
        for address in (ATTACKER, OLD):
            attacker.add(address)
        folder = tmp_path / "server"
        folder.mkdir()
        up = stack.enter_context(service(folder, server))
        up.configure(JAIL, enforcer='host = "server"')
        before = attack_before(up)
        stack.enter_context(relay(int(broker.address.rpartition(":")[2]), server))
        up.fail(UNMOVED, 2)  # lines that nobody has read when the log moves
        source = f"sqlite://{folder}/state/log.db"
        shipper, worker, enforcer = (
            stack.enter_context(role(name, folder, server)) for name in ("ship", "decide", "enforce")
        )
        settle(shipper, url)
        said = shipper.run("log", "migrate", source, url, "--config", str(shipper.config)).stdout
        assert f"goes on with file:{shipper.log} where `up` stopped" in said
        again = shipper.run("log", "migrate", source, url, "--config", str(shipper.config)).stdout
        assert "banstream.events         0 messages" in again
        log = KafkaLog.open(url, read_only=True)
        stack.callback(log.close)
        for each in (enforcer, worker, shipper):
            each.begin("Enforcing" if each is enforcer else "")
        assert enforcer.elements() == {OLD}
        assert not attacker.reaches(server.ip4, 22, source=OLD)
        assert attacker.reaches(server.ip4, 22, source=ATTACKER)
        eventually(lambda: len(shipped(log)) == 11, "the lines that were written meanwhile, and no other")
        assert {str(message.key) for message in log.latest(BANS.name)} == {OLD}
        up.fail(ATTACKER)
        eventually(lambda: enforcer.elements() == {OLD, ATTACKER}, "the ban at the fifth failure")
        assert not attacker.reaches(server.ip4, 22, source=ATTACKER)
        (old,) = shipper.json("explain", OLD)
        assert len({each["event"]["line"] for each in old["evidence"]}) == 5
        assert (old["decision"]["at_ms"], old["jail"]["name"]) == (before, "sshd")
        assert [each["outcome"] for each in old["enforcements"]] == ["applied"]
        (new,) = shipper.json("explain", ATTACKER)
        assert len({each["event"]["line"] for each in new["evidence"]}) == 5
        assert new["evidence"][-1]["place"] == new["decision"]["id"].rpartition("-")[0]
    broker.drop(url)


def attack_before(up: Service) -> int:
    """`up` bans one address, counts four failures of another, and stops; the instant of the ban."""
    up.start()
    up.fail(OLD, 5)
    up.fail(ATTACKER, 4)
    eventually(lambda: len(up.events()) == 9 and up.elements() == {OLD}, "up has banned the first")
    assert up.stop() == 0
    (ban,) = up.bans()
    return ban.at_ms


@pytest.mark.real("kafka")
def test_it_refuses_what_it_cannot_move(tmp_path: Path, broker: Cluster) -> None:
    """A log that `up` holds, one that is not there, a cluster without topics, and a log in use."""
    url = broker.url(2)
    with service(tmp_path) as up:
        source = f"sqlite://{tmp_path}/state/log.db"
        up.config.write_text(up.config.read_text() + f'[ship]\ndirectory = "{tmp_path}/spool"\n')

        def refused(*arguments: str, code: int = 3) -> str:
            return up.run("log", "migrate", *arguments, "--config", str(up.config), code=code).stderr

        assert "no such file" in refused("sqlite:///nowhere/log.db", url)
        assert "expected kafka://" in refused(source, source, code=2)
        up.start()
        up.fail("192.0.2.1", 5)
        eventually(up.bans, "a ban")
        assert "in use by another `up`" in refused(source, url)
        assert up.stop() == 0
        assert "banstream topics create" in refused(source, broker.url())
        up.run("log", "migrate", source, url, "--config", str(up.config))
        other = tmp_path / "other"
        other.mkdir()
        with service(other) as second:
            second.start()
            second.stop()
            stranger = f"sqlite://{other}/state/log.db"
            assert "holds records that are not this log's" in refused(stranger, url)
    broker.drop(url)


@pytest.mark.real("kafka")
def test_killed_again_and_again_it_carries_over_all_of_it(tmp_path: Path, broker: Cluster) -> None:
    """A long log, its oldest events dropped: after kills the new one is as the old, identity by identity."""
    url, path = broker.url(1), tmp_path / "log.db"
    now = now_ms()
    with closing(SqliteLog.open(path, now_ms=lambda: now - 40 * DAY_MS)) as old:
        decide(old, [])
        decide(old, attack(1, 50, now - 40 * DAY_MS))
    with closing(SqliteLog.open(path)) as old:
        old.retain(now)
        assert old.begin(EVENTS.name) == old.end(EVENTS.name) == 50
        decide(old, attack(2, 400, now))
        dropped, in_force = old.begin(EVENTS.name), {message.key for message in old.latest(BANS.name)}
        decisions = [encode(each.record) for each in records(old, DECISIONS.name)]
        with closing(old.writer("follower/sink/mail")) as sink:
            sink.commit([], {"follower/sink/mail": b'[["banstream.decisions",0,7]]'})
    with service(tmp_path) as made:
        made.config.write_text(made.config.read_text() + f'[ship]\ndirectory = "{tmp_path}/spool"\n')
        command = ("log", "migrate", f"sqlite://{path}", url, "--config", str(made.config))
        kills = 0
        with closing(KafkaLog.open(url)) as log:
            for goal in (1, 200):
                process = made.popen(*command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                eventually(lambda: log.end(EVENTS.name) >= goal or process.poll() is not None, "it writes")  # noqa: B023 - called at once
                kills += process.poll() is None
                process.kill()
                process.wait()
            made.run(*command)
            assert "0 messages" in made.run(*command).stdout
            assert kills, "it was too quick to be killed"
            assert log.begin(EVENTS.name) == dropped
            assert log.position("follower/sink/mail") == b'[["banstream.decisions",0,7]]'
            assert [encode(each.record) for each in records(log, DECISIONS.name)] == decisions
            assert {message.key for message in log.latest(BANS.name)} == in_force
            old_ban = next(
                each.record for each in records(log, DECISIONS.name) if isinstance(each.record, Ban)
            )
        made.config.write_text(made.config.read_text().replace(f"sqlite://{tmp_path}/state/log.db", url))
        said = made.run("explain", old_ban.id, "--config", str(made.config)).stdout
        assert "no longer in the log" in said
    broker.drop(url)


def attack(seed: int, frames: int, at_ms: int) -> list[bytes]:
    """Frames of fifty failures each, of a few hundred addresses."""
    return [
        encode_frame(
            [
                failure(f"10.{seed}.{frame % 20}.{nth}", at_ms + frame, frame * 50 + nth, source=f"s{seed}")
                for nth in range(50)
            ]
        )
        for frame in range(frames)
    ]


def decide(log: SqliteLog, frames: list[bytes]) -> None:
    """Append frames, and decide them as `up` does."""
    log.append([Append(EVENTS.name, frame) for frame in frames])
    decider = EmbeddedDecider(log, now_ms=now_ms)
    decider.catch_up()
    decider.govern(Rules(jails=(Jail(name="sshd", filters=("sshd",), maxretry=3),)))
    decider.catch_up()
    decider.close()
