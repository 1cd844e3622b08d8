"""A list of whom to ban that is pushed once: every host's firewall follows it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from banstream.instants import now_ms
from eventlog.kafka.log import KafkaLog
from tests.banstream.fleet import ban, relay, role
from tests.banstream.service import eventually
from tests.broker import Broker
from tests.namespaces import fleet

pytestmark = pytest.mark.real("kafka", "nftables")
FOE, FRIEND, GUESSER = "203.0.113.9", "203.0.113.10", "203.0.113.11"


def test_every_enforcer_follows_a_list(tmp_path: Path) -> None:
    """What is pushed, changed and retired holds on two hosts, but for whom one never bans."""
    drop = tmp_path / "drop"
    drop.write_text("203.0.113.0/28\n")
    with (
        Broker(tmp_path / "broker") as broker,
        fleet("one", "two", "outside") as net,
        role("enforce", tmp_path / "one", net["one"]) as one,
        role("enforce", tmp_path / "two", net["two"]) as two,
        relay(broker.ports["INTERNAL"], net["one"], net["two"]),
    ):
        url = broker.url(2, timeout="3s")
        for ip in (FOE, FRIEND, GUESSER):
            net["outside"].add(ip)

        def passing(host: str) -> set[str]:
            reaches = net["outside"].reaches
            ips = (FOE, FRIEND, GUESSER)
            return {ip for ip in ips if reaches(net[host].ip4, source=ip, within_s=0.2)}

        with closing(KafkaLog.open(url)) as log:
            listed = f'[list.drop]\nfrom = "file:{drop}"\naction = "ban"\n'
            one.settle(url, f'[enforcer]\nhost = "one"\n{listed}')
            two.settle(url, f'[enforcer]\nhost = "two"\nnever_ban = ["{FRIEND}"]')
            one.begin("Enforcing")
            pushed = one.json("lists", "push")
            assert pushed[0]["changed"] == ["ban:drop"]
            two.begin("Enforcing")
            eventually(lambda: passing("one") == set(), "all are dropped on one")
            eventually(lambda: passing("two") == {FRIEND}, "on two all but whom it never bans")

            two.kill()
            drop.write_text(f"{FOE}\n")
            assert one.json("lists", "push")[0]["changed"] == ["ban:drop"]
            eventually(lambda: passing("one") == {FRIEND, GUESSER}, "the change holds")
            assert passing("two") == {FRIEND}
            two.begin("Enforcing")
            eventually(lambda: passing("two") == {FRIEND, GUESSER}, "also after a restart")
            ban(log, GUESSER, now_ms() + 3_600_000, now_ms())
            eventually(lambda: passing("two") == {FRIEND}, "bans are followed besides")
            said = one.json("explain", FOE, code=None)
            assert said[0]["about"]["listed"][0]["name"] == "drop", json.dumps(said)

            one.settle(url, '[enforcer]\nhost = "one"')
            assert one.json("lists", "push")[0]["changed"] == ["ban:drop"]
            eventually(lambda: passing("one") == passing("two") == {FOE, FRIEND}, "it is lifted")
