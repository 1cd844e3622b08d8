"""A Debian machine with a real systemd, booted by systemd-nspawn; nothing of it is left behind.

Its tree is made once by `deploy/machine.sh all`; what a machine writes lies over it in memory. Our code and
packages are those of this checkout and its virtual environment, seen read-only.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TREE: Final = ROOT / ".cache" / "machine"
PATIENCE_S: Final = 240
PACKAGES: Final = ("banstream", "enforcers", "eventlog", "producers", "schemas", "sinks", "streams")
WRAPPER: Final = """#!/bin/sh
PYTHONPATH=/opt/banstream/site:/opt/banstream/src exec python3 -P -m banstream "$@"
"""
PROBE: Final = """[Unit]
Description=what the test does
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /probe/run.sh
ExecStopPost=/bin/systemctl --no-block poweroff
StandardOutput=file:/probe/out
StandardError=file:/probe/err
"""


def missing() -> str | None:
    """Why there is no such machine here; None where there is."""
    if os.geteuid() != 0:
        return "needs root"
    return None if (TREE / ".complete").exists() else "needs a tree of Debian: deploy/machine.sh all"


def run(folder: Path, script: str, files: Mapping[str, str]) -> str:
    """What a script says that runs as root on a machine that has just booted, with these files on it.

    Units of deploy/systemd are there, and `banstream`. The machine is off when this returns.
    """
    probe = folder / "probe"
    probe.mkdir()
    (probe / "run.sh").write_text("set -eu\n" + script, encoding="utf-8")
    binds = {str(probe): "/probe"}
    given = {"/usr/bin/banstream": WRAPPER, "/etc/systemd/system/probe.service": PROBE, **files}
    for number, (place, text) in enumerate(given.items()):
        source = folder / f"file{number}"
        source.write_text(text, encoding="utf-8")
        source.chmod(0o755 if place.startswith("/usr/bin/") else 0o644)
        binds[str(source)] = place
    seen = {str(ROOT / name): f"/opt/banstream/src/{name}" for name in PACKAGES}
    seen[sysconfig.get_path("purelib")] = "/opt/banstream/site"
    for unit in (ROOT / "deploy" / "systemd").glob("*.service"):
        seen[str(unit)] = f"/etc/systemd/system/{unit.name}"
    for kind in ("sysusers", "tmpfiles"):
        seen[str(ROOT / "deploy" / "systemd" / f"banstream.{kind}")] = f"/usr/lib/{kind}.d/banstream.conf"
    command = [
        "systemd-nspawn",
        "--quiet",
        "--directory",
        str(TREE),
        "--boot",
        "--volatile=overlay",
        "--register=no",
        "--keep-unit",
        "--private-network",
        "--capability=CAP_NET_ADMIN",
        *(f"--bind={source}:{place}" for source, place in binds.items()),
        *(f"--bind-ro={source}:{place}" for source, place in seen.items()),
        "--",
        "systemd.wants=probe.service",
        "systemd.unit=multi-user.target",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL
    )
    out, err = (probe / "out", probe / "err")
    assert out.exists(), done.stdout + done.stderr
    assert "PROBE DONE" in out.read_text(), out.read_text() + err.read_text() + done.stdout[-2_000:]
    return out.read_text(encoding="utf-8")
