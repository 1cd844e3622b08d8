"""The service units: least privilege, and commands that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from banstream.cli import COMMANDS

UNITS = sorted((Path(__file__).parents[2] / "deploy" / "systemd").glob("*.service"))
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
    assert facts["User"] == "banstream"
    assert facts["CapabilityBoundingSet"] == ("CAP_NET_ADMIN" if unit.name in NET_ADMIN else "")
    assert facts["NoNewPrivileges"] == "yes"
    assert "PYTHONSAFEPATH=1" in facts["Environment"].split()


def test_there_is_a_unit_for_the_main_job() -> None:
    """`banstream up` has one."""
    assert "banstream.service" in {unit.name for unit in UNITS}
