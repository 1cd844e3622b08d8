"""`status --fleet`: dead workers, shippers that fell silent, enforcers that enforce nothing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from banstream.enrolled import hosts_of
from banstream.fleet import Fleet as FleetView
from banstream.fleet import show_hosts
from banstream.heard import Heard
from banstream.overview import VERSION
from banstream.partitions import Owners, partitions
from banstream.shippers import shippers
from enforcers.backends import CONFIGURED_NULL
from eventlog.contract import Append
from eventlog.memory import MemoryLog
from schemas.codec import encode
from schemas.records import Heartbeat
from schemas.shipments import Shipment, key_of
from schemas.signatures import signed_key
from schemas.topics import COMMANDS, EVENTS, STATE
from streams.partition import POSITION
from tests.banstream.fleet import failure as line
from tests.banstream.fleet import role
from tests.banstream.service import BANSTREAM, eventually
from tests.banstream.test_enrolled import Enforcers
from tests.broker import Cluster
from tests.streams.fleet import fleet, now_ms
from tests.streams.folding import ALICE, T0, failure


def ask(folder: Path, code: int | None = None) -> list[dict[str, Any]]:
    """What `status --fleet --json` prints."""
    command = [*BANSTREAM, "status", "--fleet", "--json", "--config", str(folder / "banstream.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert code in {None, done.returncode}, (done.stdout, done.stderr)
    return [json.loads(each) for each in done.stdout.splitlines()]


def look(folder: Path) -> list[str]:
    """What `status --fleet` prints for people, line by line."""
    command = [*BANSTREAM, "status", "--fleet", "--config", str(folder / "banstream.toml")]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


def shipped(told: list[dict[str, Any]]) -> dict[str, Any]:
    """What is told of the one shipper."""
    (found,) = [each for each in told if each["type"] == "shipper"]
    return found


@pytest.mark.real("kafka")
def test_a_dead_worker_and_a_silent_shipper_are_seen(broker: Cluster, tmp_path: Path) -> None:
    """Its partitions have nobody, and what waits there is counted; a shipper's last event grows old."""
    with (
        fleet(broker.url(2), tmp_path, signed=True) as made,
        role("ship", tmp_path / "web1") as shipper,
    ):
        worker = made.start()
        made.governed()
        shipper.enroll(made.log)
        shipper.settle(made.url)
        shipper.begin()
        with shipper.log.open("a", encoding="utf-8") as file:
            file.write(line(ALICE, 1))

        def decided() -> bool:
            told = ask(tmp_path)
            return [each["state"] for each in told if each["type"] == "partition"] == [
                "decided"
            ] * 2 and bool(next(each for each in told if each["type"] == "shipper")["last_event_ms"])

        eventually(decided, "all is decided")
        ships = shipped(ask(tmp_path))
        assert (ships["host"], ships["signed"], ships["enrolled"]) == ("web1", True, True)
        assert shipper.stop() == 0
        worker.kill()
        worker.wait()
        at_ms = now_ms()
        made.send([[failure(ALICE, at_ms, 10 + nth)] for nth in range(3)])

        def dead() -> bool:
            found = [each for each in ask(tmp_path, code=1) if each["type"] == "partition"]
            return [each["state"] for each in found] == ["nobody decides"] * 2

        eventually(dead, "the group knows that it is gone", 60)
        lines = look(tmp_path)
        assert lines[0].startswith("partitions 0, 1: nobody decides, 3 messages wait since ")
        assert shipped(ask(tmp_path))["last_event_ms"] > ships["last_event_ms"]
        made.start()
        eventually(decided, "another worker decides what waited", 60)
        assert sum(each["waiting"] for each in ask(tmp_path) if each["type"] == "partition") == 0


def position(offset: int, commands: int = -1) -> Append:
    """Where a worker says it stands."""
    value = json.dumps({"offset": offset, "commands": commands}).encode()
    return Append(STATE.name, value, key=POSITION)


def test_a_partition_whose_worker_does_not_commit_is_told() -> None:
    """Behind while it commits; undecided once it does not; joining while the group shares out."""
    at_ms = T0
    log = MemoryLog(1, now_ms=lambda: at_ms)
    log.append(
        [Append(EVENTS.name, b"x"), position(0), Append(EVENTS.name, b"y"), Append(COMMANDS.name, b"z")]
    )
    owned = Owners(of={0: "10.0.0.5"}, settled=True)
    (view,) = partitions(log, owned, T0)
    assert (view.state, view.waiting, view.trouble(T0)) == ("decided", 2, None)
    at_ms = T0 + 60_000
    (view,) = partitions(log, owned, at_ms)
    assert view.state == "nobody decides"
    assert "nobody decides: 10.0.0.5 has it, and committed not since" in (view.trouble(at_ms) or "")
    log.append([position(0)])
    (view,) = partitions(log, owned, at_ms)
    assert (view.state, view.waiting) == ("behind", 2)
    log.append([position(1, 0)])
    (view,) = partitions(log, owned, at_ms)
    assert (view.state, view.waiting) == ("decided", 0)
    assert partitions(log, Owners(of={}, settled=False), at_ms)[0].state == "joining"
    assert partitions(log, Owners(of={}, settled=True), at_ms)[0].state == "nobody decides"
    assert partitions(log, None, at_ms)[0].state == "decided", "who may not be seen is not missed"


def test_nobody_makes_a_shipper_look_alive() -> None:
    """Neither who gives its name, nor who repeats what it signed."""
    made = Enforcers()
    value = encode(failure(ALICE, T0, 1))
    shipped = signed_key(made.keys["web1"], EVENTS.name, 0, Shipment("web1", T0), value)
    made.log.append([Append(EVENTS.name, value, shipped)])
    made.now_ms = T0 + 3_600_000
    forged = key_of(Shipment("web1", made.now_ms))
    made.log.append([Append(EVENTS.name, value, shipped), Append(EVENTS.name, value, forged)])
    found = {each.host: each for each in shippers(made.log, hosts_of(made.log))}
    assert (found["web1"].last_ms, found["web1"].signed) == (T0, True)
    assert (found["web2"].last_ms, found["web2"].enrolled) == (None, True)
    made.log.append([Append(EVENTS.name, value, key_of(Shipment("web9", made.now_ms)), partition=1)])
    found = {each.host: each for each in shippers(made.log, hosts_of(made.log))}
    assert (found["web9"].last_ms, found["web9"].enrolled) == (made.now_ms, False)


def heard(name: str, **facts: Any) -> Heard:
    """A heartbeat just now."""
    beat = Heartbeat(host=name, backend="nftables", at_ms=T0, lag_ms=0, in_force=1, **facts)
    return Heard(beat, T0, signed=True)


def troubles(*found: Heard, at_ms: int = T0) -> list[str]:
    """What is wrong with such enforcers."""
    return list(FleetView(at_ms=at_ms, heard=found, shippers=(), partitions=(), warnings=()).troubles())


def test_another_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """While a fleet is upgraded: whose version is not that of who looks."""
    found = (heard("web1", version=VERSION), heard("web2", version="0.0.9"), heard("web3"))
    show_hosts(FleetView(at_ms=T0, heard=found, shippers=(), partitions=(), warnings=()))
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.startswith("web")}
    assert "version" not in lines["web1"]
    assert lines["web2"].rstrip().endswith("version 0.0.9")
    assert lines["web3"].rstrip().endswith("version unknown")


def test_an_enforcer_that_observes_as_configured_is_well() -> None:
    """One that does because it cannot otherwise is not, nor is one that is silent, or stopped, or fails."""
    assert troubles(heard("web1"), heard("web2", observing=CONFIGURED_NULL)) == []
    (said,) = troubles(heard("web1", observing="needs root"))
    assert said == "web1 enforces nothing: needs root"
    assert "web1 is stopped" in troubles(heard("web1", stopped=True))[0]
    assert "web1 is silent" in troubles(heard("web1"), at_ms=T0 + 60_000)[0]
    assert "does not take 2 bans" in troubles(heard("web1", failing=2))[0]
    assert troubles() == ["no enforcer was heard of within the last hour"]
