"""A million addresses that fail once each: memory stays within the limit set, attackers are still banned."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FLOOD = """
import json, resource, sys
from schemas.behaviours import Behaviour
from schemas.rules import Escalation, Increment, Jail, Rules
from streams.decider import Decider
from streams.runs import Columns, Run
from streams.window import reference

COUNT, LIMIT, FRAME, EVERY = int(sys.argv[2]), int(sys.argv[3]), 1_000, 2_000
START_MS = 1_795_000_000_000
more = {} if sys.argv[1] == "plain" else dict(
    increment=Increment(), escalate=Escalation(), behaviour=Behaviour(), ipv6_prefix=64
)
jail = Jail(name="sshd", filters=("sshd",), findtime_ms=600_000, maxretry=5, **more)
decider = Decider(Rules(jails=(jail,), max_subjects=LIMIT), tracking=True)
attackers = [f"192.0.2.{n}" for n in range(9)]


def rss_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024


def fold(offset, ips, at_ms):
    rows = Columns(["failed"] * len(ips), [at_ms] * len(ips), ips, range(len(ips)))
    found = decider.fold(Run(reference(offset), "sshd", rows), lambda index: None)
    decider.touched.clear()  # as a checkpoint does
    return [each.prefix for each in found if each.TYPE == "ban"]


before, banned = rss_mb(), []
for frame in range(COUNT // FRAME):
    first = frame * FRAME
    ips = [f"2001:db8:{n >> 16:x}:{n & 0xffff:x}::1" for n in range(first, first + FRAME)]
    if first % EVERY == 0:
        ips += attackers
    banned += fold(frame, ips, START_MS + frame * 50)
jail = decider.jails["sshd"]
print(json.dumps({
    "banned": sorted(set(banned)), "failing": jail.failing, "dropped": jail.dropped,
    "failures": jail.failures, "mb": rss_mb() - before,
}))
"""


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("policies", "count", "limit", "most_mb"),
    [("plain", 1_000_000, 100_000, 60), ("policies", 50_000, 10_000, 60)],
)
def test_a_flood_costs_no_more_than_the_limit_allows(
    policies: str, count: int, limit: int, most_mb: int
) -> None:
    """Who goes on failing within the flood is kept; who was dropped is counted, to the last."""
    command = [sys.executable, "-c", FLOOD, policies, str(count), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    attackers = {f"192.0.2.{n}" for n in range(9)}
    assert attackers - set(told["banned"]) == (set() if policies == "plain" else {"192.0.2.8"})
    assert ("192.0.2.0/24" in told["banned"]) == (policies != "plain"), "the eighth bans the network"
    assert not [each for each in told["banned"] if ":" in each]
    assert told["failing"] <= limit
    assert told["failures"] == count + 9 * (count // 2_000)
    assert told["dropped"] + told["failing"] >= count
    assert told["dropped"] >= count - limit
    assert told["mb"] < most_mb, told
