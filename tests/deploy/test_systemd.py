"""The service units: least privilege, and commands that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from banstream.health import SILENT_S
from banstream.overview import COMMANDS

UNITS = sorted((Path(__file__).parents[2] / "deploy" / "systemd").glob("*.service"))
SYSUSERS = UNITS[0].with_name("banstream.sysusers")
TMPFILES = UNITS[0].with_name("banstream.tmpfiles")
NET_ADMIN = {"banstream.service", "banstream-enforce.service"}


def settings(unit: Path) -> dict[str, str]:
    """The keys of a unit's [Service] section; the last word on each."""
    lines = unit.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))


@pytest.mark.real("journald")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_exposure_of_a_unit_is_below_three(unit: Path) -> None:
    """`systemd-analyze security` gives every unit less than 3.0 of 10."""
    program = shutil.which("systemd-analyze")
    assert program is not None
    command = [program, "security", "--offline=yes", "--threshold=30", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_runs_a_command_there_is_as_nobody_with_power(unit: Path) -> None:
    """Its command exists, it is not root, and only who enforces may administer the network."""
    facts = settings(unit)
    assert facts["ExecStart"].split()[1] in COMMANDS
    assert f"u {facts['User']} " in SYSUSERS.read_text(encoding="utf-8")
    assert facts["CapabilityBoundingSet"] == ("CAP_NET_ADMIN" if unit.name in NET_ADMIN else "")
    assert facts["NoNewPrivileges"] == "yes"
    assert "PYTHONSAFEPATH=1" in facts["Environment"].split()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_says_where_its_role_is_alive(unit: Path) -> None:
    """Whoever looks after a role of the fleet finds its pulse in a directory of its own."""
    facts = settings(unit)
    role = facts["ExecStart"].split()[1]
    assert unit.name == ("banstream.service" if role == "up" else f"banstream-{role}.service")
    assert facts["RuntimeDirectory"] == unit.name.removesuffix(".service")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_role_that_hangs_is_restarted(unit: Path) -> None:
    """Its service manager listens for its sign of life, and waits longer than a call to a broker takes."""
    facts = settings(unit)
    assert (facts["Type"], facts["Restart"]) == ("notify", "always")
    assert int(facts["WatchdogSec"]) > SILENT_S
    assert int(facts["TimeoutStartSec"]) > int(facts["WatchdogSec"])


def test_there_is_a_unit_for_the_main_job_and_for_each_role() -> None:
    """`banstream up`, and the three roles of a fleet, each with a user who cannot read another's memory."""
    users = {unit.name: settings(unit)["User"] for unit in UNITS}
    roles = [f"banstream-{role}.service" for role in ("ship", "decide", "enforce")]
    assert set(users) == {"banstream.service", *roles}
    assert len({users[role] for role in roles}) == 3


@pytest.mark.real("journald")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong_with_a_unit(unit: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify` knows every key and value; the command need not be installed."""
    text = unit.read_text(encoding="utf-8").replace("/usr/bin/banstream", "/bin/true")
    (tmp_path / unit.name).write_text(text, encoding="utf-8")
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, told) == (0, [])


@pytest.mark.real("journald")
def test_accounts_and_directories_are_made(tmp_path: Path) -> None:
    """systemd-sysusers makes every account, and systemd-tmpfiles knows every line."""
    (tmp_path / "etc").mkdir()
    groups = "adm:x:4:\nsystemd-journal:x:101:\nroot:x:0:\n"
    (tmp_path / "etc/group").write_text(groups, encoding="utf-8")
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n", encoding="utf-8")
    folder = SYSUSERS.parent
    for command in (["systemd-sysusers", str(SYSUSERS)], ["systemd-tmpfiles", "--create", str(TMPFILES)]):
        program, *arguments = command
        subprocess.run(
            [program, f"--root={tmp_path}", *arguments], check=True, capture_output=True, cwd=folder
        )
    accounts = (tmp_path / "etc/passwd").read_text(encoding="utf-8")
    for unit in UNITS:
        assert f"\n{settings(unit)['User']}:" in accounts
    state = (tmp_path / "var/lib/banstream").stat()
    assert (state.st_mode & 0o777, state.st_uid) == (0o700, _id_of("banstream", accounts))


def _id_of(user: str, accounts: str) -> int:
    return next(int(line.split(":")[2]) for line in accounts.splitlines() if line.split(":")[0] == user)
