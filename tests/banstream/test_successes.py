"""What logins that succeed weigh, from lines in a log to packets that are dropped."""

from __future__ import annotations

import signal
from itertools import count

import pytest

from tests.banstream.service import Service, eventually, say
from tests.banstream.test_policies import FOUR, reaches, replays_the_same
from tests.namespaces import Fleet

NUMBERS = count(1)


def succeed(up: Service, ip: str) -> None:
    """Append a login that succeeds."""
    number = next(NUMBERS)
    up.write(f"sshd[{number}]: Accepted password for root from {ip} port {50_000 + number} ssh2")


@pytest.mark.real("nftables")
def test_who_is_known_good_fails_twice_as_often(up: Service, net: Fleet) -> None:
    """Through a kill; who is not is banned as ever, and the ban says why it took more."""
    for last in (1, 2):
        net["attacker"].add(f"{FOUR}{last}")
    up.configure('maxretry = 3\nbantime = "1h"\nknown_good = "30d"')
    up.start()
    succeed(up, f"{FOUR}1")
    up.fail(f"{FOUR}1", 3)
    eventually(lambda: len(up.events()) == 4, "read")
    up.stop(signal.SIGKILL)
    up.start()
    up.fail(f"{FOUR}2", 3)
    eventually(lambda: up.elements() == {f"{FOUR}2"}, "the other is banned")
    assert reaches(net, f"{FOUR}1")
    assert not reaches(net, f"{FOUR}2")
    assert "so far   3 of 6 in jail sshd" in say(up, "explain", f"{FOUR}1", code=1)
    up.fail(f"{FOUR}1", 3)
    eventually(lambda: up.elements() == {f"{FOUR}1", f"{FOUR}2"}, "banned")
    why = "2 times as many as usual, since a login had succeeded within 30d"
    assert why in say(up, "explain", f"{FOUR}1")
    assert "2 times as many where a login succeeded within 30d" in say(up, "status", "sshd")
    replays_the_same(up)
    assert up.stop() == 0


@pytest.mark.real("nftables")
def test_a_success_halves_what_was_counted(up: Service) -> None:
    """And says so in what is counted; a replay of the lines decides the same."""
    up.configure('maxretry = 4\nbantime = "1h"\non_success = "halve"')
    up.start()
    up.fail(f"{FOUR}1", 3)
    succeed(up, f"{FOUR}1")
    eventually(lambda: len(up.events()) == 4, "read")
    eventually(lambda: "so far   1 of 4" in say(up, "explain", f"{FOUR}1", code=1), "halved")
    up.fail(f"{FOUR}1", 3)
    eventually(lambda: up.elements() == {f"{FOUR}1"}, "banned")
    replays_the_same(up)
    assert up.stop() == 0


def test_configurations_that_are_wrong(up: Service) -> None:
    """Two words for one thing, no such word, and where nobody is known."""
    up.configure('forgive = true\non_success = "halve"')
    assert "expected on_success alone" in up.run("config", "check", "--config", str(up.config), code=2).stderr
    up.configure('on_success = "weigh"')
    told = up.run("config", "check", "--config", str(up.config), code=2).stderr
    assert "expected one of ignore, forgive, halve" in told
    up.configure('known_good = "1d"\nwindow = "fail2ban"')
    assert (
        "known_good is for failures" in up.run("config", "check", "--config", str(up.config), code=2).stderr
    )


def test_what_is_configured_is_read_back(up: Service) -> None:
    """By `config show`; the word of before is the same as the new one."""
    for jail in ("forgive = true", 'on_success = "forgive"', 'on_success = "halve"\nknown_good = "2d"', ""):
        up.configure(jail)
        (wire,) = up.json("config", "show")
        assert wire["rules"]["jails"][0]["forgive"] == ("forgive" in jail)
        up.config.write_text(say(up, "config", "show"), encoding="utf-8")
        assert up.json("config", "show")[0]["rules"] == wire["rules"]
