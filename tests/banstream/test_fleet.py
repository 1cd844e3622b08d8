"""Five hosts with a shipper and an enforcer each, one broker, and an attacker who fails once on each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from banstream.instants import now_ms
from eventlog.kafka.log import KafkaLog
from eventlog.urls import open_log
from schemas.errors import Transient
from streams.embedded import EmbeddedDecider
from streams.rules import Jail, Rules
from tests.banstream.fleet import Role, enforced, failure, relay, role
from tests.banstream.service import eventually
from tests.broker import Cluster
from tests.namespaces import fleet

HOSTS = tuple(f"web{number}" for number in range(1, 6))
ATTACKER = "203.0.113.9"
BYSTANDER = "203.0.113.10"
RULES = Rules(jails=(Jail(name="sshd", filters=("sshd",), maxretry=5),))


@contextmanager
def decider(url: str) -> Iterator[None]:
    """The decider on a log in a thread, in place of `banstream decide`."""
    log = open_log(url)
    made = EmbeddedDecider(log, now_ms=now_ms)
    made.catch_up()
    made.govern(RULES)
    done = threading.Event()

    def turn() -> None:
        while not done.wait(0.02):
            try:
                made.poll()
            except Transient:
                continue

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        made.close()
        log.close()


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
        stack.enter_context(decider(url))
        roles: dict[str, tuple[Role, Role]] = {}
        for name in HOSTS:
            enforcer = stack.enter_context(role("enforce", tmp_path / name, net[name]))
            shipper = stack.enter_context(role("ship", tmp_path / f"{name}-ship", net[name]))
            enforcer.settle(url, f'[enforcer]\nhost = "{name}"')
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
        first = roles["web1"][0]
        first.kill()
        assert roles["web2"][0].stop() == 0
        shown = {each["host"]: each for each in first.json("status", "--fleet", code=1)}
        assert set(shown) == set(HOSTS)
        assert {each["backend"] for each in shown.values()} == {"nftables"}
        assert (shown["web2"]["state"], shown["web2"]["in_force"]) == ("stopped", 1)
        assert shown["web3"]["state"] == "running"
    broker.drop(url)


def _bans(enforcer: Role) -> bool:
    return enforcer.elements() == {ATTACKER}
