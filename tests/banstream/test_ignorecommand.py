"""A command that is asked whom to spare, from lines in a log to packets that are dropped."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.banstream.service import Service, eventually, say
from tests.banstream.test_policies import FOUR, reaches, replays_the_same
from tests.namespaces import Fleet


def program(folder: Path, text: str, mode: int = 0o755) -> Path:
    """A command that writes down each address it is asked for."""
    path = folder / "ours"
    path.write_text(f'#!/bin/sh\necho "$1" >> {folder}/asked\n{text}\n', encoding="utf-8")
    path.chmod(mode)
    return path


@pytest.mark.real("nftables")
def test_whom_a_command_spares_is_not_banned(up: Service, net: Fleet) -> None:
    """Through a kill; it is asked once for an address, and its answer is in the log: a replay asks nobody."""
    for last in (1, 2):
        net["attacker"].add(f"{FOUR}{last}")
    ours = program(up.folder, f'test "$1" = {FOUR}1')
    up.configure(f'maxretry = 3\nbantime = "1h"\nignorecommand = ["{ours}", "<ip>"]')
    up.start()
    for last in (1, 2):
        up.fail(f"{FOUR}{last}", 2)
    eventually(lambda: len(up.events()) == 4, "read")
    up.stop(signal.SIGKILL)
    up.start()
    for last in (1, 2):
        up.fail(f"{FOUR}{last}", 2)
    eventually(lambda: up.elements() == {f"{FOUR}2"}, "banned")
    eventually(lambda: len(up.events()) == 8, "all are read")
    assert reaches(net, f"{FOUR}1")
    assert not reaches(net, f"{FOUR}2")
    assert {each.ip for each in up.events() if each.spared} == {f"{FOUR}1"}
    told = say(up, "explain", f"{FOUR}1", code=1)
    assert f"jail sshd takes only what its ignorecommand does not spare, and {ours} spares them" in told
    asked = (up.folder / "asked").read_text(encoding="utf-8").split()
    assert sorted(asked) == sorted([f"{FOUR}1", f"{FOUR}2"] * 2)
    ours.unlink()
    assert [each["prefix"] for each in up.json("replay", "--since", "1h")] == [f"{FOUR}2"]
    assert up.stop() == 0


@pytest.mark.real("nftables")
def test_a_command_that_fails_spares_nobody_and_is_told_of(up: Service) -> None:
    """A jail is not blind because its command is broken; `status` says so."""
    ours = program(up.folder, "exit 9")
    up.configure(f'maxretry = 2\nbantime = "1h"\nignorecommand = ["{ours}", "<ip>"]')
    up.start()
    up.fail(f"{FOUR}1", 2)
    eventually(lambda: up.elements() == {f"{FOUR}1"}, "banned")
    said = f"ignorecommand {ours} gives no answer: it ended with 9"
    eventually(lambda: said in say(up, "status"), "said")
    replays_the_same(up)
    assert up.stop() == 0


@pytest.mark.real("nftables")
def test_a_jail_whose_command_is_not_there_waits(up: Service) -> None:
    """Until it is; the others go on."""
    plain = f'[jail.plain]\nfilter = "sshd"\nsource = "file:{up.log}"\nstart = "beginning"\nmaxretry = 3'
    up.configure(f'maxretry = 2\nignorecommand = ["{up.folder}/ours", "<ip>"]', more=plain)
    up.start()
    up.fail(f"{FOUR}1", 3)
    eventually(lambda: up.elements() == {f"{FOUR}1"}, "the other jail bans")
    assert "jail sshd waits, and bans nobody" in say(up, "status")
    program(up.folder, "exit 1")
    eventually(lambda: "jail sshd waits" not in say(up, "status"), "it goes on")
    up.fail(f"{FOUR}2", 2)
    eventually(lambda: up.elements() == {f"{FOUR}1", f"{FOUR}2"}, "it bans")
    assert up.stop() == 0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('"/bin/ours <ip>"', "expected a program and its arguments"),
        ('["ours", "<ip>"]', "expected a program and its arguments"),
        ('["/bin/true"]', "expected a program and its arguments"),
        ('["/bin/absent", "<ip>"]', "/bin/absent: No such file or directory"),
        ('["/etc/passwd", "<ip>"]', "/etc/passwd: no program that this user may run"),
        ('["{folder}/ours", "<ip>"]', "not run, since it cannot be trusted"),
    ],
)
def test_commands_that_are_none(up: Service, value: str, said: str) -> None:
    """No shell, no PATH, no program that anybody could have written."""
    program(up.folder, "exit 0", 0o777)
    up.configure(f"ignorecommand = {value.replace('{folder}', str(up.folder))}")
    assert said in up.run("config", "check", "--config", str(up.config), code=2).stderr


def test_what_is_configured_is_read_back(up: Service) -> None:
    """By `config show`; a jail on bans has none, since nobody reads lines for it."""
    again = '[jail.again]\non = "bans"\n[defaults]\nignorecommand = ["/bin/true", "<ip>"]'
    up.configure("", more=again)
    (wire,) = up.json("config", "show")
    assert [each.get("ignorecommand") for each in wire["rules"]["jails"]] == [["/bin/true", "<ip>"], None]
    up.config.write_text(say(up, "config", "show"), encoding="utf-8")
    assert up.json("config", "show")[0]["rules"] == wire["rules"]
    assert os.access("/bin/true", os.X_OK)
