"""The operator's words in a fleet: which hosts took them up, and who decides at all."""

from __future__ import annotations

from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from banstream.instants import now_ms
from eventlog.kafka.log import KafkaLog
from tests.banstream.fleet import Role, ban, relay, role
from tests.banstream.service import eventually, say
from tests.broker import Cluster
from tests.namespaces import fleet
from tests.streams import fleet as workers

HOSTS = ("web1", "web2", "web3")
ATTACKER = "203.0.113.9"
RULES = '[jail.sshd]\nfilter = "sshd"\nmaxretry = 5\nbantime = "1h"\n'


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
        told = web1.json("timeline", ATTACKER)
        kinds = [(each["type"], each.get("verb"), each.get("host")) for each in told]
        assert kinds[:2] == [("command", "ban", None), ("ban", None, None)]
        assert {("enforcement", "ban", name) for name in HOSTS} < set(kinds)
        assert {each["signed"] for each in told if each["type"] == "enforcement"} == {False}  # not enrolled
        audit = web1.json("audit", "verify")[-1]
        assert (audit["findings"], audit["vouched"] > 5) == (0, True)
        decide.workers[0].terminate()
        decide.workers[0].wait()
        said = say(web1, "ban", ATTACKER, "--wait", "1s", code=1)
        assert "recorded: no worker decides partition " in said
    broker.drop(url)


def _says(role: Role, what: str) -> bool:
    return what in role.errors


@pytest.mark.real("kafka", "nftables")
def test_an_enforcer_is_flushed_reloaded_and_stopped(tmp_path: Path, broker: Cluster) -> None:
    """By what it says of itself in $RUNTIME_DIRECTORY; one on another configuration is left alone."""
    url = broker.url(1)
    with ExitStack() as stack:
        net = stack.enter_context(fleet("web1"))
        stack.enter_context(relay(int(broker.address.rpartition(":")[2]), net["web1"]))
        log = stack.enter_context(closing(KafkaLog.open(url)))
        web1 = stack.enter_context(role("enforce", tmp_path / "web1", net["web1"]))
        web1.env["RUNTIME_DIRECTORY"] = str(tmp_path)
        web1.settle(url, '[enforcer]\nhost = "web1"')
        web1.begin("Enforcing")
        ban(log, ATTACKER, now_ms() + 3_600_000, now_ms())
        eventually(lambda: web1.elements() == {ATTACKER}, "the ban")
        eventually(lambda: f"NOTICE [sshd] Ban {ATTACKER} until=" in web1.errors, "it says so")
        other = tmp_path / "other.toml"
        other.write_text(web1.config.read_text(encoding="utf-8"), encoding="utf-8")
        assert web1.run("stop", "--config", str(other), code=3).stdout == ""
        eventually(lambda: "flushed: 1 ban is out" in say(web1, "flush"), "the flush")
        assert not has_table(web1)
        web1.settle(url, '[enforcer]\nhost = "web1"\nmost_per_minute = 100')
        assert "enforce: enforcer.most_per_minute = 100, was 30000" in say(web1, "reload")
        eventually(lambda: web1.elements() == {ATTACKER}, "the ban is back")
        assert "`enforce` (process " in say(web1, "stop")
        assert web1.process is not None
        assert web1.process.wait(10) == 0
    broker.drop(url)


def has_table(host: Role) -> bool:
    """Whether the firewall has the table."""
    assert host.host is not None
    return host.host.run(["nft", "list", "table", "inet", "banstream"], check=False).returncode == 0
