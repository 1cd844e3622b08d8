"""What the fleet's roles load: memory on every host is what they import, and no role needs another's code."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.banstream.service import BANSTREAM, eventually

ABSENT = "kafka://localhost:1?timeout=1s"
OTHERS = {
    "ship": (
        "enforcers",
        "faust",
        "kafka",
        "nftables",
        "producers.filters.ambiguity",
        "producers.filters.fail2ban",
        "producers.filters.native.lint",
        "producers.filters.samples",
        "rich",
        "streams.decider",
    ),
    "enforce": (
        "faust",
        "hyperscan",
        "producers.filters",
        "producers.sources",
        "rich",
        "sqlite3",
        "streams.decider",
    ),
    "decide": ("enforcers", "hyperscan", "producers.filters", "producers.sources", "rich", "sqlite3"),
}


@pytest.mark.parametrize(
    ("role", "url", "says", "own"),
    [
        ("ship", "sqlite://{folder}/log.db", "Shipping source", "producers.filters.sshd_matcher"),
        ("enforce", ABSENT, "Waiting to try again", "enforcers.enforcer"),
        ("decide", ABSENT, "Waiting for the broker", "streams.worker.worker"),
    ],
)
def test_a_role_loads_no_other_roles_code(tmp_path: Path, role: str, url: str, says: str, own: str) -> None:
    """A shipper loads no decider, an enforcer and a worker no filters, and a shipper only those it has."""
    config, errors = tmp_path / "banstream.toml", tmp_path / "errors"
    (tmp_path / "auth.log").touch()
    config.write_text(
        f'[log]\nurl = "{url.format(folder=tmp_path)}"\n[enforcer]\nbackend = "null"\n'
        f'[ship]\ndirectory = "{tmp_path}"\n[jail.sshd]\nsource = "file:{tmp_path}/auth.log"\n',
        encoding="utf-8",
    )
    with errors.open("w") as sink:
        process = subprocess.Popen(
            [*BANSTREAM, role, "--config", str(config)],
            stderr=sink,
            env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
        )
    try:
        eventually(lambda: says in errors.read_text(), f"{role} is at work")
    finally:
        process.kill()
        process.wait()
    loaded = set(re.findall(r"^import time: .*\| +(\S+)$", errors.read_text(), re.MULTILINE))
    assert own in loaded
    strangers = [each for each in loaded if any(f"{each}.".startswith(f"{name}.") for name in OTHERS[role])]
    assert not strangers
