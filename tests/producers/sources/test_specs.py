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


def test_what_is_no_file_beside_logs_keeps_nobody_from_starting(tmp_path: Path) -> None:
    """Whoever may write in a folder that a glob covers may put anything there: it is said, and left out."""
    os.mkfifo(tmp_path / "pipe.log")
    (tmp_path / "gone.log").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.log").mkdir()
    spec = f"file:{tmp_path}/*.log"
    assert len(check_source(spec)) == 3
    (tmp_path / "a.log").touch()
    assert check_source(spec) == []
    assert len(missing_files(spec)) == 3


@pytest.mark.parametrize("resume", [{}, {"serial_ms": 1, "files": {"/x": [{"path": 1}]}}, {"serial_ms": "x"}])
def test_a_position_of_another_kind_is_refused(resume: dict[str, object]) -> None:
    """What is no position is an InvalidMessage, nothing else."""
    with pytest.raises(InvalidMessage):
        open_source("file:/nowhere/log", resume)


@pytest.mark.parametrize(
    "changed", [{"incarnation": 1}, {"since_ms": "1"}, {"position": None}, {"cursor": 1}, {"since_ms": True}]
)
def test_a_position_in_the_journal_has_its_fields(changed: dict[str, object]) -> None:
    """The stored position alone is looked at: each field has to be what it was."""
    position = {"incarnation": "1", "since_ms": 1, "position": 0, "cursor": "c", **changed}
    with pytest.raises(InvalidMessage, match="not a position"):
        open_source("journald:_COMM=x", position)


def test_a_fault_in_a_source_is_no_wrong_position(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong within a source's own code is not said to be the stored position's fault."""

    def broken(_source: object, _begin: object) -> None:
        raise TypeError("a fault")

    monkeypatch.setattr("producers.sources.file.FileSource._settle", broken)
    with pytest.raises(TypeError, match="a fault"):
        open_source("file:/nowhere/log", {"serial_ms": 1, "files": {"/x": []}})


def test_values_that_need_quotes_are_said_to(tmp_path: Path) -> None:
    """A spec of the journal that cannot be split is wrong, checked or opened."""
    spec = f"journald:file={tmp_path}/it's"
    assert "quote a value" in check_source(spec)[0]
    with pytest.raises(ConfigError, match="quote a value"):
        open_source(spec)


def test_another_package_adds_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point of `banstream.sources` is found by the name that specs begin with."""
    metadata = tmp_path / "other-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n", encoding="utf-8")
    points = "[banstream.sources]\nother = other_kind:KIND\n"
    (metadata / "entry_points.txt").write_text(points, encoding="utf-8")
    code = """
import re
from producers.contract import SourceKind
KIND = SourceKind(spec=re.compile(r"other:\\d+"), open=None, check=lambda spec: [f"{spec} checked"])
"""
    (tmp_path / "other_kind.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert check_source("other:514") == ["other:514 checked"]
    assert missing_files("other:514") == []
    assert "expected" in check_source("other:x")[0]


def test_the_machine_has_a_source_or_none() -> None:
    """Each default is a source that can be opened."""
    for spec in default_sources():
        assert spec.startswith(("file:/", "journald:"))
