"""`doctor` names what keeps a machine from being protected, before it is needed."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.banstream.service import Service, service
from tests.namespaces import fleet


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Service]:
    """A configured service that observes; not running."""
    with service(tmp_path) as made:
        made.configure(enforcer='backend = "null"')
        yield made


def findings(up: Service, *arguments: str) -> list[tuple[str, str, str]]:
    """What `doctor` finds: about what, the verdict, the sentence."""
    found = up.json("doctor", *arguments, code=None)
    return [(each["about"], each["verdict"], each["found"]) for each in found]


def of(found: list[tuple[str, str, str]], about: str) -> list[tuple[str, str]]:
    """The verdicts and sentences about one thing."""
    return [each[1:] for each in found if each[0] == about]


def test_a_fresh_machine_is_well(up: Service) -> None:
    """No log yet is the normal state; nothing is bad."""
    found = findings(up)
    ((verdict, said),) = of(found, "event log")
    assert (verdict, said) == ("good", f"none at {up.folder}/state/log.db yet; `banstream up` makes it")
    assert not [each for each in found if each[1] == "bad"]


def test_a_jail_on_a_file_of_another_service_is_warned_of(up: Service) -> None:
    """A log with lines, and none of them of the filter's program."""
    up.log.write_text("Nov 30 12:00:00 host nginx[1]: hello\n" * 20, encoding="utf-8")
    ((verdict, said),) = of(findings(up), "jail sshd")
    assert verdict == "warning"
    assert "nothing in the last 20 lines" in said
    assert "is it the right file?" in said


def test_what_the_filters_find_is_counted(up: Service) -> None:
    """And a quiet log of the right service is no warning."""
    up.write("sshd[1]: Server listening on 0.0.0.0 port 22.")
    assert of(findings(up), "jail sshd") == [("good", f"no failure in the last 1 lines of {up.log}")]
    up.fail("192.0.2.7", 3)
    assert of(findings(up), "jail sshd") == [("good", f"3 events in the last 4 lines of {up.log}")]


def test_times_ahead_of_the_clock_are_another_zone(up: Service) -> None:
    """Of a file whose newest line is later than its last change."""
    ahead = time.strftime("%b %e %H:%M:%S", time.gmtime(time.time() + 7_200))
    up.log.write_text(f"{ahead} h sshd[1]: Failed password for root from 192.0.2.7 port 1 ssh2\n", "utf-8")
    (first, _) = of(findings(up), "jail sshd")
    assert first[0] == "warning"
    assert "timezone of [jail.sshd]" in first[1]


def test_another_that_bans_is_named(up: Service) -> None:
    """By its process."""
    other = up.folder / "fail2ban-server"
    shutil.copy(shutil.which("sleep") or "", other)
    with subprocess.Popen([other, "60"]) as process:
        try:
            ((verdict, said),) = of(findings(up), "neighbours")
            assert verdict == "warning"
            assert f"fail2ban runs beside it (process {process.pid})" in said
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("enforcer", "verdict"),
    [("", "warning"), ('never_ban = ["198.51.100.0/24"]', "good"), ("protect_ssh_peers = true", "good")],
)
def test_where_one_is_logged_in_from_is_looked_at(up: Service, enforcer: str, verdict: str) -> None:
    """Also under sudo, which takes the variable away: the process above has it."""
    up.configure(enforcer=f'backend = "null"\n{enforcer}')
    up.env["SSH_CONNECTION"] = "198.51.100.9 50000 192.0.2.1 22"
    assert [each[0] for each in of(findings(up), "own address")] == [verdict]
    up.prefix = ("sh", "-c", 'unset SSH_CONNECTION; "$@"; exit $?', "sh")
    assert [each[0] for each in of(findings(up), "own address")] == [verdict]


def test_a_broker_that_is_away_is_one_finding_within_seconds(up: Service) -> None:
    """The rest of the list is there all the same; `up` is not asked for, since it never runs in a fleet."""
    up.config.write_text(
        f'[log]\nurl = "kafka://localhost:1"\n[jail.sshd]\nsource = "file:{up.log}"\n'
        '[enforcer]\nbackend = "null"\n',
        encoding="utf-8",
    )
    began = time.monotonic()
    found = findings(up)
    assert time.monotonic() - began < 15
    assert ("event log", "bad") in [each[:2] for each in found]
    assert of(found, "source")
    assert not of(found, "up")


def test_what_is_safe_is_put_right(up: Service) -> None:
    """With --fix: the folder of the log, and files that others may write or read."""
    key = up.folder / "host.key"
    up.run("hosts", "key", "--key-file", str(key))
    key.chmod(0o644)
    up.config.write_text(
        f'[ship]\nkey_file = "{key}"\n{up.config.read_text(encoding="utf-8")}', encoding="utf-8"
    )
    up.config.chmod(0o666)
    assert of(findings(up), "configuration")[0][0] == "bad"
    up.config.chmod(0o600)
    assert of(findings(up), "key")[0][0] == "bad"
    up.config.chmod(0o666)
    fixed = [said for _, said in of(findings(up, "--fix"), "fixed")]
    assert len(fixed) == 3
    assert (key.stat().st_mode & 0o777, up.config.stat().st_mode & 0o777) == (0o640, 0o644)
    assert (up.folder / "state").stat().st_mode & 0o777 == 0o700
    assert not of(findings(up, "--fix"), "fixed")
    assert of(findings(up), "key")[0][0] == "good"


def test_a_link_is_not_followed_by_a_fix(up: Service) -> None:
    """Whose file it leads to is not ours to say."""
    target = up.folder / "target"
    target.touch()
    target.chmod(0o666)
    up.config.unlink()
    up.config.symlink_to(target)
    findings(up, "--fix")
    assert target.stat().st_mode & 0o777 == 0o666


@pytest.mark.real("nftables")
def test_the_firewall_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    """A table of its own, gone again."""
    with fleet("server") as net, service(tmp_path, net["server"]) as made:
        ((verdict, said),) = of(findings(made), "firewall")
        assert verdict == "good"
        assert said.startswith("nftables works")
        assert net["server"].run(["nft", "list", "tables"]).stdout.strip() == ""


def test_a_read_only_disk_is_bad(up: Service) -> None:
    """Nothing could be recorded there."""
    state = up.folder / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", state], check=True)
    try:
        ((verdict, said),) = of(findings(up), "disk")
        assert verdict == "bad"
        assert "read-only" in said
    finally:
        subprocess.run(["umount", state], check=True)
