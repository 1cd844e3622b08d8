"""Labels from end to end: what a shipper puts on events decides which hosts enforce a ban."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from eventlog.urls import open_log
from tests.banstream.fleet import relay, role
from tests.banstream.service import eventually
from tests.broker import Cluster
from tests.namespaces import fleet

ATTACKER, ORDERED = "203.0.113.9", "203.0.113.77"
JAIL = 'filter = "sshd"\nlabels = { site = "fra" }\nmaxretry = 2\n'


@pytest.mark.real("kafka", "nftables")
def test_a_jail_with_labels_bans_on_the_hosts_it_is_for(tmp_path: Path, broker: Cluster) -> None:
    """Failures in one place ban on that place's hosts alone; an operator's ban holds on all of them."""
    url = broker.url(2)
    with ExitStack() as stack:
        net = stack.enter_context(fleet("fra", "ams"))
        stack.enter_context(relay(int(broker.address.rpartition(":")[2]), net["fra"], net["ams"]))
        worker = stack.enter_context(role("decide", tmp_path / "decide"))
        worker.settle(url, JAIL)
        worker.run("rules", "push", "--config", str(worker.config))
        worker.begin()
        log = open_log(url)
        stack.callback(log.close)
        hosts = {}
        for name in ("fra", "ams"):
            labels = f'labels = {{ site = "{name}" }}'
            enforcer = stack.enter_context(role("enforce", tmp_path / f"{name}-enforce", net[name]))
            shipper = stack.enter_context(role("ship", tmp_path / name, net[name]))
            enforcer.settle(url, f'{JAIL}[enforcer]\nhost = "{name}"\n{labels}')
            shipper.enroll(log)
            shipper.settle(url, JAIL)
            shipper.config.write_text(shipper.config.read_text().replace("[ship]", f"[ship]\n{labels}"))
            hosts[name] = enforcer
            enforcer.begin(f'labels="site={name}"')
            shipper.begin()
            shipper.fail(ATTACKER, 1 if name == "ams" else 2)
        eventually(lambda: hosts["fra"].elements() == {ATTACKER}, "the ban in fra")
        worker.run("ban", ORDERED, "--config", str(worker.config))
        eventually(lambda: hosts["fra"].elements() == {ATTACKER, ORDERED}, "the operator's ban in fra")
        eventually(lambda: ORDERED in hosts["ams"].elements(), "the operator's ban in ams")
        assert hosts["ams"].elements() == {ORDERED}
    broker.drop(url)
