"""Places, from lines in a log and files of who is where to packets that are dropped."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.banstream.service import Service, eventually, say
from tests.banstream.test_policies import reaches, replays_the_same
from tests.mmdb import write_countries, write_systems
from tests.namespaces import Fleet

HERE, ELSEWHERE, NOWHERE = "203.0.113.7", "198.51.100.7", "192.0.2.7"
WHERE = 'maxretry = 2\nbantime = "1h"\nwhere = { country = ["XA"] }'


def places(folder: Path) -> str:
    """The table that names the files of a folder."""
    return f'[places]\ncountry = "{folder}/c.mmdb"\nasn = "{folder}/a.mmdb"'


@pytest.mark.real("nftables")
def test_a_jail_bans_those_from_one_country_alone(up: Service, net: Fleet) -> None:
    """Through a kill; all that shows a ban says from where it was, and a replay of log and lines agrees."""
    write_countries(up.folder / "c.mmdb")
    write_systems(up.folder / "a.mmdb")
    for ip in (HERE, ELSEWHERE):
        net["attacker"].add(ip)
    up.configure(WHERE, more=places(up.folder))
    up.start()
    for ip in (HERE, ELSEWHERE, NOWHERE):
        up.fail(ip)
    eventually(lambda: len(up.events()) == 3, "read")
    up.stop(signal.SIGKILL)
    up.start()
    for ip in (ELSEWHERE, NOWHERE, HERE):
        up.fail(ip)
    eventually(lambda: up.elements() == {HERE}, "banned")
    assert not reaches(net, HERE)
    assert reaches(net, ELSEWHERE)
    (ban,) = up.bans()
    assert (ban.country, ban.asn, ban.as_name) == ("XA", 64_500, "Example Networks")
    assert up.json("bans")[0]["holds"][0]["asn"] == 64_500
    assert "XA AS64500 Example Networks" in say(up, "bans")
    assert "XA AS64500 Example Networks" in say(up, "events", HERE)
    assert up.json("events", HERE)[0]["country"] == "XA"
    told = say(up, "explain", HERE)
    assert "2 failures from XA within 10m ban for 1h" in told
    assert "2 failures  XA AS64500 Example Networks" in told
    assert "2 failures from XA within 10m" in say(up, "status", "sshd")
    assert f"[sshd] Ban {HERE} failures=2 within=10m country=XA asn=64500" in up.errors
    for ip, place in ((ELSEWHERE, "XB"), (NOWHERE, "nobody knows where")):
        told = say(up, "explain", ip, code=1)
        assert f"jail sshd takes only what is from XA, and they are from {place}" in told
    replays_the_same(up)
    assert [each["prefix"] for each in up.json("replay", "--since", "1h") if each["kind"] == "ban"] == [HERE]
    assert up.stop() == 0


@pytest.mark.real("nftables")
def test_who_has_no_such_file_waits_alone(up: Service) -> None:
    """A jail that asks for places, until the file is there; the other bans, and both are told of."""
    other = f'[jail.plain]\nfilter = "sshd"\nsource = "file:{up.log}"\nstart = "beginning"\nmaxretry = 3'
    up.configure(WHERE, more=f"{other}\n{places(up.folder)}")
    write_systems(up.folder / "a.mmdb")
    up.start()
    up.fail(ELSEWHERE, 3)
    eventually(lambda: up.elements() == {ELSEWHERE}, "the other jail bans")
    told = say(up, "status")
    assert "jail sshd waits, and bans nobody" in told
    assert f"{up.folder}/c.mmdb: cannot be read: No such file or directory" in told
    write_countries(up.folder / "c.mmdb")
    eventually(lambda: "jail sshd waits" not in say(up, "status"), "it goes on")
    up.fail(HERE, 2)
    eventually(lambda: up.elements() == {ELSEWHERE, HERE}, "it bans")
    (_, ban) = up.bans()
    assert (ban.jail, ban.country) == ("sshd", "XA")
    write_countries(up.folder / "c.mmdb", {"192.0.2.0/24": "XA"})
    eventually(lambda: _banned_after_failing(up), "what geoipupdate has put there counts", within_s=60)
    assert up.stop() == 0


def _banned_after_failing(up: Service) -> bool:
    up.fail(NOWHERE, 1)
    eventually(lambda: up.events()[-1].ip == NOWHERE, "read")
    return up.events()[-1].country == "XA"


def test_configurations_that_are_wrong(up: Service) -> None:
    """What is no country, no system, not configured, or no database, with the key and what to do."""
    up.configure('where = { country = ["Germany"] }\nunless = { asn = "seven", city = "x" }')
    told = up.run("config", "check", "--config", str(up.config), code=2).stderr
    assert 'jail.sshd.where.country = ["Germany"]: expected ISO 3166-1 codes of two letters' in told
    assert 'jail.sshd.unless.asn = "seven": expected numbers of autonomous systems' in told
    assert "jail.sshd.unless.city" in told
    up.configure('unless = { asn = "AS64500" }')
    told = up.run("config", "check", "--config", str(up.config), code=2).stderr
    assert (
        'jail.sshd.unless = "asn": expected a file that knows autonomous systems, too: [places] asn' in told
    )
    (up.folder / "a.mmdb").write_text("none", encoding="utf-8")
    up.configure('unless = { asn = "AS64500" }', more=places(up.folder))
    told = up.run("config", "check", "--config", str(up.config), code=2).stderr
    assert f"{up.folder}/a.mmdb: not a database in MaxMind's format" in told


def test_what_is_configured_is_shown_and_read_back(up: Service) -> None:
    """By `config show`, whose output is a configuration."""
    write_countries(up.folder / "c.mmdb")
    write_systems(up.folder / "a.mmdb")
    steps = (
        '[[jail.sshd.step]]\nmaxretry = 2\nwhere = { country = "xa" }\n'
        '[[jail.sshd.step]]\nmaxretry = 4\nunless = { asn = [64500, "AS64501"] }'
    )
    up.configure('unless = { country = ["XB"] }', more=f"{steps}\n{places(up.folder)}")
    shown, (wire,) = say(up, "config", "show"), up.json("config", "show")
    assert wire["places"] == {"country": f"{up.folder}/c.mmdb", "asn": f"{up.folder}/a.mmdb"}
    up.config.write_text(shown, encoding="utf-8")
    assert up.json("config", "show")[0]["rules"] == wire["rules"]
    (jail,) = wire["rules"]["jails"]
    assert jail["first_scope"]["where"]["country"] == ["XA"]
    assert jail["steps"][0]["scope"]["unless"]["asn"] == [64_500, 64_501]
