"""Faust workers on a real broker: events a second of one and of two, a restart with a million addresses.

Needs the broker's jars (deploy/machine.sh test), or $BANSTREAM_KAFKA. Broker and worker share the machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from bench.figures import say
from eventlog.contract import Append, EventLog
from eventlog.urls import open_log
from schemas.topics import DECISIONS, EVENTS, RULES
from tests.broker import Broker, Cluster

EVENTS_SENT: Final = 1_000_000
FRAME: Final = 300
DECIDING: Final = 100
"""One event of so many decides a ban."""
AT_ONCE: Final = 200
"""As many frames as a producer has in its hands."""
RULES_TEXT: Final = '[jail.sshd]\nfilter = "sshd"\nmaxretry = 3\nfindtime = "1d"\nbantime = "7d"\n'


def main() -> None:
    """Measure all."""
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder)) as broker:
        config = Path(folder) / "banstream.toml"
        log = configured(config, broker.url(1))
        bans = fill(log)
        worker = start(config, log)
        say("worker", EVENTS_SENT / wait_s(log, bans), "events/s")
        say("worker_decisions", bans, "decisions")
        say("worker_per_core", EVENTS_SENT / cpu_s(worker), "events/s of its processor time")
        say("worker_memory", resident_mb(worker), "MB")
        worker.kill()
        worker.wait()
        say("worker_restart_1m_addresses_after_kill_9", restarted(config, log, 0), "s")
        say("worker_restart_1m_addresses", restarted(config, log, 1), "s")
        log.close()
        for count in (1, 2):
            log = configured(config, broker.url(4))
            bans = fill(log)
            workers = start(config, log, "--workers", str(count))
            say(f"workers_{count}_of_4_partitions", EVENTS_SENT / wait_s(log, bans), "events/s")
            stop(workers)
            log.close()


def configured(config: Path, url: str) -> EventLog:
    """A new log with rules in force."""
    config.write_text(
        f'[log]\nurl = "{url}"\n[decider]\nmax_subjects = 2_000_000\n{RULES_TEXT}', encoding="utf-8"
    )
    log = open_log(url)
    stop(start(config, log))
    return log


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """$BANSTREAM_KAFKA, or a broker of our own as an operator would run it."""
    if address := os.environ.get("BANSTREAM_KAFKA"):
        yield Cluster(address)
        return
    with Broker(folder / "kafka", jvm=()) as broker:
        yield broker


def start(config: Path, log: EventLog, *options: str) -> subprocess.Popen[bytes]:
    """A worker, with rules in force."""
    command = [sys.executable, "-P", "-m", "banstream", "decide", "--config", str(config), *options]
    worker = subprocess.Popen(command, stderr=None if "-v" in sys.argv else subprocess.DEVNULL)
    while not list(log.latest(RULES.name)):
        time.sleep(0.05)
    return worker


def stop(worker: subprocess.Popen[bytes]) -> None:
    """Stop it cleanly: it writes its state."""
    worker.send_signal(signal.SIGTERM)
    worker.wait(120)


def fill(log: EventLog) -> int:
    """Append the events; returns how many bans they decide."""
    appends, bans = frames(log.partitions)
    for first in range(0, len(appends), AT_ONCE):
        log.append(appends[first : first + AT_ONCE])
    return bans


def frames(partitions: int) -> tuple[list[Append], int]:
    """The events, a frame to each partition in turn, and how many bans they decide.

    Of each DECIDING three are one address's. Partitions are not those of the addresses: a decider does not
    ask.
    """
    now_ms = time.time_ns() // 1_000_000
    bans = 0
    appends: list[Append] = []
    for first in range(0, EVENTS_SENT, FRAME):
        lines = []
        for number in range(first, min(first + FRAME, EVENTS_SENT)):
            nth = number % DECIDING
            bans += nth == DECIDING - 1
            lines.append(line(number - nth if nth >= DECIDING - 3 else number, number, now_ms))
        appends.append(Append(EVENTS.name, b"\n".join(lines), partition=first // FRAME % partitions))
    return appends, bans


def line(address: int, position: int, at_ms: int) -> bytes:
    """A failed login, as sshd's filter gives it."""
    ip = f"{1 + (address >> 16)}.{address >> 8 & 255}.{address & 255}.7"
    return orjson.dumps(
        {
            "type": "auth",
            "v": 1,
            "kind": "failed",
            "at_ms": at_ms,
            "seen_at_ms": at_ms,
            "filter": "sshd",
            "filter_version": "0123456789ab",
            "ip": ip,
            "source": "file:/var/log/auth.log",
            "incarnation": "fe00:123456:0011",
            "position": position,
            "line": f"Nov 22 09:00:00 host sshd[4711]: Failed password for root from {ip} port 50122 ssh2",
            "user": "root",
            "port": 50122,
        }
    )


def wait_s(log: EventLog, count: int) -> float:
    """Wait for so many decisions; seconds from the first to the last, by the log's clock."""
    times = decided(log, count)
    return (max(times) - min(times)) / 1_000


def decided(log: EventLog, count: int) -> list[int]:
    """Wait for so many decisions; when they were made, in Unix milliseconds by the log's clock."""
    held, offsets = 0, dict.fromkeys(range(log.partitions), 0)
    times: list[int] = []
    while held < count:
        found = [
            message for number in offsets for message in log.read(DECISIONS.name, number, offsets[number])
        ]
        for message in found:
            held += message.value.count(b"\n") + 1
            offsets[message.partition] = message.offset + 1
            times.append(message.at_ms)
        if not found:
            time.sleep(0.1)
    return times


def restarted(config: Path, log: EventLog, nth: int) -> float:
    """Seconds from the `nth` start of a worker to a decision about what came while it was away."""
    now_ms = time.time_ns() // 1_000_000
    end = log.end(DECISIONS.name)
    position = EVENTS_SENT + 3 * nth
    log.append([Append(EVENTS.name, line(0xABCDEF + nth, position + each, now_ms)) for each in range(3)])
    started = time.perf_counter()
    worker = start(config, log)
    while not log.read(DECISIONS.name, 0, end):
        time.sleep(0.02)
    seconds = time.perf_counter() - started
    stop(worker)
    return seconds


def cpu_s(worker: subprocess.Popen[Any]) -> float:
    """Processor seconds that a worker has used, its start included."""
    user, system = Path(f"/proc/{worker.pid}/stat").read_text(encoding="ascii").split()[13:15]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident_mb(worker: subprocess.Popen[Any]) -> float:
    """A worker's resident memory, in MB of 2**20 bytes."""
    pages = Path(f"/proc/{worker.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4_096 / (1 << 20)


if __name__ == "__main__":
    main()
