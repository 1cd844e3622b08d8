"""The operator's words in a fleet: which hosts took them up, and who decides at all."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.banstream.fleet import Role, relay, role
from tests.banstream.service import eventually
from tests.broker import Cluster
from tests.namespaces import fleet
from tests.streams import fleet as workers

HOSTS = ("web1", "web2", "web3")
ATTACKER = "203.0.113.9"
RULES = '[jail.sshd]\nfilter = "sshd"\nmaxretry = 5\nbantime = "1h"\n'


def say(host: Role, *arguments: str, code: int = 0) -> str:
    """What a command prints on stdout."""
    return host.run(*arguments, "--config", str(host.config), code=code).stdout


@pytest.mark.real("kafka", "nftables")
def test_a_ban_says_on_which_hosts_it_is_and_who_decides(tmp_path: Path, broker: Cluster) -> None:
    """In force, not yet, refused where it may not be; without a worker recorded alone, exit code 1."""
    url = broker.url(4)
    with ExitStack() as stack:
        net = stack.enter_context(fleet(*HOSTS))
        port = int(broker.address.rpartition(":")[2])
        stack.enter_context(relay(port, *(net[name] for name in HOSTS)))
        decide = stack.enter_context(workers.fleet(url, tmp_path, signed=True))
        decide.configure(RULES)
        decide.start("--workers", "1")
        decide.governed()
        roles = {name: stack.enter_context(role("enforce", tmp_path / name, net[name])) for name in HOSTS}
        for name, each in roles.items():
            each.settle(url, f'[enforcer]\nhost = "{name}"')
            each.begin("Enforcing")
        web1, web2, web3 = roles.values()
        said = say(web1, "ban", ATTACKER, "198.51.100.7", "--jail", "sshd")
        assert said.count("in force on web1, web2, web3\n") == 2
        assert f"ban {ATTACKER} jail=sshd until " in said
        assert {ATTACKER} <= web2.elements()
        (answer,) = web1.json("ban", net["web2"].ip4, code=1)
        assert answer["hosts"] == {"web1": "applied", "web2": "refused", "web3": "applied"}
        web3.kill()
        said = say(web1, "unban", ATTACKER, "--wait", "2s", code=1)
        assert "lifted on web1, web2; no word yet from web3 (last heard of " in said
        assert "up` is not running" not in said
        for each in (web1, web2):
            eventually(partial(_says, each, f"[sshd] Unban {ATTACKER}"), "the enforcer says it")
        eventually(lambda: f"NOTICE [sshd] Ban {ATTACKER} by=" in decide.said, "the worker says it")
        assert f"NOTICE [sshd] Ban {ATTACKER} until=" in web1.errors
        decide.workers[0].terminate()
        decide.workers[0].wait()
        said = say(web1, "ban", ATTACKER, "--wait", "1s", code=1)
        assert "recorded: no worker decides partition " in said
    broker.drop(url)


def _says(role: Role, what: str) -> bool:
    return what in role.errors
