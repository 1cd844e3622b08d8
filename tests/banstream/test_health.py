"""Whether a role is alive, as supervisors ask: green while it turns, red when dead, hung or stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from banstream.health import SILENT_S
from tests.banstream.service import BANSTREAM, Service, eventually, service


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Service]:
    """`banstream up`, observing, with a directory for its pulse."""
    with service(tmp_path) as made:
        made.configure(enforcer='backend = "null"')
        (tmp_path / "run").mkdir()
        made.env["RUNTIME_DIRECTORY"] = str(tmp_path / "run")
        yield made


def said(made: Service, role: str, code: int) -> str:
    """What `status --health` says, with its exit code."""
    return made.run("status", "--health", role, code=code).stdout


def test_it_is_green_while_the_role_turns(up: Service) -> None:
    """Exit code 0 while it runs, 1 before and after."""
    assert "does not run" in said(up, "up", 1)
    up.start()
    assert "`up` runs (process" in eventually(lambda: said(up, "up", 0), "green")
    assert json.loads(up.run("status", "--health", "up", "--json").stdout)["alive"] is True
    up.stop()
    assert "does not run" in said(up, "up", 1)


def test_it_is_red_when_the_role_was_killed(up: Service) -> None:
    """What was left by a process that is gone counts for nothing."""
    up.start()
    eventually((up.folder / "run" / "up.pulse").exists, "it has said that it turns")
    up.stop(signal.SIGKILL)
    assert "has died" in said(up, "up", 1)


def test_it_is_red_when_the_role_hangs(up: Service, tmp_path: Path) -> None:
    """A process that does not turn lets its pulse grow old; one that turns makes it new."""
    up.start()
    file = tmp_path / "run" / "up.pulse"

    def age() -> None:
        facts = orjson.loads(file.read_bytes())
        new = file.with_suffix(".aged")
        new.write_bytes(orjson.dumps({**facts, "monotonic_s": facts["monotonic_s"] - SILENT_S}))
        new.replace(file)

    age()
    eventually(lambda: up.run("status", "--health", "up", code=None).returncode == 0, "it turns")
    up.send(signal.SIGSTOP)
    assert up.process is not None
    stat = Path(f"/proc/{up.process.pid}/stat")
    eventually(lambda: b") T" in stat.read_bytes(), "it is halted")
    age()
    assert "hangs" in said(up, "up", 1)
    up.send(signal.SIGCONT)


def test_without_a_directory_the_units_is_asked(tmp_path: Path) -> None:
    """By hand and by cron it is the same question; the answer names the file that is missing."""
    made = Service(tmp_path)
    made.env.pop("RUNTIME_DIRECTORY", None)
    assert "it has no /run/banstream-ship/ship.pulse" in said(made, "ship", 1)


@pytest.mark.real("kafka")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_workers_are_alive_together(tmp_path: Path, workers: str) -> None:
    """They are alive while they wait for a broker; one that hangs makes the role red."""
    config = tmp_path / "banstream.toml"
    config.write_text('[log]\nurl = "kafka://localhost:1?timeout=1s"\n[jail.sshd]\nsource = "stdin"\n')
    made = Service(tmp_path)
    made.env["RUNTIME_DIRECTORY"] = str(tmp_path)
    command = [*BANSTREAM, "decide", "--config", str(config), "--workers", workers]
    with subprocess.Popen(command, env=made.env, stderr=subprocess.DEVNULL) as process:
        try:
            alive = ("status", "--health", "decide")
            eventually(lambda: made.run(*alive, code=None).returncode == 0, "they are alive")
            child = next(iter(tmp_path.glob("decide-*.pulse")), None)
            assert (child is None) == (workers == "1")
            if child is not None:
                facts = orjson.loads(child.read_bytes())
                os.kill(facts["pid"], signal.SIGSTOP)
                old = {**facts, "monotonic_s": facts["monotonic_s"] - SILENT_S}
                eventually(lambda: _is_silent(tmp_path, child, old), "the role's own pulse stops")
                os.kill(facts["pid"], signal.SIGCONT)
        finally:
            process.terminate()
    assert "does not run" in said(made, "decide", 1)


def _is_silent(folder: Path, child: Path, old: dict[str, object]) -> bool:
    """Whether the role's pulse stands still while one of its workers' is old."""
    child.write_bytes(orjson.dumps(old))
    before = (folder / "decide.pulse").read_bytes()
    try:
        eventually(lambda: (folder / "decide.pulse").read_bytes() != before, "", 2.5)
    except AssertionError:
        return True
    return False


@pytest.fixture
def manager(up: Service, tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd listens with for a unit of Type=notify."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(30)
        up.env["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        yield listening


def pending(listening: socket.socket) -> list[bytes]:
    """What has come and was not read yet."""
    found = []
    listening.settimeout(0.05)
    with suppress(TimeoutError):
        while True:
            found.append(listening.recv(4_096))
    return found


def test_the_service_manager_hears_that_it_is_ready_turns_and_stops(
    up: Service, manager: socket.socket
) -> None:
    """READY=1 once the stages turn, WATCHDOG=1 each second, STOPPING=1 at the end (sd_notify(3))."""
    up.start()
    first = manager.recv(4_096).decode().split("\n")
    assert {"READY=1", "WATCHDOG=1", "STATUS=running"} <= set(first)
    again = manager.recv(4_096).decode().split("\n")
    assert "WATCHDOG=1" in again
    assert "READY=1" not in again
    assert up.stop() == 0
    heard = ""
    while "STOPPING=1" not in heard:
        heard = manager.recv(4_096).decode()


def test_a_role_that_hangs_says_nothing(up: Service, manager: socket.socket) -> None:
    """Halted, it sends no more, so that WatchdogSec= has it restarted; let go, it goes on."""
    up.start()
    manager.recv(4_096)
    assert up.process is not None
    up.process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    heard = len(pending(manager))
    time.sleep(2.5)
    assert heard <= 2
    assert pending(manager) == []
    manager.settimeout(30)
    up.process.send_signal(signal.SIGCONT)
    assert b"WATCHDOG=1" in manager.recv(4_096)
