"""What a configuration calls sources, and what may be wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from producers.sources import check_source, default_sources, missing_files, open_source
from schemas.errors import ConfigError, InvalidMessage


@pytest.mark.parametrize(
    "spec", ["", "file:", "file:relative.log", "journald:", "syslog:514", "/var/log/auth.log"]
)
def test_what_is_no_source_is_refused(spec: str) -> None:
    """Both the check and the opening say what was expected."""
    assert len(check_source(spec)) == 1
    with pytest.raises(ConfigError, match="expected"):
        open_source(spec)


def test_a_readable_file_has_no_problem(tmp_path: Path) -> None:
    """A file, and a glob of files, are fine."""
    (tmp_path / "a.log").touch()
    assert check_source(f"file:{tmp_path}/a.log") == check_source(f"file:{tmp_path}/*.log") == []
    assert missing_files(f"file:{tmp_path}/a.log") == []


def test_a_missing_file_is_only_a_warning(tmp_path: Path) -> None:
    """It may appear later."""
    spec = f"file:{tmp_path}/none.log"
    assert check_source(spec) == []
    assert len(missing_files(spec)) == 1


def test_a_directory_or_a_pipe_is_a_problem(tmp_path: Path) -> None:
    """Only regular files can be followed."""
    os.mkfifo(tmp_path / "pipe")
    assert "directory" in check_source(f"file:{tmp_path}")[0]
    assert "not a regular file" in check_source(f"file:{tmp_path}/pipe")[0]


@pytest.mark.parametrize("resume", [{}, {"serial_ms": 1, "files": {"/x": [{"path": 1}]}}, {"serial_ms": "x"}])
def test_a_position_of_another_kind_is_refused(resume: dict[str, object]) -> None:
    """What is no position is an InvalidMessage, nothing else."""
    with pytest.raises(InvalidMessage):
        open_source("file:/nowhere/log", resume)


def test_the_machine_has_a_source_or_none() -> None:
    """Each default is a source that can be opened."""
    for spec in default_sources():
        assert spec.startswith(("file:/", "journald:"))
