"""Where a file is begun that is read for the first time."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from producers.contract import StartPosition
from producers.sources.start import offset_for

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1_000)


def offset(path: Path, start: StartPosition) -> int:
    """The offset in a file."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return offset_for(fd, start, NOW_MS)
    finally:
        os.close(fd)


def logged(path: Path, count: int, form: str = "%Y-%m-%dT%H:%M:%S.%f+00:00") -> list[str]:
    """A log of one line every 10 s until now."""
    times = (NOW - timedelta(seconds=10 * (count - 1 - number)) for number in range(count))
    lines = [f"{at.strftime(form)} web app: {'x' * (number % 90)}\n" for number, at in enumerate(times)]
    path.write_text("".join(lines))
    return lines


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S.%f+00:00", "%b %d %H:%M:%S"])
@pytest.mark.parametrize("recent_ms", [0, 5_000, 600_000, 3_600_000, 10**12])
def test_recent_is_the_first_line_not_older(
    tmp_path: Path, form: str, recent_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bisecting finds the line that reading from the start would."""
    monkeypatch.setenv("TZ", "UTC")
    lines = logged(tmp_path / "log", 3_000, form)
    wanted = min(3_000, recent_ms // 10_000 + 1)
    assert offset(tmp_path / "log", StartPosition("recent", recent_ms)) == sum(
        map(len, lines[: 3_000 - wanted])
    )


def test_lines_without_a_time_go_with_the_next_that_has_one(tmp_path: Path) -> None:
    """Continuation lines do not lead the search astray."""
    lines = logged(tmp_path / "log", 200)
    mixed = "".join(line + "\tmore of it\n" * 3 for line in lines)
    (tmp_path / "log").write_text(mixed)
    found = offset(tmp_path / "log", StartPosition("recent", 0))
    assert lines[-1] in mixed[found:]
    assert lines[-2] not in mixed[found:]


def test_a_file_without_times_is_begun_at_its_end(tmp_path: Path) -> None:
    """Nobody knows how old its lines are, so none is counted."""
    (tmp_path / "log").write_text("one\ntwo\nthr")
    assert offset(tmp_path / "log", StartPosition("recent")) == 8


def test_beginning_and_end(tmp_path: Path) -> None:
    """`beginning` is the first byte; `end` is the start of a last line that is not finished."""
    (tmp_path / "log").write_text("one\ntwo\nthr")
    assert offset(tmp_path / "log", StartPosition("beginning")) == 0
    assert offset(tmp_path / "log", StartPosition("end")) == 8


def test_an_empty_file_is_begun_at_its_start(tmp_path: Path) -> None:
    """There is no other place."""
    (tmp_path / "log").write_text("")
    for at in (StartPosition("recent"), StartPosition("end"), StartPosition("beginning")):
        assert offset(tmp_path / "log", at) == 0


@pytest.mark.parametrize(
    "form",
    [
        '192.0.2.7 - - [%d/%b/%Y:%H:%M:%S +0000] "GET / HTTP/1.1" 200 1',
        "[%a %b %d %H:%M:%S.%f %Y] [core:error] [pid 7] x",
        "%Y/%m/%d %H:%M:%S [error] 7#7: x",
        "[%Y-%m-%d %H:%M:%S] NOTICE[7] x",
        "%a %b %d %H:%M:%S %Y [pid 7] x",
    ],
)
def test_the_times_of_services_own_logs_are_found(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web server's log is begun at its recent lines as well, and not passed over."""
    monkeypatch.setenv("TZ", "UTC")
    times = [NOW - timedelta(seconds=10 * (199 - number)) for number in range(200)]
    lines = [f"{at.strftime(form)} {'x' * (number % 90)}\n" for number, at in enumerate(times)]
    (tmp_path / "log").write_text("".join(lines))
    found = offset(tmp_path / "log", StartPosition("recent", 600_000))
    assert found == sum(map(len, lines[: 200 - 61]))


def test_a_zone_that_is_told_counts(tmp_path: Path) -> None:
    """A jail's timezone says how old the lines are, whatever this machine's is."""
    lines = logged(tmp_path / "log", 100, "%b %d %H:%M:%S")
    text = "".join(lines)
    assert offset(tmp_path / "log", StartPosition("recent", 100_000, ZoneInfo("UTC"))) < len(text)
    assert offset(tmp_path / "log", StartPosition("recent", 100_000, ZoneInfo("Asia/Tokyo"))) == len(text)
