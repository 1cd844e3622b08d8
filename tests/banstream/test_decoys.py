"""Decoy users: from a line in a log to packets that are dropped, replayed, and in a fleet through kills."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from banstream.config import load_settings
from schemas.errors import ConfigError
from schemas.records import Ban
from tests.banstream.service import eventually, service
from tests.broker import Cluster
from tests.namespaces import fleet as hosts
from tests.streams.fleet import RULES, fleet, now_ms
from tests.streams.folding import failure

ATTACKER, OTHER = "203.0.113.66", "198.51.100.7"
DECOYS = 'decoy_users = ["admin", "oracle"]'


@pytest.mark.real("nftables")
def test_a_decoy_bans_at_once(tmp_path: Path) -> None:
    """His packets are dropped; `explain` says the decoy; a kill and a replay change nothing."""
    with hosts("server", "attacker") as net, service(tmp_path, net["server"]) as up:
        net["attacker"].add(ATTACKER)
        up.configure(f"maxretry = 3\n{DECOYS}")
        up.start()
        up.fail(OTHER, 1, "root")
        up.fail(OTHER, 1, "Admin")
        assert net["attacker"].reaches(net["server"].ip4, source=ATTACKER)
        up.fail(ATTACKER, 1, "admin")
        eventually(lambda: up.elements() == {ATTACKER}, "banned at once")
        assert not net["attacker"].reaches(net["server"].ip4, source=ATTACKER)
        up.stop(signal.SIGKILL)
        up.start()
        up.fail(ATTACKER, 1, "oracle")
        up.fail(OTHER, 1, "invalid user oracle")
        eventually(lambda: up.elements() == {ATTACKER, OTHER}, "banned at once")
        config = ("--config", str(up.config))
        explained = up.run("explain", ATTACKER, *config).stdout
        assert '  and      decoy user "admin"' in explained
        assert "Failed password for admin from" in explained
        assert f"[sshd] Ban {OTHER} failures=1 " in up.errors
        assert up.errors.count("decoy user") == 2
        bans = [(each.prefix, each.at_ms, each.why, each.count) for each in up.bans()]
        assert [(prefix, why, count) for prefix, _, why, count in bans] == [
            (ATTACKER, 'decoy user "admin"', 1),
            (OTHER, 'decoy user "oracle"', 1),
        ]
        for where in ((str(up.log),), ("--since", "1h")):
            replayed = [each for each in up.json("replay", *where) if each["kind"] == "ban"]
            assert [(each["prefix"], each["at_ms"], each["why"], each["count"]) for each in replayed] == bans


def test_files_of_several_services_replay_their_decoys(tmp_path: Path) -> None:
    """In the order of their times, whichever file holds them; a jail without decoys counts them, too."""
    with service(tmp_path) as made:
        made.configure(
            DECOYS, more=f'[jail.dropbear]\nsource = "file:{tmp_path}/b.log"\nmaxretry = 1\nfilter = "sshd"\n'
        )
        made.fail(ATTACKER, 1, "admin")
        made.fail(OTHER, 1, "root")
        (tmp_path / "b.log").write_text(made.log.read_text(encoding="utf-8"), encoding="utf-8")
        found = made.json("replay", str(made.log), str(tmp_path / "b.log"))
        told = {(each["prefix"], each["jail"], each.get("why")) for each in found if each["kind"] == "ban"}
        assert told == {
            (ATTACKER, "sshd", 'decoy user "admin"'),
            (ATTACKER, "dropbear", None),
            (OTHER, "dropbear", None),
        }


@pytest.mark.real("kafka")
def test_a_fleet_bans_for_decoys_exactly_once(broker: Cluster, tmp_path: Path) -> None:
    """Through a kill of its worker: as a plain fold of the log says."""
    with fleet(broker.url(2), tmp_path) as made:
        made.configure(RULES + DECOYS)
        worker = made.start()
        made.governed()
        ips = [f"203.0.{net}.{last}" for net in range(8) for last in range(5)]
        at_ms = now_ms()
        made.send([[failure(ip, at_ms, nth, user="admin")] for nth, ip in enumerate(ips[:20])])
        eventually(lambda: len(made.decisions()) >= 5, "some are banned", 60)
        worker.kill()
        made.send(
            [
                [
                    failure(ip, at_ms, 100 + 2 * nth + n, user=user)
                    for n, user in enumerate(("oracle", "root"))
                ]
                for nth, ip in enumerate(ips)
            ]
        )
        made.start()
        made.settled()
        bans = [each for each in made.decisions() if isinstance(each, Ban)]
        assert sorted(each.prefix for each in bans) == sorted(ips)
        assert {each.why for each in bans} == {'decoy user "admin"', 'decoy user "oracle"'}


def test_decoys_of_the_defaults_are_every_jails(tmp_path: Path) -> None:
    """Unless a jail says others, or none; what is no list of names is refused."""
    file = tmp_path / "banstream.toml"
    jails = '[jail.sshd]\nsource = "stdin"\n[jail.dovecot]\nsource = "stdin"\ndecoy_users = []\n'
    file.write_text(f"[defaults]\n{DECOYS}\n{jails}", encoding="utf-8")
    sshd, dovecot = load_settings(str(file)).jails
    assert (sshd.rules.decoy_users, dovecot.rules.decoy_users) == (("admin", "oracle"), ())
    for wrong in ("3", "[3]", '[""]', f'["{"x" * 300}"]'):
        file.write_text(f"{jails}[defaults]\ndecoy_users = {wrong}\n", encoding="utf-8")
        with pytest.raises(ConfigError, match=r"defaults\.decoy_users = "):
            load_settings(str(file))
