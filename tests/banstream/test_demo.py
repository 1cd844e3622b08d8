"""The demonstration: the whole story, and nothing of the machine is touched."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.banstream.service import Service
from tests.banstream.test_trouble import AS_NOBODY, NOBODY
from tests.namespaces import fleet

RULESET = """
table inet banstream {
    set v4_32 { type ipv4_addr; flags timeout; elements = { 192.0.2.7 } }
    chain prerouting { type filter hook prerouting priority -310; ip saddr @v4_32 drop; }
}
"""
STORY = (
    "Failed password for root from 203.0.113.66",
    "BAN       203.0.113.66  sshd",
    "rule     sshd: 3 failures within 10m ban for 3s",
    "UNBAN     203.0.113.66  sshd  expired",
    "added    198.51.100.7  sshd  banned 0 times, then 1",
    "1 more would be banned, 0 no longer, ",
)
LONGEST_S = 15.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for temporary files."""
    made = Path(mkdtemp(prefix="banstream-test-demo-"))
    try:
        yield made
    finally:
        shutil.rmtree(made)


@pytest.mark.real("nftables")
@pytest.mark.parametrize("root", [True, False])
def test_the_demonstration_tells_its_story_and_touches_nothing(folder: Path, *, root: bool) -> None:
    """Ban, explain, unban and diff within 15 s, as root and as nobody; the ruleset outside stays."""
    with fleet("machine") as net:
        machine = net["machine"]
        machine.run(["nft", "-f", "-"], input=RULESET)
        before = machine.run(["nft", "list", "ruleset"]).stdout
        demo = Service(folder, machine, prefix=() if root else AS_NOBODY)
        demo.env["TMPDIR"] = str(folder)
        if not root:
            os.chown(folder, NOBODY, NOBODY)
        begun = time.monotonic()
        done = demo.run("demo")
        assert time.monotonic() - begun < LONGEST_S
        assert machine.run(["nft", "list", "ruleset"]).stdout == before
    places = [done.stdout.find(told) for told in STORY]
    assert -1 not in places
    assert places == sorted(places)
    if root:
        assert "Firewall: nftables, in a network namespace." in done.stdout
        assert "nftables ban applied" in done.stdout
        assert "nftables unban applied" in done.stdout
    else:
        assert "Firewall: none; root sees nftables" in done.stdout
        assert "null ban skipped: observing only" in done.stdout
    assert list(folder.iterdir()) == []
    assert done.stderr.count("\n") == 1
