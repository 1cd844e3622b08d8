"""A Debian machine with a real systemd, booted by systemd-nspawn; nothing of it is left behind.

Its tree is made once by `deploy/machine.sh all`; what a machine writes lies over it. Unless it has a disk of
its own, our code and packages are those of this checkout and its virtual environment, seen read-only.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SUITES: Final = {(3, 11): "bookworm", (3, 13): "trixie"}
"""By the version of their Python."""
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


def tree(suite: str) -> Path:
    """Where a release of Debian is kept to boot."""
    return ROOT / ".cache" / f"debian-{suite}"


def missing() -> str | None:
    """Why there are no such machines here; None where there are."""
    if os.geteuid() != 0:
        return "needs root"
    if sys.version_info[:2] not in SUITES:
        return "needs the Python of a Debian"
    there = all((tree(suite) / ".complete").exists() for suite in SUITES.values())
    return None if there else "needs trees of Debian: deploy/machine.sh all"


def run(folder: Path, script: str, files: Mapping[str, str]) -> str:
    """What a script says that runs as root on a machine that has just booted, with these files on it.

    Units of deploy/systemd are there, and `banstream`. The machine is off when this returns.
    """
    binds = {}
    for number, (place, text) in enumerate({"/usr/bin/banstream": WRAPPER, **files}.items()):
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
    shared = [f"--bind={source}:{place}" for source, place in binds.items()]
    return boot(
        tree(SUITES[sys.version_info[:2]]), folder, script, "--volatile=overlay", *shared, *_read_only(seen)
    )


@contextmanager
def disk(folder: Path, suite: str) -> Iterator[Path]:
    """The root of a machine that keeps what is written, over as many boots as one likes."""
    parts = {name: folder / name for name in ("upper", "work", "root")}
    for part in parts.values():
        part.mkdir()
    layers = f"lowerdir={tree(suite)},upperdir={parts['upper']},workdir={parts['work']}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(parts["root"])], check=True)
    try:
        yield parts["root"]
    finally:
        subprocess.run(["umount", str(parts["root"])], check=True)


def boot(
    root: Path, folder: Path, script: str, *options: str, given: Mapping[Path, str] | None = None
) -> str:
    """What a script says that runs as root on a machine that has just booted from a root, until it is off.

    `given`: files that it finds at these places. `options` are systemd-nspawn's.
    """
    probe = folder / "probe"
    probe.mkdir()
    (probe / "run.sh").write_text("set -eu\n" + script, encoding="utf-8")
    unit = folder / "probe.service"
    unit.write_text(PROBE, encoding="utf-8")
    seen = {str(unit): "/etc/systemd/system/probe.service", **{str(k): v for k, v in (given or {}).items()}}
    command = [
        "systemd-nspawn",
        "--quiet",
        "--directory",
        str(root),
        "--boot",
        "--register=no",
        "--keep-unit",
        "--private-network",
        "--capability=CAP_NET_ADMIN",
        f"--bind={probe}:/probe",
        *_read_only(seen),
        *options,
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


def _read_only(places: Mapping[str, str]) -> list[str]:
    return [f"--bind-ro={source}:{place}" for source, place in places.items()]
