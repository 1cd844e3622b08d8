"""`up` with nothing to do, at its limits: a million subjects with failures, a hundred thousand bans in force.

`python -m bench.idle`, from the root of the repository; one JSON line a figure. The log is made by the
decider itself from events of so many addresses; `up` then runs on it with a firewall that only observes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson

from banstream.config import load_settings
from bench.figures import say
from eventlog.contract import Append
from eventlog.urls import open_log
from schemas.topics import EVENTS
from streams.embedded import EmbeddedDecider

SUBJECTS: Final = 1_000_000
BANS: Final = 100_000
FRAME: Final = 500
IDLE_S: Final = 30
SETTLE_S: Final = 10
PATIENCE_S: Final = 300
CONFIGURATION: Final = """
[log]
url = "sqlite://{folder}/log.db"
[defaults]
findtime = "30d"
[decider]
max_subjects = 2000000
[enforcer]
backend = "null"
most_per_minute = 10000000
[jail.patient]
filter = "sshd"
source = "file:{folder}/auth.log"
maxretry = 5
[jail.strict]
filter = "vsftpd"
source = "file:{folder}/auth.log"
maxretry = 1
bantime = "30d"
"""


def main() -> None:
    """Make the log, run `up` on it, and see what it takes while nothing happens."""
    with tempfile.TemporaryDirectory(prefix="banstream-bench-") as name:
        folder = Path(name)
        (folder / "auth.log").touch()
        config = folder / "banstream.toml"
        config.write_text(CONFIGURATION.format(folder=folder), encoding="utf-8")
        fill(folder, config)
        command = [sys.executable, "-P", "-m", "banstream", "up", "--config", str(config)]
        with (folder / "errors").open("w") as errors, subprocess.Popen(command, stderr=errors) as up:
            await_text(folder / "errors", "OBSERVING")
            time.sleep(SETTLE_S)
            before = cpu_s(up.pid)
            time.sleep(IDLE_S)
            share = (cpu_s(up.pid) - before) / IDLE_S
            say("up idle, a million subjects, 100,000 bans: of a core", share * 100, "%")
            status = Path(f"/proc/{up.pid}/status").read_text(encoding="ascii")
            say("up idle, the same: resident", int(status.partition("VmRSS:")[2].split()[0]) / 1_024, "MB")
            up.terminate()


def fill(folder: Path, config: Path) -> None:
    """A log whose decider holds so many subjects and bans."""
    at_ms = time.time_ns() // 1_000_000
    log = open_log(f"sqlite://{folder}/log.db")
    decider = EmbeddedDecider(log, now_ms=lambda: at_ms)
    decider.govern(load_settings(str(config), check="names").rules())
    frame: list[bytes] = []
    for number, (name, ip) in enumerate(failures()):
        frame.append(event(name, ip, at_ms, number))
        if len(frame) == FRAME:
            log.append([Append(EVENTS.name, b"\n".join(frame))])
            frame.clear()
            decider.poll()
    decider.catch_up()
    decider.close()
    log.close()


def failures() -> Iterator[tuple[str, str]]:
    """Filters and addresses, each once: those that fail, and those that are banned for it."""
    for number in range(SUBJECTS):
        yield "sshd", f"{20 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.7"
    for number in range(BANS):
        yield "vsftpd", f"{100 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.8"


def event(name: str, ip: str, at_ms: int, position: int) -> bytes:
    """A failure as a producer writes it."""
    return orjson.dumps(
        {
            "type": "auth",
            "v": 1,
            "kind": "failed",
            "at_ms": at_ms,
            "seen_at_ms": at_ms,
            "filter": name,
            "filter_version": "0",
            "ip": ip,
            "source": "file:/var/log/auth.log",
            "incarnation": "0",
            "position": position,
            "line": "x",
        }
    )


def await_text(file: Path, text: str) -> None:
    """Wait until a file holds a text."""
    deadline = time.monotonic() + PATIENCE_S
    while text not in file.read_text(encoding="utf-8"):
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {PATIENCE_S} s: {text}")
        time.sleep(0.1)


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, in seconds (proc_pid_stat(5))."""
    facts = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
