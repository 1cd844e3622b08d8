"""`status`: this machine at a glance, what is wrong first."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from banstream.commands import status
from banstream.config import load_settings
from banstream.instants import now_ms
from banstream.machine import Machine, machine
from banstream.phrases import size, some, threshold
from banstream.reading import open_to_read
from schemas.rules import Jail
from tests.banstream.service import BANSTREAM, Service, eventually, say, service
from tests.namespaces import fleet

ATTACKERS = [f"203.0.113.{nth}" for nth in range(1, 15)]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Service]:
    """A service that runs in a namespace of its own."""
    with fleet("server") as net, service(tmp_path, net["server"]) as made:
        made.start()
        yield made


@pytest.fixture
def observing(tmp_path: Path) -> Iterator[Service]:
    """A service that runs, and only observes."""
    with service(tmp_path) as made:
        made.configure(enforcer='backend = "null"')
        made.env.pop("RUNTIME_DIRECTORY", None)
        made.start()
        yield made


def look(up: Service, at_ms: int) -> Machine:
    """What `status` knows at an instant."""
    settings = load_settings(str(up.config), check="log")
    log = open_to_read(settings)
    try:
        return machine(log, settings, str(up.config), at_ms)
    finally:
        log.close()


def on_a_terminal(up: Service, *arguments: str) -> list[str]:
    """The lines of a command on a terminal of 80 columns."""
    leader, follower = pty.openpty()
    command = [*BANSTREAM, *arguments, "--config", str(up.config)]
    with subprocess.Popen(command, stdout=follower, env={**up.env, "COLUMNS": "80"}, cwd=up.folder) as made:
        os.close(follower)
        shown = b""
        try:
            while data := os.read(leader, 65_536):
                shown += data
        except OSError:  # the other side is closed
            pass
        assert made.wait() == 0
    os.close(leader)
    return shown.decode().replace("\r", "").splitlines()


@pytest.mark.real("nftables")
def test_an_ordinary_machine_is_told_in_a_screenful(up: Service) -> None:
    """Who is banned, what is not in force, the last ban, jails in words, sources: 24 lines of 80 columns."""
    for ip in ATTACKERS:
        up.fail(ip, 3)
    up.fail("198.51.100.7")
    eventually(lambda: len(up.elements()) == len(ATTACKERS), "all are banned")
    say(up, "ban", "10.77.0.0/16", code=1)
    eventually(lambda: up.json("status")[0]["enforcer"]["refused"] == 1, "it has said so")
    eventually(lambda: up.json("status")[0]["decider"]["jails"]["sshd"]["failing"] == 1, "and of the other")
    lines = on_a_terminal(up, "status")
    text = " ".join(lines)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    for said in (
        "banstream up: running (process ",
        "WARNING: 1 ban not in force: `banstream bans --refused` says why",
        "Banned now: 14, and 1 not in force",
        "10.77.0.0/16 (refused)",
        "and 4 more: `banstream bans --jail sshd`",
        "Last ban: ",
        "3 failures within 10m ban for 10m",
        "Firewall: nftables holds 14 prefixes; since the start 1 refused",
    ):
        assert " ".join(said.split()) in " ".join(text.split())
    assert "None" not in text
    of_jail = say(up, "status", "sshd")
    assert all(f"  {ip}  until " in of_jail for ip in ATTACKERS)
    assert f"  file:{up.log} with filter sshd" in of_jail
    assert "manual" not in of_jail
    (facts,) = up.json("status", "sshd")
    assert {each["prefix"] for each in facts["banned"]["sshd"]} == set(ATTACKERS)
    assert (facts["last_ban"]["prefix"], len(facts["warnings"])) == ("10.77.0.0/16", 1)
    assert up.stop() == 0
    assert "not running; it was stopped at" in say(up, "status", code=1)


def test_rules_on_disk_that_are_not_in_force_are_warned_of(observing: Service) -> None:
    """Changed, broken, and put back or reloaded: then no more."""
    assert "WARNING" not in say(observing, "status")
    observing.configure("maxretry = 4", enforcer='backend = "null"')
    assert "has other rules" in say(observing, "status")
    observing.configure('maxretry = "four"', enforcer='backend = "null"')
    text = say(observing, "status")
    assert "WARNING: the configuration is wrong now, and what was read before holds:" in text
    assert "maxretry" in text
    observing.configure("maxretry = 4", enforcer='backend = "null"')
    observing.send(signal.SIGHUP)
    eventually(lambda: "WARNING" not in say(observing, "status"), "the rules are in force")


def test_a_source_to_which_nobody_writes_is_told(observing: Service) -> None:
    """For a day; and one whose file is not there."""
    observing.log.touch()
    eventually(lambda: "well" in source_line(observing), "it is well")
    day_ago = now_ms() / 1_000 - 90_000
    os.utime(observing.log, (day_ago, day_ago))
    assert "silent since 20" in source_line(observing)
    observing.log.unlink()
    assert source_line(observing).endswith(("no such file", "see above")), "`up` may have seen it first"
    observing.fail("192.0.2.7")
    assert "no such file" not in source_line(observing)


def source_line(up: Service) -> str:
    """What `status` says of the one source."""
    said = up.run("status", "--config", str(up.config)).stdout.splitlines()
    return next((line for line in said if line.startswith(f"file:{up.log}")), "")


def test_one_that_hangs_is_told_with_the_age_of_its_last_word(observing: Service) -> None:
    """It holds the log and says nothing."""
    eventually(lambda: look(observing, now_ms()).beat, "it has said something")
    assert list(look(observing, now_ms()).warnings()) == []
    (warning,) = look(observing, now_ms() + 3_600_000).warnings()
    assert warning.startswith("`up` has said nothing for 1h")


def test_health_without_a_directory_goes_by_the_log(
    observing: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As cron asks: alive while it holds its log and speaks there; not when it hangs or was killed."""
    ask = ("status", "--health", "up", "--config", str(observing.config))
    assert "`up` runs: it holds" in observing.run(*ask).stdout
    observing.send(signal.SIGSTOP)
    monkeypatch.setattr(status, "SILENT_S", 0)
    settings = load_settings(str(observing.config), check="log")
    eventually(lambda: status._silent_s(settings), "its last word grows old")  # noqa: SLF001 - its age
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    assert status.status_command.main(list(ask[1:]), standalone_mode=False) == 1
    observing.send(signal.SIGCONT)
    observing.stop(signal.SIGKILL)
    assert "does not run on" in observing.run(*ask, code=1).stdout
    said = observing.run("status", "--health", "ship", "--config", str(observing.config), code=1).stdout
    assert "give this command and the role the same $RUNTIME_DIRECTORY" in said


def test_jails_sizes_and_lists_in_words() -> None:
    """Thresholds as people say them, sizes in MB, the first of many."""
    jail = Jail(name="sshd", filters=("sshd",), bantime_ms=None, maxretry=1)
    assert threshold(jail) == "1 failure within 10m ban for ever"
    probed = Jail(name="web", filters=("web-scan",), kinds=("failed", "probed"))
    assert threshold(probed) == "5 events (failed or probed) within 10m ban for 10m"
    assert [size(each) for each in (2_048, 256 << 20)] == ["2 kB", "256.0 MB"]
    assert some(["a", "b", "c"], 2, ": see") == "a, b, and 1 more: see"
    assert some(["a", "b"], 2) == "a, b"
