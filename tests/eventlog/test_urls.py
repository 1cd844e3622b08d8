"""From the configured url to a log."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventlog.contract import Append
from eventlog.sqlite import SqliteLog
from eventlog.urls import open_log, sqlite_path
from schemas.errors import ConfigError, LogError
from schemas.topics import EVENTS


def test_a_sqlite_url_names_a_file(tmp_path: Path) -> None:
    """`sqlite://` and an absolute path open that file, with the clock that was given."""
    log = open_log(f"sqlite://{tmp_path}/log.db", now_ms=lambda: 7)
    assert isinstance(log, SqliteLog)
    log.append([Append(EVENTS.name, b"x")])
    assert log.read(EVENTS.name, 0, 0)[0].at_ms == 7
    log.close()
    assert [file.name for file in tmp_path.iterdir()] == ["log.db"]


def test_reading_only_makes_no_log(tmp_path: Path) -> None:
    """`read_only` reaches the log: a missing one is not made."""
    with pytest.raises(LogError, match="no event log there yet"):
        open_log(f"sqlite://{tmp_path}/log.db", read_only=True)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///var/lib/banstream/log.db", "/var/lib/banstream/log.db"),
        ("sqlite:////var/lib/banstream/log.db", "/var/lib/banstream/log.db"),
        ("sqlite:log.db", "log.db"),
        ("sqlite:sub/log.db", "sub/log.db"),
        ("sqlite:/var/log.db", "/var/log.db"),
        ("sqlite:///a%20b?c#d", "/a%20b?c#d"),
    ],
)
def test_the_path_is_what_follows(url: str, path: str) -> None:
    """Nothing in a path is decoded; without a leading slash it is relative."""
    assert sqlite_path(url) == Path(path)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgres://localhost/log", "names no event log"),
        ("/var/lib/banstream/log.db", "names no event log"),
        ("sqlite", "names no event log"),
        ("", "names no event log"),
        ("sqlite:", "names no file"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite://log.db", "names no file"),
        ("sqlite:///var/lib/", "names no file"),
        ("sqlite://///var/log.db", "names no file"),
    ],
)
def test_any_other_url_is_refused(url: str, reason: str) -> None:
    """A url that names no log is a ConfigError with the key, the url, and what is known."""
    with pytest.raises(ConfigError) as refused:
        open_log(url)
    (problem,) = refused.value.problems
    assert problem.startswith(f"log.url = {url!r}: {reason}")
    assert "sqlite:///absolute/path" in problem
