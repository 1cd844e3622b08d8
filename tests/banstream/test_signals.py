"""SIGTERM, SIGINT and SIGHUP, and what `up` says at its start."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.records import Enforcement
from schemas.topics import ENFORCEMENTS
from tests.banstream.service import Service, eventually, service
from tests.namespaces import fleet

pytestmark = pytest.mark.real("nftables")

ATTACKER, OTHER = "203.0.113.66", "198.51.100.7"
STOP_S = 2.0


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Service]:
    """A configured service in a namespace of its own; not running yet."""
    with fleet("server") as net, service(tmp_path, net["server"]) as made:
        yield made


def ban(up: Service, *addresses: str) -> None:
    """Fail until these are banned, too."""
    for ip in addresses:
        up.fail(ip, 3)
    eventually(lambda: up.elements() >= set(addresses), f"bans of {addresses}")


def ruleset(up: Service) -> list[dict[str, Any]]:
    """The namespace's ruleset, without the time that each element has left."""
    assert up.host is not None

    def still(found: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in found.items() if key != "expires"}

    listed = up.host.run(["nft", "-j", "list", "ruleset"]).stdout
    found: dict[str, Any] = json.loads(listed, object_hook=still)
    return [each for each in found["nftables"] if "metainfo" not in each]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_clean_and_leaves_the_bans_in_place(up: Service, number: signal.Signals) -> None:
    """Exit code 0 within two seconds; the firewall is as it was."""
    up.start()
    ban(up, ATTACKER)
    before = ruleset(up)
    begun = time.monotonic()
    assert up.stop(number) == 0
    assert time.monotonic() - begun < STOP_S
    assert ruleset(up) == before
    assert "Traceback" not in up.errors


def test_a_stop_takes_the_bans_out_where_that_is_wanted(up: Service) -> None:
    """With keep_on_stop = false nothing of ours stays in the firewall; the next start puts it back."""
    up.configure(enforcer="keep_on_stop = false")
    up.start()
    ban(up, ATTACKER)
    begun = time.monotonic()
    assert up.stop() == 0
    assert time.monotonic() - begun < STOP_S
    assert ruleset(up) == []
    up.start()
    assert up.elements() == {ATTACKER}


def test_a_restart_changes_nothing_that_is_right(up: Service) -> None:
    """The firewall holds the same under the same handles, and no enforcement is recorded again."""
    up.configure("maxretry = 3\nipv6_prefix = 128")
    up.start()
    ban(up, ATTACKER, OTHER, "2001:db8::66")
    eventually(lambda: len(up.kept(ENFORCEMENTS)) == 3, "each recorded")
    before = ruleset(up)
    for _ in range(2):
        assert up.stop() == 0
        up.start()
        assert ruleset(up) == before
    up.fail("192.0.2.1", 3)
    eventually(lambda: "192.0.2.1" in up.elements(), "it goes on")
    assert up.elements() == {ATTACKER, OTHER, "2001:db8::66", "192.0.2.1"}
    recorded = [each.prefix for each in up.kept(ENFORCEMENTS) if isinstance(each, Enforcement)]
    assert sorted(recorded) == sorted(up.elements())


def test_a_hang_up_takes_new_rules(up: Service) -> None:
    """A lower maxretry bans on the next failure; who is banned stays so; never_ban holds."""
    up.configure("maxretry = 5")
    up.start()
    up.fail(ATTACKER, 5)
    up.fail(OTHER, 2)
    eventually(lambda: up.elements() == {ATTACKER} and len(up.events()) == 7, "five failures ban")
    up.configure("maxretry = 3", enforcer='never_ban = ["192.0.2.0/24"]')
    up.send(signal.SIGHUP)
    eventually(lambda: "Configuration reloaded" in up.errors, "the new rules are taken")
    assert up.elements() == {ATTACKER}
    up.fail(OTHER)
    eventually(lambda: up.elements() == {ATTACKER, OTHER}, "the third failure bans")
    up.fail("192.0.2.1", 3)
    eventually(lambda: len(up.bans()) == 3, "the third ban is decided")
    eventually(lambda: outcomes(up, "192.0.2.1") == ["refused"], "and refused")
    assert up.elements() == {ATTACKER, OTHER}


def outcomes(up: Service, prefix: str) -> list[str]:
    """What the enforcer recorded about a prefix."""
    recorded = [each for each in up.kept(ENFORCEMENTS) if isinstance(each, Enforcement)]
    return [each.outcome for each in recorded if each.prefix == prefix]


def test_a_hang_up_during_the_start_waits_for_its_end(up: Service) -> None:
    """It does not end `up`, as SIGHUP does by default; the rules are read anew once it runs."""
    claim = up.folder / "state" / "log.db.up.lock"
    up.start(ready=False)
    while not claim.exists():
        assert up.process is not None
        assert up.process.poll() is None
    up.send(signal.SIGHUP)
    eventually(lambda: "Configuration reloaded" in up.errors, "the rules are read anew")


def test_a_hang_up_follows_new_sources_and_lets_old_ones_go(up: Service) -> None:
    """After a reload the new file is read from its beginning, the old one no more."""
    up.start()
    second = Service(up.folder / "second", up.host)
    second.folder.mkdir()
    second.fail(OTHER, 3)
    up.configure(source=f"file:{second.log}")
    up.send(signal.SIGHUP)
    eventually(lambda: up.elements() == {OTHER}, "the new file is read")
    up.fail(ATTACKER, 3)
    second.fail("192.0.2.1", 3)
    eventually(lambda: up.elements() == {OTHER, "192.0.2.1"}, "the new file is followed")
    assert len(up.events()) == 6


BAD: dict[str, tuple[str, str, str]] = {
    "key": ("maxretry", "maxretri", "jail.sshd.maxretri = 3: expected no such key here"),
    "syntax": ("[jail.sshd]", "[jail.sshd", "not TOML"),
    "url": (
        "log.db",
        "other.db",
        "log.url, enforcer.backend, enforcer.host and metrics.listen change only",
    ),
    "backend": ("[enforcer]", '[enforcer]\nbackend = "null"', "change only with a restart"),
    "absent": ("", "", "No such file or directory"),
}


@pytest.mark.parametrize("mistake", BAD)
def test_a_bad_configuration_is_refused_and_the_old_one_goes_on(up: Service, mistake: str) -> None:
    """The problem is named on stderr, nothing changes, and the next hang-up may be right again."""
    right, wrong, said = BAD[mistake]
    up.start()
    good = up.config.read_text(encoding="utf-8")
    if right:
        up.config.write_text(good.replace(right, wrong), encoding="utf-8")
    else:
        up.config.unlink()
    up.send(signal.SIGHUP)
    eventually(lambda: "Configuration refused" in up.errors, "it is refused")
    refusal = next(line for line in up.errors.splitlines() if "Configuration refused" in line)
    assert said in refusal
    assert "ERROR" in refusal
    ban(up, ATTACKER)
    up.config.write_text(good.replace("maxretry = 3", "maxretry = 1"), encoding="utf-8")
    up.send(signal.SIGHUP)
    eventually(lambda: "Configuration reloaded" in up.errors, "the corrected one is taken")
    up.fail(OTHER)
    eventually(lambda: OTHER in up.elements(), "one failure bans now")


def test_up_says_what_it_does(up: Service) -> None:
    """Configuration, sources, jails, the never banned and the firewall, one line each; --quiet is silent."""
    assert up.host is not None
    up.configure(enforcer='never_ban = ["192.0.2.0/24"]')
    up.start()
    said = [line.partition("INFO ")[2] for line in up.errors.splitlines()]
    assert said[0] == f"Configuration files={up.config} log=sqlite://{up.folder}/state/log.db"
    assert said[1].startswith(f'Watching source="file:{up.log} with filter sshd')
    assert said[2] == (
        "Jail name=sshd filter=sshd counts=failed maxretry=3 findtime=10m bantime=10m "
        "ignoreip=127.0.0.0/8,::1"
    )
    assert said[3].startswith('Never banned prefixes="')
    for network in (f"{up.host.ip4} (own address)", "192.0.2.0/24 (operator)"):
        assert network in said[3]
    assert "loopback" not in said[3]
    assert "127." not in said[3]
    assert len(said[3]) < 160
    assert said[4:] == ["Enforcing backend=nftables in_force=0"]
