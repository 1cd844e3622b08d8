"""The command line: its exit codes, its help, its outputs, its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from banstream.overview import COMMANDS
from tests.banstream.service import BANSTREAM, Service, service

ATTACK = "".join(
    f"Nov 22 09:00:{second:02d} host sshd[{100 + second}]: Failed password for root from 203.0.113.9"
    f" port {4_000 + second} ssh2\n"
    for second in range(5)
)


@pytest.fixture
def quiet(tmp_path: Path) -> Service:
    """A configured service that is not running, with an attack in its log."""
    with service(tmp_path) as made:
        made.log.write_text(ATTACK, encoding="utf-8")
        return made


def printed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What Python prints."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)


@pytest.mark.parametrize("asked", [(), ("-h",), ("--help",), ("--version",)])
def test_who_asks_what_there_is_waits_for_nothing(asked: tuple[str, ...], tmp_path: Path) -> None:
    """Neither the command line nor a stage is loaded; the command line itself says the same."""
    quick = printed(tmp_path, "-X", "importtime", *BANSTREAM[1:], *asked)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in quick.stderr.splitlines()}
    assert "banstream" in loaded
    assert not loaded & {"click", "orjson", "rich", "sqlite3", "producers", "streams", "eventlog"}
    code = f"from banstream.cli import main; main({list(asked) or ['--help']!r})"
    assert printed(tmp_path, "-c", code).stdout == quick.stdout
    if "--version" not in asked:
        assert all(f"  {name} " in quick.stdout for name in COMMANDS)
        assert max(map(len, quick.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    "command",
    sorted(
        {
            *COMMANDS,
            *("config check", "config show", "filters list", "filters test", "log migrate"),
            *("rules list", "rules push", "topics create", "topics describe"),
        }
    ),
)
def test_every_command_has_help_a_stranger_can_follow(quiet: Service, command: str) -> None:
    """Each says what it does in a sentence and names its options."""
    said = quiet.run(*command.split(), "--help").stdout
    assert said.startswith(f"Usage: banstream {command}")
    assert "--help" in said
    assert len(said.splitlines()) > 4
    assert "\\b" not in said


def test_shell_completion_knows_the_commands(quiet: Service) -> None:
    """Bash, asked what may follow `banstream rep`, is told `replay`."""
    env = {
        **os.environ,
        "_BANSTREAM_COMPLETE": "bash_complete",
        "COMP_WORDS": "banstream rep",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(BANSTREAM, env=env, capture_output=True, text=True, check=False, cwd=quiet.folder)
    assert done.stdout.split() == ["plain,replay"]


def test_match_prints_an_object_for_each_event_with_the_line_it_is_on(quiet: Service) -> None:
    """File, line from 1, filter, kind, address, user and instant, as the design has it."""
    other = quiet.folder / "b.log"
    other.write_text("nothing\n" + ATTACK, encoding="utf-8")
    done = quiet.run("match", "--filter", "sshd", "--json", str(quiet.log), str(other))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["line"] for event in events] == [1, 2, 3, 4, 5, 2, 3, 4, 5, 6]
    expected = {"line": 1, "filter": "sshd", "kind": "failed", "ip": "203.0.113.9", "user": "root"}
    assert expected.items() <= events[0].items()
    assert events[0]["file"] == str(quiet.log)


def test_match_takes_standard_input_and_a_fixed_clock(quiet: Service) -> None:
    """`-` is stdin; --now decides the year of a line that has none."""
    done = subprocess.run(
        [*BANSTREAM, "match", "--json", "--now", "2021-12-01T00:00:00+00:00", "-"],
        input=ATTACK,
        env=quiet.env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[0])["at_ms"] == 1_637_571_600_000


def test_match_finds_nothing_with_exit_code_1(quiet: Service) -> None:
    """No line matched is exit code 1; the counts go to stderr."""
    quiet.log.write_text("nothing here\n", encoding="utf-8")
    done = quiet.run("match", str(quiet.log), code=1)
    assert (done.stdout, done.stderr) == ("", "0 of 1 lines matched\n")


@pytest.mark.parametrize("command", ["match", "replay"])
def test_stats_are_one_json_line_last(quiet: Service, command: str) -> None:
    """With --json after everything else, alone without it; the same keys for both commands."""
    options = ["--config", str(quiet.config)] if command == "replay" else []
    for json_option in ([], ["--json"]):
        done = quiet.run(command, "--stats", *json_option, *options, str(quiet.log))
        last = json.loads(done.stdout.splitlines()[-1])
        assert set(last) == {
            *("lines", "events", "untimed", "unnamed"),
            *("decisions", "seconds", "lines_per_s"),
        }
        assert (last["lines"], last["events"]) == (5, 5)
        assert (len(done.stdout.splitlines()) > 1) == bool(json_option)


def test_replay_prints_decisions_and_touches_no_event_log(quiet: Service) -> None:
    """Given files, it decides in event time; the machine's own log is not even made."""
    (ban,) = quiet.json("replay", "--now", "2026-11-23T00:00:00+00:00", str(quiet.log))
    assert ban == {
        "kind": "ban",
        "prefix": "203.0.113.9",
        "jail": "sshd",
        "at_ms": 1_795_338_002_000,
        "until_ms": 1_795_338_602_000,
        "count": 3,
        "ban_count": 1,
    }
    assert not (quiet.folder / "state").exists()


def test_replay_shows_what_other_rules_would_change(quiet: Service) -> None:
    """--diff names whom the other rules ban besides, and --report writes a page of it."""
    stricter = quiet.folder / "stricter.toml"
    stricter.write_text(quiet.config.read_text().replace("maxretry = 3", "maxretry = 2"), encoding="utf-8")
    line = ATTACK.splitlines()[0].replace("203.0.113.9", "198.51.100.7")
    quiet.log.write_text(
        f"{ATTACK}{line}\n{line}\n".replace("09:00:00 host sshd[100]", "09:01:00 host sshd[9]")
    )
    report = quiet.folder / "report.html"
    changes = quiet.json("replay", "--diff", str(stricter), "--report", str(report), str(quiet.log))
    assert {(each["change"], each["prefix"]) for each in changes} == {("added", "198.51.100.7")}
    assert "198.51.100.7" in report.read_text(encoding="utf-8")


def test_several_files_are_replayed_as_one_stream_in_time(quiet: Service) -> None:
    """Whatever their order on the command line, files that continue each other give the same decisions."""
    lines = ATTACK.splitlines(keepends=True)
    parts = [quiet.folder / name for name in ("a.log", "b.log")]
    parts[0].write_text("".join(lines[:2]), encoding="utf-8")
    parts[1].write_text("".join(lines[2:]), encoding="utf-8")
    for part in (*parts, quiet.log):
        os.utime(part, (1_795_400_000, 1_795_400_000))
    whole = quiet.json("replay", str(quiet.log))
    assert quiet.json("replay", *map(str, parts)) == whole
    assert quiet.json("replay", *map(str, reversed(parts))) == whole


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["match", "/nonexistent/auth.log"], 3, "/nonexistent/auth.log: No such file or directory"),
        (["match", "--filter", "nosuch", "-"], 2, "no filter is named 'nosuch'; see `banstream"),
        (["match"], 2, "Missing argument"),
        (["replay"], 2, "name log files, or a stretch of the event log by --since"),
        (["ban", "300.1.2.3"], 2, "expected an address or prefix such as"),
        (["ban", "192.0.2.1/24"], 2, "without bits beyond the prefix length"),
        (["ban", "192.0.2.1", "--for", "soon"], 2, "a duration such as"),
        (["ban", "192.0.2.1", "--jail", "nosuch"], 2, "there is no such jail; known are manual, sshd"),
        (["unban"], 2, "name one address or prefix, or more, or --all"),
        (["explain", "nonsense"], 2, "or a decision's id"),
        (["nosuch"], 2, "No such command 'nosuch'"),
        (["bans"], 3, "log.db"),
        (["status"], 3, "log.db"),
    ],
)
def test_errors_say_what_is_wrong_with_the_right_exit_code(
    quiet: Service, arguments: list[str], code: int, said: str
) -> None:
    """2 for wrong usage or configuration, 3 for what cannot be reached; the reason, and no traceback."""
    done = quiet.run(*arguments, code=code)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_text_from_a_log_cannot_steer_the_terminal(quiet: Service) -> None:
    """Escape sequences, carriage returns and bidi overrides in a user name are printed as escapes."""
    user = "\x1b[2J\x1b]0;owned\x07ann\u202etxt\r"
    quiet.log.write_text(ATTACK.replace("root", user), encoding="utf-8")
    for command in (["match"], ["replay", "--config", str(quiet.config)]):
        said = quiet.run(*command, str(quiet.log), code=None).stdout
        assert "203.0.113.9" in said
        assert not set(said) & set("\x1b\x07\r\u202e")


def test_a_closed_pipe_is_no_error(quiet: Service) -> None:
    """`banstream match ... | head -1` ends quietly."""
    quiet.log.write_text(ATTACK * 20_000, encoding="utf-8")
    command = f"{' '.join(BANSTREAM)} match --json {quiet.log} | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_a_reason_that_no_record_holds_is_refused(quiet: Service) -> None:
    """Before anything is written: a decider would refuse the command, and nobody would hear of it."""
    said = quiet.run("ban", "192.0.2.7", "--why", "x" * 1_025, "--config", str(quiet.config), code=2).stderr
    assert "1025 characters; 1024 at most" in " ".join(said.split())


def test_shell_completion_knows_the_jails(quiet: Service) -> None:
    """Also of a configuration that is broken elsewhere, and without a word on stderr."""
    quiet.config.write_text(
        '[jail.sshd]\n[jail.sshd-hard]\nfilter = "sshd"\nmaxretry = "x"\n', encoding="utf-8"
    )
    words = f"banstream unban --config {quiet.config} --jail ss"
    env = {
        **os.environ,
        "_BANSTREAM_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = subprocess.run(BANSTREAM, env=env, capture_output=True, text=True, check=False, cwd=quiet.folder)
    assert (done.stdout.split(), done.stderr) == (["plain,sshd", "plain,sshd-hard"], "")
