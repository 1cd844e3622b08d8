"""What a jail lacks is looked at by its state alone, and any change of it is seen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from banstream import lacks
from banstream.lacks import Lack, LookRound, look


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was changed a moment ago."""
    monkeypatch.setattr(lacks, "SETTLING_NS", -1)


def edit(file: Path) -> None:
    """Write as much again, in the same place."""
    time.sleep(0.02)
    file.write_bytes(file.read_bytes()[::-1])


CHANGES: dict[str, Callable[[Path], object]] = {
    "appears": lambda folder: (folder / "missing.toml").touch(),
    "is edited": lambda folder: edit(folder / "there.toml"),
    "its mode": lambda folder: (folder / "there.toml").chmod(0o640),
    "its folder's mode": lambda folder: folder.chmod(0o711),
    "its owner": lambda folder: os.chown(folder / "there.toml", 1, -1),
    "is replaced": lambda folder: (folder / "other").rename(folder / "there.toml"),
    "a link's owner": lambda folder: os.chown(folder / "link.toml", 1, -1, follow_symlinks=False),
    "where a link leads to": lambda folder: (folder / "aside").chmod(0o711),
    "a local file beside fail2ban's": lambda folder: (folder / "filter.d/x.local").touch(),
    "an included file of fail2ban's": lambda folder: edit(folder / "filter.d/common.conf"),
    "fail2ban's own": lambda folder: (folder / "filter.d/x.conf").unlink(),
    "a folder for a log": lambda folder: (folder / "a.log").rmdir(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(tmp_path: Path, change: str) -> None:
    """And nothing else: two looks are alike where nothing has changed."""
    folder = tmp_path / "filters"
    (folder / "filter.d").mkdir(parents=True)
    for name in ("there.toml", "other", "filter.d/x.conf", "filter.d/common.conf"):
        (folder / name).write_text("ab", encoding="utf-8")
    for name in ("a.log", "aside"):
        (folder / name).mkdir()
    (folder / "aside/own.toml").touch()
    (folder / "link.toml").symlink_to("aside/own.toml")
    names = ("missing.toml", "there.toml", "link.toml", "filter.d/x.conf")
    lacking = [Lack("filter", f"{folder}/{name}") for name in names]
    lacking.append(Lack("source", f"file:{folder}/a.log"))
    first = look(lacking)
    assert first is not None
    assert look(lacking) == first
    (folder / "unrelated").touch()
    assert look(lacking, LookRound()) == first
    CHANGES[change](folder)
    assert look(lacking) != first


def test_what_was_just_changed_is_not_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be again within the same tick of the file system's clock; a clock that is wrong settles all."""
    monkeypatch.undo()
    file = tmp_path / "a.toml"
    file.touch()
    lacking = [Lack("filter", str(file))]
    assert look(lacking) is None
    assert look([Lack("source", f"file:{file}")]) is None, "nothing hinders it: read it"
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert look(lacking) is not None
