"""Counting by user in a fleet: what it costs a worker, and how long from an event to the ban that it makes.

Needs the broker's jars, as bench.worker does.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import orjson

from bench.figures import say
from bench.worker import AT_ONCE, EVENTS_SENT, FRAME, HOSTS, cluster, configured, line, start, stop, wait_s
from eventlog.contract import Append
from eventlog.kafka.quiet import quiet_libraries
from schemas.topics import DECISIONS, EVENTS, partition_of, partition_of_user
from streams.order import OBEYED
from tests.broker import Cluster

PARTITIONS: Final = 4
SELECTED: Final = 10
"""One event of so many names a user."""
USERS: Final = 1_000
DECIDING: Final = 100
LATENCIES: Final = 300
COUNTING: Final = '[jail.users]\nfilter = "sshd"\ncount = "user"\nmaxretry = {}\nbantime = "1d"\n'


def main() -> None:
    """Measure both on each host."""
    quiet_libraries()
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder)) as broker:
        config = Path(folder) / "banstream.toml"
        for host in HOSTS:
            if "latency" not in sys.argv:
                burst(config, broker, host)
            if "burst" not in sys.argv:
                latency(config, broker, host)


def burst(config: Path, broker: Cluster, host: str) -> None:
    """A million events of four partitions, a tenth with a user, by one worker: counted by user, and not."""
    for name, more in (("without", ""), ("with", COUNTING.format(256))):
        log = configured(config, broker.url(PARTITIONS), host, more=more)
        bans = 0
        now_ms = time.time_ns() // 1_000_000
        appends = []
        for first in range(0, EVENTS_SENT, FRAME):
            lines = []
            for number in range(first, min(first + FRAME, EVENTS_SENT)):
                nth = number % DECIDING
                bans += nth == DECIDING - 1
                address = number - nth if nth >= DECIDING - 3 else number
                user = f"user{number // SELECTED % USERS}" if number % SELECTED == 0 else None
                lines.append(line(address, number, now_ms, user=user))
            appends.append(Append(EVENTS.name, b"\n".join(lines), partition=first // FRAME % PARTITIONS))
        for first in range(0, len(appends), AT_ONCE):
            log.append(appends[first : first + AT_ONCE])
        worker = start(config, log)
        say(f"{host}_worker_{name}_users", EVENTS_SENT / wait_s(log, bans), "events/s")
        stop(worker)
        log.close()


def latency(config: Path, broker: Cluster, host: str) -> None:
    """From an event to the ban of its address by a user who is counted in another partition."""
    log = configured(config, broker.url(PARTITIONS), host, maxretry=9, more=COUNTING.format(1))
    worker = start(config, log)
    time.sleep(15)
    took_ms = []
    for nth in range(LATENCIES):
        ip = f"203.{nth >> 8}.{nth & 255}.7"
        number = partition_of(ip, PARTITIONS)
        user = next(
            name for name in map("user{}".format, range(99)) if partition_of_user(name, PARTITIONS) != number
        )
        begin = log.end(DECISIONS.name, number)
        event = orjson.loads(line(nth, nth, time.time_ns() // 1_000_000, user=user)) | {"ip": ip}
        sent = time.monotonic()
        log.append([Append(EVENTS.name, orjson.dumps(event), partition=number)])
        while not any(
            not message.value.startswith(OBEYED) for message in log.read(DECISIONS.name, number, begin)
        ):
            time.sleep(0.001)
        took_ms.append((time.monotonic() - sent) * 1_000)
        time.sleep(0.05)
    say(f"{host}_event_to_ban_by_user_p50", statistics.median(took_ms), "ms")
    say(f"{host}_event_to_ban_by_user_p99", sorted(took_ms)[int(len(took_ms) * 0.99)], "ms")
    stop(worker)
    log.close()


if __name__ == "__main__":
    main()
