"""`ship` and `enforce` as processes of their own on a real broker: speed, memory, and a hundred enforcers.

`python -m bench.roles [ship] [bootstrap] [hundred]`, as root, from the root of the repository. Needs the
broker's jars (deploy/machine.sh test), or $BANSTREAM_KAFKA. Broker and roles share the machine.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from typing import Final

from banstream.key_files import make_key
from bench.authlog import write
from bench.figures import say
from bench.worker import cluster, cpu_s, resident_mb
from eventlog.contract import Append
from eventlog.kafka.log import KafkaLog
from schemas.codec import encode
from schemas.records import Hold, Standing
from schemas.topics import BANS, ENFORCEMENTS, EVENTS
from tests.banstream.fleet import relay
from tests.broker import Broker, Cluster
from tests.namespaces import Host, fleet

LINES: Final = 300_000
BANS_IN_FORCE: Final = 100_000
ENFORCERS: Final = 100
PATIENCE_S: Final = 300
IDLE_S: Final = 20
SETTLE_S: Final = 8
"""Until what a burst needed is given back to the system."""


def main(arguments: list[str]) -> None:
    """Measure what is asked for, or all of it."""
    with tempfile.TemporaryDirectory(prefix="banstream-bench-") as folder, cluster(Path(folder)) as broker:
        for name, measure in MEASURES.items():
            if not arguments or name in arguments:
                measure(Path(folder), broker)


def ship(folder: Path, broker: Cluster) -> None:
    """A file of LINES lines, 90 % of them an attack's, from start to the last acknowledgement."""
    log_file = folder / "auth.log"
    write(log_file, LINES, 0.9)
    for partitions, signs in ((1, False), (8, False), (1, True), (8, True)):
        url = broker.url(partitions)
        role = folder / f"ship_{partitions}{'_signed' * signs}"
        role.mkdir()
        config = role / "banstream.toml"
        key = f'key_file = "{role}/host.key"\n' if signs else ""
        if signs:
            make_key(role / "host.key")
        config.write_text(
            f'[log]\nurl = "{url}"\n[ship]\ndirectory = "{role}"\n{key}'
            f'[jail.sshd]\nsource = "file:{log_file}"\nstart = "beginning"\n'
        )
        with closing(KafkaLog.open(url)) as log:
            started = time.perf_counter()
            process = start("ship", config)
            peak = watch(process, partial(shipped, role / "ship.db", log_file))
            seconds = time.perf_counter() - started
            events = sum(log.end(EVENTS.name, number) for number in range(partitions))
        say(f"{role.name}_frames", events, "frames")
        say(f"{role.name}_partitions", LINES / seconds, "lines/s")
        say(f"{role.name}_processor_time", cpu_s(process), "s")
        say(f"{role.name}_memory_at_the_end", resident_mb(process), "MB")
        say(f"{role.name}_memory_peak", peak, "MB")
        time.sleep(SETTLE_S)
        say(f"{role.name}_memory_afterwards", resident_mb(process), "MB")
        stop(process)
        broker.drop(url)


def bootstrap(folder: Path, broker: Cluster) -> None:
    """An enforcer's start with a hundred thousand bans in the topic, with nftables in a namespace."""
    url = broker.url(1)
    with closing(KafkaLog.open(url)) as log:
        fill(log)
        with fleet("server") as net, forwarded(broker, net["server"]):
            config = folder / "enforce.toml"
            config.write_text(
                f'[log]\nurl = "{url}"\n[enforcer]\nhost = "server"\nmost_per_minute = 1000000\n'
            )
            said = folder / "enforce.err"
            started = time.perf_counter()
            with net["server"].inside():
                process = start("enforce", config, said)
            peak = watch(process, lambda: f"in_force={BANS_IN_FORCE}" in said.read_text())
            say("enforce_bootstrap_100000_bans", time.perf_counter() - started, "s")
            say("enforce_bootstrap_processor_time", cpu_s(process), "s")
            time.sleep(SETTLE_S)
            say("enforce_memory_with_100000_bans", resident_mb(process), "MB")
            say("enforce_memory_peak", peak, "MB")
            stop(process)
    broker.drop(url)


def hundred(folder: Path, broker: Cluster) -> None:
    """A hundred enforcers without a firewall in one process: what they cost idle, how long a ban takes."""
    del folder
    url = broker.url(1)
    with closing(KafkaLog.open(url)) as log:
        log.append([standing(0)])
        for number in (0, ENFORCERS):
            command = [sys.executable, "-m", "bench.followers", url, str(number)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            try:
                if process.stdout is not None:
                    process.stdout.readline()
                time.sleep(SETTLE_S)
                idle(broker, process, number)
                if number:
                    bans(log, process, number)
            finally:
                process.kill()
                process.wait()
    broker.drop(url)


def idle(broker: Cluster, process: subprocess.Popen[str], number: int) -> None:
    """What the broker and so many enforcers use while nothing happens but their heartbeats."""
    theirs, own = broker_cpu_s(broker), cpu_s(process)
    time.sleep(IDLE_S)
    say(f"idle_broker_with_{number}_enforcers", (broker_cpu_s(broker) - theirs) / IDLE_S * 100, "% of a core")
    say(f"idle_{number}_enforcers", (cpu_s(process) - own) / IDLE_S * 100, "% of a core")
    say(f"memory_of_{number}_enforcers_in_one_process", resident_mb(process), "MB")


def bans(log: KafkaLog, process: subprocess.Popen[str], number: int) -> None:
    """Twenty bans a second apart: from one written to all enforcers having recorded it."""
    seconds = []
    for nth in range(1, 21):
        offset = log.end(ENFORCEMENTS.name)
        started = time.perf_counter()
        log.append([standing(nth)])
        recorded = 0
        while recorded < number and process.poll() is None and time.perf_counter() - started < PATIENCE_S:
            for message in log.read(ENFORCEMENTS.name, 0, offset):
                recorded += message.value.count(b'"type":"enforcement"')
                offset = message.offset + 1
        seconds.append(time.perf_counter() - started)
        time.sleep(1)
    say("ban_recorded_by_all_p50", sorted(seconds)[10] * 1_000, "ms")
    say("ban_recorded_by_all_max", max(seconds) * 1_000, "ms")


def broker_cpu_s(broker: Cluster) -> float:
    """Processor seconds that a broker of ours has used; 0 of another."""
    return cpu_s(broker.process) if isinstance(broker, Broker) else 0.0


def start(role: str, config: Path, said: Path | None = None) -> subprocess.Popen[bytes]:
    """A role."""
    command = [sys.executable, "-P", "-m", "banstream", role, "--config", str(config)]
    with (said or Path(os.devnull)).open("w") as errors:
        return subprocess.Popen(command, stderr=errors)


def watch(process: subprocess.Popen[bytes], done: Callable[[], bool]) -> float:
    """Wait until something holds; the most memory that the process was seen to have."""
    deadline = time.monotonic() + PATIENCE_S
    peak = 0.0
    while not done():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("it ended, or took too long")
        peak = max(peak, resident_mb(process))
        time.sleep(0.02)
    return peak


def shipped(spool: Path, log_file: Path) -> bool:
    """Whether all of a file is read, and nothing waits any more."""
    if not spool.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{spool}?mode=ro", uri=True)) as db:
            waiting = db.execute("SELECT count(*) FROM frames").fetchone()[0]
            positions = db.execute("SELECT value FROM positions WHERE reader LIKE 'source/%'").fetchall()
    except sqlite3.Error:
        return False
    return not waiting and any(str(log_file.stat().st_size).encode() in value for (value,) in positions)


def fill(log: KafkaLog) -> None:
    """Put the bans into the topic."""
    for first in range(0, BANS_IN_FORCE, 5_000):
        log.append([standing(number) for number in range(first, first + 5_000)])


def standing(number: int) -> Append:
    """A ban of an hour."""
    now_ms = time.time_ns() // 1_000_000
    prefix = f"{20 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.7"
    hold = Hold(jail="sshd", ban=f"0-{number}-17-0", until_ms=now_ms + 3_600_000)
    record = Standing(prefix=prefix, decision=hold.ban, decided_at_ms=now_ms, holds=(hold,))
    return Append(BANS.name, encode(record), key=prefix)


def forwarded(broker: Cluster, host: Host) -> AbstractContextManager[None]:
    """Within it a namespace reaches the broker."""
    return relay(int(broker.address.rpartition(":")[2]), host)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop it."""
    process.terminate()
    process.wait(60)


MEASURES: Final = {"ship": ship, "bootstrap": bootstrap, "hundred": hundred}

if __name__ == "__main__":
    main(sys.argv[1:])
