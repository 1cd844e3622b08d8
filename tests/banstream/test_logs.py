"""What roles say on stderr: a line is one line and a fact one value, whatever others wrote into it."""

from __future__ import annotations

import logging
import shlex
import signal
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from banstream.logs import JsonLines, Lines
from tests.banstream.fleet import role
from tests.banstream.service import eventually

Say = Callable[..., str]


def said(formatter: logging.Formatter, message: str, *facts: object, level: int = logging.WARNING) -> str:
    """What a handler with this formatter writes."""
    out = StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    handler.handle(logging.LogRecord("banstream.streams", level, "file", 1, message, facts, None))
    return out.getvalue()


def test_facts_that_are_words_stand_as_they_are() -> None:
    """Names, numbers, paths: nothing is quoted that needs no quotes."""
    line = said(Lines(), "Deciding partition=%d file=%s seconds=%.2f", 3, "/var/log/auth.log", 1.5)
    assert line.endswith(" WARNING Deciding partition=3 file=/var/log/auth.log seconds=1.50\n")


def test_a_forged_line_stays_a_value() -> None:
    """The case that was shown: a source's name with a line break and a terminal's code."""
    source = "file:/a\n2026-11-30 00:00:00,000 WARNING \x1b[2Jforged host=web1"
    line = said(Lines(), "Events were sent again source=%s events=%d", source, 2)
    assert line.count("\n") == 1
    assert "\x1b" not in line
    assert line.endswith(" events=2\n")
    assert 'source="file:/a\\n2026-11-30' in line


@given(st.text(), st.text(), st.integers())
def test_each_fact_reads_back_as_one_value(first: str, second: str, number: int) -> None:
    """By a shell's rules for words: as many words as there are facts, each with its name."""
    line = said(Lines(), "Told a=%s b=%s c=%d", first, second, number)
    assert line.count("\n") == 1
    assert line.isascii() or line.rstrip("\n").isprintable()
    words = shlex.split(line.split(" Told ", 1)[1])
    assert [word.partition("=")[0] for word in words] == ["a", "b", "c"]
    assert words[2] == f"c={number}"


@given(st.text(), st.integers(-(2**53), 2**53))
def test_json_lines_keep_every_value(text: str, number: int) -> None:
    """One object a line: sentence, level, and each fact a field of its own."""
    line = said(JsonLines(), "Waiting for %s reason=%s lag_ms=%d", "it", text, number)
    assert line.count("\n") == 1
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    wire = orjson.loads(line)
    assert wire["message"] == "Waiting for it"
    assert (wire["reason"], wire["lag_ms"], wire["level"]) == (text, number, "warning")


@pytest.mark.parametrize("formatter", [Lines(), JsonLines()])
def test_a_fact_cannot_take_the_place_of_what_the_role_says(formatter: logging.Formatter) -> None:
    """A fact that is named as the line's own parts does not replace them."""
    assert "warning" in said(formatter, "Told level=%s", "debug").lower()


@pytest.mark.parametrize("formatter", [Lines(), JsonLines()])
def test_libraries_are_made_harmless_as_well(formatter: logging.Formatter) -> None:
    """Whatever form their messages have."""
    line = said(formatter, "%(who)s broke \x1b[1m", {"who": "a\nb"})
    assert line.count("\n") == 1
    assert "\x1b" not in line


def test_a_traceback_cannot_steer_a_terminal() -> None:
    """Its lines stay lines, their content is escaped."""
    out = StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(Lines())
    try:
        int("bad \x1b[2J")
    except ValueError as error:
        facts = (type(error), error, error.__traceback__)
        handler.handle(logging.LogRecord("banstream", logging.ERROR, "f", 1, "Ended", (), facts))
    assert "bad \\x1b[2J" in out.getvalue()
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize(("options", "heard"), [((), False), (("--debug",), True)])
def test_the_libraries_speak_when_they_are_asked_to(
    tmp_path: Path, options: tuple[str, ...], *, heard: bool
) -> None:
    """kafka-python says why it cannot connect with --debug alone; our own sentence comes either way."""
    with role("enforce", tmp_path / "host") as enforcer:
        enforcer.settle("kafka://127.0.0.1:1?timeout=1s", '[enforcer]\nbackend = "null"')
        with (enforcer.folder / "role.err").open("w", encoding="utf-8") as errors:
            command = ("enforce", "--config", str(enforcer.config), "--log-format", "json", *options)
            enforcer.process = enforcer.popen(*command, stderr=errors)
        eventually(lambda: "Waiting to try again" in enforcer.errors, "it waits for the broker")
    wires = [orjson.loads(line) for line in enforcer.errors.splitlines()]
    assert any(wire["logger"].startswith("kafka") for wire in wires) is heard
    assert {"stage", "reason"} <= next(wire for wire in wires if "Waiting" in wire["message"]).keys()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_worker_says_that_it_does_not_reload(tmp_path: Path, workers: str) -> None:
    """A hang-up neither ends it nor passes in silence: it follows the rules in force."""
    with role("decide", tmp_path / "host") as decide:
        decide.settle("kafka://127.0.0.1:1?timeout=1s")
        with (decide.folder / "role.err").open("w", encoding="utf-8") as errors:
            command = ("decide", "--config", str(decide.config), "--workers", workers)
            decide.process = decide.popen(*command, stderr=errors)
        eventually(lambda: "Waiting for the broker" in decide.errors, "it waits for the broker")
        decide.process.send_signal(signal.SIGHUP)
        eventually(lambda: "Not reloaded" in decide.errors, "it says so")
        assert decide.process.poll() is None
