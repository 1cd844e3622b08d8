"""Five hosts, workers and one broker: an attacker who fails once on each host is banned on all."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from banstream.overview import VERSION
from eventlog.kafka.log import KafkaLog
from tests.banstream.fleet import Role, enforced, failure, relay, role
from tests.banstream.service import eventually
from tests.broker import Cluster
from tests.namespaces import fleet
from tests.streams import fleet as workers

HOSTS = tuple(f"web{number}" for number in range(1, 6))
ATTACKER = "203.0.113.9"
BYSTANDER = "203.0.113.10"
RULES = '[jail.sshd]\nfilter = "sshd"\nmaxretry = 5\n'


@pytest.mark.real("kafka", "nftables")
def test_an_attacker_who_fails_once_on_each_of_five_hosts_is_banned_on_all(
    tmp_path: Path, broker: Cluster
) -> None:
    """His packets reach no host any more, a bystander's do, and each host acknowledges the ban."""
    url = broker.url(4)
    with ExitStack() as stack:
        net = stack.enter_context(fleet(*HOSTS, "attacker"))
        port = int(broker.address.rpartition(":")[2])
        stack.enter_context(relay(port, *(net[name] for name in HOSTS)))
        decide = stack.enter_context(workers.fleet(url, tmp_path, signed=True))
        decide.configure(RULES)
        decide.start("--workers", "2")
        decide.governed()
        roles: dict[str, tuple[Role, Role]] = {}
        for name in HOSTS:
            enforcer = stack.enter_context(role("enforce", tmp_path / name, net[name]))
            shipper = stack.enter_context(role("ship", tmp_path / f"{name}-ship", net[name]))
            enforcer.enroll(decide.log)
            enforcer.settle(url, f'[enforcer]\nhost = "{name}"\nkey_file = "{enforcer.key}"')
            shipper.enroll(decide.log)
            shipper.settle(url)
            roles[name] = enforcer, shipper
        for enforcer, shipper in roles.values():
            shipper.begin()
            enforcer.begin("Enforcing")
        net["attacker"].add(ATTACKER)
        net["attacker"].add(BYSTANDER)
        for number, (name, (_, shipper)) in enumerate(roles.items()):
            assert net["attacker"].reaches(net[name].ip4, 22, source=ATTACKER)
            with shipper.log.open("a", encoding="utf-8") as file:
                file.write(failure(ATTACKER, number) + (failure(BYSTANDER, number) if number < 4 else ""))
        for name, (enforcer, _) in roles.items():
            eventually(partial(_bans, enforcer), f"the ban on {name}")
            assert not net["attacker"].reaches(net[name].ip4, 22, source=ATTACKER, within_s=0.2)
            assert net["attacker"].reaches(net[name].ip4, 22, source=BYSTANDER)
        log = KafkaLog.open(url, read_only=True)
        stack.callback(log.close)
        for name in HOSTS:
            (record,) = eventually(partial(enforced, log, name), f"a word from {name}")
            assert (record.outcome, record.prefix) == ("applied", ATTACKER)
        assert decide.in_force() == {ATTACKER}
        first = roles["web1"][0]
        first.kill()
        assert roles["web2"][0].stop() == 0
        told = first.json("status", "--fleet", code=1)
        shown = {each["host"]: each for each in told if each["type"] == "heartbeat"}
        assert set(shown) == set(HOSTS)
        assert {each["backend"] for each in shown.values()} == {"nftables"}
        assert {each["version"] for each in shown.values()} == {VERSION}
        assert (shown["web2"]["state"], shown["web2"]["in_force"]) == ("stopped", 1)
        assert shown["web3"]["state"] == "running"
        assert {(each["signed"], each["forged"]) for each in shown.values()} == {(True, 0)}
        _check_the_rest(first, told)
        (ban,) = first.json("explain", ATTACKER)
        assert [each["signed"] for each in ban["enforcements"]] == [True] * len(HOSTS)
    broker.drop(url)


def _check_the_rest(asked: Role, told: list[dict[str, Any]]) -> None:
    """`status --fleet` knows every shipper and partition, and `bans` each host's word."""
    ships = {each["host"]: each for each in told if each["type"] == "shipper" and each["last_event_ms"]}
    assert set(ships) == {f"{name}-ship" for name in HOSTS}
    assert {each["signed"] for each in ships.values()} == {True}
    found = [each for each in told if each["type"] == "partition"]
    assert [(each["partition"], each["state"]) for each in found] == [
        (number, "decided") for number in range(4)
    ]
    (standing,) = asked.json("bans")
    states = {each["host"]: each["state"] for each in standing["holds"][0]["hosts"]}
    assert states == dict.fromkeys(HOSTS, "in force")


def _bans(enforcer: Role) -> bool:
    return enforcer.elements() == {ATTACKER}
