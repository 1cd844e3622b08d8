"""Fixtures of the event logs' tests: a log of each kind, and a disk small enough to fill."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.sqlite import SqliteLog
from tests.eventlog.subjects import EMBEDDED, Subject, kafka


@pytest.fixture(params=[*sorted(EMBEDDED), pytest.param("kafka", marks=pytest.mark.real("kafka"))])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    """A log of each kind in turn, empty, with four partitions."""
    if request.param != "kafka":
        made = EMBEDDED[request.param](tmp_path)
        yield made
        made.log.close()
        return
    cluster = request.getfixturevalue("broker")
    url = cluster.url(partitions=4)
    made = kafka(url)
    yield made
    made.log.close()
    cluster.drop(url)


@pytest.fixture(params=sorted(EMBEDDED))
def embedded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    """A log of each kind that is given its clock, and compacts and drops at once when told to."""
    made = EMBEDDED[request.param](tmp_path)
    yield made
    made.log.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test may make its log file."""
    return tmp_path / "log.db"


@pytest.fixture
def log(path: Path) -> Iterator[SqliteLog]:
    """An empty SQLite log at `path`."""
    made = SqliteLog.open(path)
    yield made
    made.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MB."""
    missing = "needs root" if os.geteuid() else "" if shutil.which("mount") else "needs mount"
    if missing and os.environ.get("CI"):
        pytest.fail(f"real part tmpfs: {missing}", pytrace=False)
    if missing:
        pytest.skip(f"REAL PART SKIPPED: tmpfs: {missing}")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)
