"""`banstream export`: what the log has, in a format, on standard output."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from eventlog.sqlite import SqliteLog
from schemas.topics import DECISIONS, EVENTS
from tests.banstream.service import Service, eventually, service
from tests.sinks.following import AT_MS, ban, failed, put


@pytest.fixture
def made(tmp_path: Path) -> Service:
    """A log with three events and a ban."""
    with service(tmp_path) as found:
        log = SqliteLog.open(tmp_path / "state/log.db", now_ms=lambda: AT_MS)
        put(log, EVENTS, failed(1), failed(2, at_ms=AT_MS + 60_000), failed(3, line="\x1b[31m"))
        put(log, DECISIONS, ban(evidence=("0-0-0",)))
        log.close()
        return found


def exported(made: Service, *arguments: str, code: int = 0) -> list[str]:
    """The lines that it prints."""
    return made.run("export", "--config", str(made.config), *arguments, code=code).stdout.splitlines()


def test_everything_in_the_order_of_the_log(made: Service) -> None:
    """With the ids that sinks give."""
    lines = [json.loads(line) for line in exported(made)]
    assert [each["type"] for each in lines] == ["auth"] * 3 + ["ban"]
    assert lines[3]["users"] == ["admin"]
    assert len({each["uid"] for each in lines}) == 4


def test_in_another_format_and_only_some_of_it(made: Service) -> None:
    """--what, --since, --until; a header where the format has one."""
    header, row = exported(made, "--format", "csv", "--what", "decisions")
    assert (header.split(",")[3], row.split(",")[3]) == ("ip", "203.0.113.7")
    since = ("--since", "2026-11-22T09:00:30Z")
    (line,) = exported(made, "--format", "ecs", *since)
    assert json.loads(line)["@timestamp"] == "2026-11-22T09:01:00.123Z"
    until = ("--until", "2026-11-22T09:00:30Z", "--what", "events")
    assert len(exported(made, "--format", "text", *until)) == 2
    assert "\x1b" not in "".join(exported(made, "--format", "text"))
    assert exported(made, "--since", "2030-01-01T00:00:00Z", code=1) == []
    done = made.run("export", "--format", "xml", "--config", str(made.config), code=2)
    assert "there are cef, csv, ecs" in done.stderr


def test_it_follows(made: Service) -> None:
    """What comes later comes at once."""
    out = made.folder / "out"
    with out.open("w") as file:
        process = made.popen("export", "--follow", "--config", str(made.config), stdout=file)
    try:
        eventually(lambda: len(out.read_text().splitlines()) == 4, "what there is")
        log = SqliteLog.open(made.folder / "state/log.db")
        put(log, DECISIONS, ban(7))
        eventually(lambda: len(out.read_text().splitlines()) == 5, "what comes")
        log.close()
    finally:
        process.terminate()
        assert process.wait(20) in {0, -15}
    assert isinstance(process, subprocess.Popen)
