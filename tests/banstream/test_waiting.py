"""A bad jail harms only itself: it waits, `status` says so, the others run; it heals when the cause goes."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest

from banstream.reading import records, rules_in_force
from producers.library import FAIL2BAN_FOLDER
from schemas.records import AuthEvent, Unban
from schemas.topics import DECISIONS, EVENTS
from tests.banstream.fleet import role
from tests.banstream.service import BANSTREAM, Service, eventually, service, stamp
from tests.banstream.test_many_filters import OWN
from tests.broker import Cluster
from tests.namespaces import fleet
from tests.streams.fleet import RULES, Fleet
from tests.streams.fleet import fleet as workers

ATTACKER, OTHER, THIRD = "203.0.113.66", "198.51.100.7", "198.51.100.99"
BROKEN = OWN.replace("[[failed]]", "[[faild]]")
F2B = "[Definition]\nfailregex = ^\\s*\\S+ old\\[\\d+\\]: turned away <HOST>$\n"
HEALS_S = 15.0


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Service]:
    """A configured service in a namespace of its own; not running yet."""
    with fleet("server") as net, service(tmp_path, net["server"]) as made:
        yield made


def own_jail(up: Service, *, more: str = "maxretry = 3", name: str = "own.toml") -> str:
    """A jail on a filter of one's own."""
    return (
        f'[jail.own]\nfilter = "{up.folder}/{name}"\nsource = "file:{up.folder}/own.log"\n'
        f'start = "beginning"\n{more}\n'
    )


def refuse(up: Service, ip: str, times: int) -> None:
    """The service of one's own writes so many lines."""
    with (up.folder / "own.log").open("a", encoding="utf-8") as log:
        log.writelines(f"{stamp()} server own[{nth}]: refused {ip}\n" for nth in range(times))


def status(up: Service) -> dict[str, Any]:
    """What `status` says."""
    (found,) = up.json("status", code=None)
    return found


def waiting(up: Service) -> dict[str, dict[str, Any]]:
    """The jails that wait, by name."""
    return {each["jail"]: each for each in status(up)["waiting_jails"]}


def reload(up: Service) -> dict[str, Any]:
    """What comes of `banstream reload`."""
    (found,) = up.json("reload", code=None)
    return found


def with_filter(folder: Path, text: str | None, mode: int = 0o600) -> None:
    """Write the filter of one's own, or take it away."""
    file = folder / "own.toml"
    if text is None:
        file.unlink(missing_ok=True)
    else:
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)


BAD: dict[str, tuple[Callable[[Service], str], str]] = {
    "missing": (lambda up: f'filter = "{up.folder}/missing.toml"\nsource = "stdin"', "missing.toml"),
    "others": (lambda up: f'filter = "{up.folder}/others.toml"\nsource = "stdin"', "cannot be trusted"),
    "regex": (lambda up: f'filter = "{up.folder}/bad.conf"\nsource = "stdin"', "bad.conf"),
    "folder": (lambda up: f'filter = "sshd"\nsource = "file:{up.folder}"', "a directory"),
    "value": (lambda _: 'filter = "dovecot"\nsource = "stdin"\nfindtime = "soon"', "expected a duration"),
    "key": (lambda _: 'filter = "postfix"\nsource = "stdin"\nfindtme = 3', "did you mean findtime?"),
    "typo": (lambda _: 'filter = "sshdd"\nsource = "stdin"', "did you mean sshd?"),
}


@pytest.mark.real("nftables")
def test_bad_jails_wait_and_the_good_one_bans(up: Service) -> None:
    """Each is named by `status` with what is wrong, and `config check` has all of it and exit code 2."""
    for name, text in (("others.toml", OWN), ("bad.conf", F2B.replace("<HOST>", "<HOST>("))):
        (up.folder / name).write_text(text, encoding="utf-8")
    (up.folder / "others.toml").chmod(0o666)
    up.configure(more="\n".join(f"[jail.{name}]\n{text(up)}" for name, (text, _) in BAD.items()))
    up.start()
    up.fail(ATTACKER, 3)
    eventually(lambda: up.elements() == {ATTACKER}, "the good jail bans")
    found = waiting(up)
    assert found.keys() == BAD.keys()
    for name, (_, said) in BAD.items():
        assert said in found[name]["said"], found[name]
        assert f"jail {name} waits, and bans nobody: " in found[name]["said"]
        assert found[name]["heals"] is (name in {"missing", "others", "regex", "folder"})
        assert f"jail {name} waits" in up.errors
    warnings = status(up)["warnings"]
    assert warnings[: len(BAD)] == [each["said"] for each in found.values()]
    (checked,) = up.json("config", "check", code=2)
    for _, said in BAD.values():
        assert any(said in problem for problem in checked["problems"])
    named = up.run("status", "value", "--config", str(up.config)).stdout
    assert named.startswith("jail value waits, and bans nobody: ")
    assert "there is no jail" in up.run("status", "nosuch", "--config", str(up.config), code=2).stderr


@pytest.mark.real("nftables")
@pytest.mark.parametrize("cause", ["missing", "wrong", "untrusted", "folder missing"])
def test_a_jail_heals_when_its_filter_is_right(up: Service, cause: str) -> None:
    """Nobody reloads anything; what was written while it waited is read."""
    before = {"missing": None, "wrong": BROKEN, "untrusted": OWN}.get(cause)
    name = "later/own.toml" if cause == "folder missing" else "own.toml"
    with_filter(up.folder, before, 0o666 if cause == "untrusted" else 0o600)
    up.configure(more=own_jail(up, name=name))
    refuse(up, ATTACKER, 3)
    up.start()
    up.fail(OTHER, 3)
    eventually(lambda: up.elements() == {OTHER}, "the good jail bans")
    found = waiting(up)
    assert found.keys() == {"own"}, found
    if cause == "folder missing":
        (up.folder / "later").mkdir(mode=0o700)
        with_filter(up.folder / "later", OWN)
    else:
        with_filter(up.folder, OWN)
    eventually(lambda: up.elements() == {OTHER, ATTACKER}, "the jail goes on", HEALS_S)
    eventually(lambda: waiting(up) == {}, "nothing waits")
    assert "A jail that waited goes on name=own" in up.errors
    assert not [each for each in status(up)["warnings"] if "jail" in each]


@pytest.mark.real("nftables")
def test_a_jail_that_heals_undoes_no_flush(up: Service) -> None:
    """The operator took every ban out; nobody but he puts them back."""
    up.configure(more=own_jail(up))
    up.start()
    up.fail(ATTACKER, 3)
    eventually(lambda: up.elements() == {ATTACKER}, "the good jail bans")
    up.run("flush", "--config", str(up.config))
    refuse(up, OTHER, 3)
    with_filter(up.folder, OWN)
    eventually(lambda: len(up.bans()) == 2, "the jail goes on", HEALS_S)
    assert waiting(up) == {}
    assert up.host is not None
    assert up.host.run(["nft", "list", "table", "inet", "banstream"], check=False).returncode != 0
    up.run("reload", "--config", str(up.config))
    assert up.elements() == {ATTACKER, OTHER}


@pytest.mark.real("nftables")
def test_a_jail_heals_when_its_source_can_be_read(up: Service) -> None:
    """A folder where a file should be is taken away."""
    bad = up.folder / "second.log"
    bad.mkdir()
    up.configure(more=f'[jail.dropbear]\nsource = "file:{bad}"\nmaxretry = 1\nfilter = "sshd"\n')
    up.start()
    assert "a directory" in waiting(up)["dropbear"]["said"]
    bad.rmdir()
    bad.touch()
    eventually(lambda: waiting(up) == {}, "it goes on", HEALS_S)
    bad.write_text(f"{stamp()} server sshd[7]: Invalid user x from {ATTACKER} port 5\n", encoding="utf-8")
    eventually(lambda: [each.jail for each in up.bans()] == ["dropbear"], "it bans")


def one_is_banned(up: Service) -> Any:
    """Start with a jail of one's own that has banned ATTACKER and counts OTHER; the rules' version."""
    with_filter(up.folder, OWN)
    up.configure(more=own_jail(up))
    up.start()
    refuse(up, ATTACKER, 3)
    refuse(up, OTHER, 2)
    eventually(lambda: up.elements() == {ATTACKER} and len(up.events()) == 5, "one is banned")
    return status(up)["rules"]


@pytest.mark.real("nftables")
@pytest.mark.parametrize("cause", ["value", "filter"])
def test_a_jail_that_a_reload_finds_wrong_goes_on_as_it_was(up: Service, cause: str) -> None:
    """Its ban stays, its failures count on, the other jail is new; put right, nothing was lost."""
    version = one_is_banned(up)
    if cause == "filter":
        with_filter(up.folder, BROKEN)
    up.configure(
        "maxretry = 1", more=own_jail(up, more='maxretry = "x"' if cause == "value" else "maxretry = 3")
    )
    done = up.run("reload", "--config", str(up.config), code=1).stdout
    assert "jail sshd: maxretry = 1, was 3" in done
    assert "jail own goes on as it was before (rules " in done
    assert "jail own is gone" not in done
    up.fail("192.0.2.9")
    refuse(up, OTHER, 1)
    eventually(lambda: up.elements() == {ATTACKER, OTHER, "192.0.2.9"}, "both count on")
    found = waiting(up)["own"]
    assert (found["keeps"], found["heals"]) == (True, cause == "filter")
    assert status(up)["rules"] != version
    assert f"(rules {status(up)['rules']} have its last good ones)" in found["said"]
    assert not [each for each in status(up)["warnings"] if "other rules" in each]
    with_filter(up.folder, OWN)
    up.configure("maxretry = 1", more=own_jail(up))
    if cause == "value":
        assert reload(up)["waiting"] == []
    eventually(lambda: waiting(up) == {}, "it is well again", HEALS_S)
    assert up.elements() == {ATTACKER, OTHER, "192.0.2.9"}
    assert [each for each in up.kept(DECISIONS) if isinstance(each, Unban)] == []


@pytest.mark.real("nftables")
def test_after_a_restart_nothing_of_a_jail_that_waits_is_lost(up: Service) -> None:
    """Its ban stays, its failures wait for the next, and what is written meanwhile is read in the end."""
    version = one_is_banned(up)
    up.stop()
    with_filter(up.folder, None)
    up.start()
    assert status(up)["rules"] == version
    assert "what it counted and banned stays, and nothing is read for it" in waiting(up)["own"]["said"]
    refuse(up, OTHER, 1)
    up.fail(THIRD, 3)
    eventually(lambda: up.elements() == {ATTACKER, THIRD}, "the good jail bans")
    with_filter(up.folder, OWN)
    eventually(lambda: up.elements() == {ATTACKER, OTHER, THIRD}, "the third failure counts", HEALS_S)
    assert status(up)["rules"] == version


@pytest.mark.real("nftables")
def test_after_a_restart_a_jail_with_a_wrong_value_counts_by_its_last_good_rules(up: Service) -> None:
    """Its filter and its source are right: it is read on."""
    with_filter(up.folder, OWN)
    up.configure(more=own_jail(up))
    up.start()
    refuse(up, OTHER, 2)
    eventually(lambda: len(up.events()) == 2, "both are counted")
    up.stop(signal.SIGKILL)
    up.configure(more=own_jail(up, more="maxretry = 0"))
    up.start()
    refuse(up, OTHER, 1)
    eventually(lambda: up.elements() == {OTHER}, "the third failure bans")
    assert "jail own goes on as it was before" in waiting(up)["own"]["said"]


@pytest.mark.real("nftables")
def test_with_no_jail_left_up_starts_where_one_can_heal(up: Service) -> None:
    """It says loudly that nothing is protected, and protects as soon as the filter is there."""
    up.configure()
    url = up.config.read_text(encoding="utf-8").partition("[jail")[0]
    up.config.write_text(url + own_jail(up), encoding="utf-8")
    up.start()
    assert "NOTHING IS PROTECTED: every jail waits jails=1" in up.errors
    assert "NOTHING IS PROTECTED: every jail waits" in status(up)["warnings"]
    with_filter(up.folder, OWN)
    refuse(up, ATTACKER, 3)
    eventually(lambda: up.elements() == {ATTACKER}, "it bans", HEALS_S)
    assert not [each for each in status(up)["warnings"] if "PROTECTED" in each]


def test_a_configuration_of_nothing_but_wrong_values_is_refused(tmp_path: Path) -> None:
    """Nothing will put it right but its writer: exit code 2, with every problem."""
    with service(tmp_path) as made:
        made.configure("maxretri = 3", more='[jail.mail]\nfilter = "dovecott"\nsource = "stdin"\n')
        said = made.run("up", "--config", str(made.config), code=2).stderr
        assert "did you mean maxretry?" in said
        assert "did you mean dovecot?" in said


@pytest.mark.parametrize(
    "more", ["[enforcr]\n", '[defaults]\nfindtime = "soon"\n', "[jail\n", '[log]\nmax_size = "x"\n']
)
def test_what_is_wrong_outside_of_jails_is_refused_as_ever(tmp_path: Path, more: str) -> None:
    """It is everybody's."""
    with service(tmp_path) as made:
        made.configure(more="")
        made.config.write_text(made.config.read_text().replace("[enforcer]\n", "") + more, encoding="utf-8")
        made.run("up", "--config", str(made.config), code=2)


def stock_jails() -> list[str]:
    """The jails that fail2ban's own configuration on this machine knows."""
    parser = RawConfigParser(strict=False)
    parser.read(FAIL2BAN_FOLDER.parent / "jail.conf", encoding="utf-8")
    return [name for name in parser.sections() if name not in {"INCLUDES", "DEFAULT"}]


@pytest.mark.real("nftables")
@pytest.mark.skipif(not FAIL2BAN_FOLDER.is_dir(), reason="fail2ban's configuration is not installed")
def test_up_starts_with_all_jails_of_a_stock_fail2ban_and_none_of_their_services(up: Service) -> None:
    """Each with the filter of its name and a log that is not there; those without a filter wait."""
    jails = stock_jails()
    assert len(jails) > 60
    up.configure(
        more="\n".join(
            f'[jail."{name}"]\nfilter = "{name}[]"\nsource = "file:{up.folder}/absent/{name}.log"\n'
            for name in jails
            if name != "sshd"
        )
    )
    up.start()
    up.fail(ATTACKER, 3)
    eventually(lambda: up.elements() == {ATTACKER}, "the one service there is is protected")
    found = waiting(up)
    ready = [name for name in jails if name not in found]
    assert len(ready) > 60, found
    assert all(not (FAIL2BAN_FOLDER / f"{name}.conf").exists() for name in found), found
    assert up.errors.count("no such file yet") == len(ready) - ("sshd" in ready)


def addresses(made: Fleet) -> list[str]:
    """Who failed, of every event in the fleet's log."""
    return [each.record.ip for each in records(made.log, EVENTS.name) if isinstance(each.record, AuthEvent)]


@pytest.mark.real("kafka")
def test_a_shipper_ships_for_good_jails_and_heals_and_no_worker_leaves_one_out(
    broker: Cluster, tmp_path: Path
) -> None:
    """A worker without rules waits rather than put rules in force that lack a jail; a push is refused."""
    url = broker.url(1)
    with role("ship", tmp_path / "web1") as ship, workers(url, tmp_path) as made:
        own = own_jail(ship)
        ship.settle(url, more=own)
        ship.begin("Shipping spool=")
        assert "jail own waits, and bans nobody" in ship.errors
        ship.fail(ATTACKER, 1)
        eventually(lambda: addresses(made) == [ATTACKER], "the good jail's events come")
        (said,) = ship.json("status")
        assert [each["jail"] for each in said["waiting_jails"]] == ["own"]
        with_filter(ship.folder, OWN)
        refuse(ship, OTHER, 1)
        eventually(lambda: addresses(made) == [ATTACKER, OTHER], "it heals", HEALS_S)
        (said,) = ship.json("status")
        assert said["waiting_jails"] == []
        ship.stop()
        ship.settle(url, more=f'maxretry = "x"\n{own}')
        ship.begin("Shipping spool=")
        assert "jail sshd is read, and counted by the rules in force: " in ship.errors
        ship.fail(THIRD, 1)
        eventually(lambda: addresses(made) == [ATTACKER, OTHER, THIRD], "its events come all the same")
        bad = '\n[jail.dovecot]\nfilter = "dovecot"\nfindtime = "soon"\n'
        made.configure(RULES + bad)
        made.start()
        eventually(lambda: "those of this configuration would lack jails" in made.said, "the worker waits")
        assert "A jail is wrong, and the rules in force are followed all the same" in made.said
        pushing = [*BANSTREAM, "rules", "push", "--config", str(tmp_path / "banstream.toml")]
        pushed = subprocess.run(pushing, capture_output=True, text=True, check=False)
        assert (pushed.returncode, "findtime" in pushed.stderr) == (2, True)
        assert rules_in_force(made.log) is None
        made.configure(RULES)
        assert subprocess.run(pushing, capture_output=True, check=False).returncode == 0
        made.configure(RULES + bad)
        made.governed()
        eventually(made.all_folded, "the worker follows the rules in force")
