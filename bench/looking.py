"""How long looking takes in a large log: `events`, `explain`, `bans`, as a user calls them; as JSON lines.

`python -m bench.looking [EVENTS [kafka]]`, from the root of the repository: in a SQLite log that is made for
it in a temporary folder, or on the broker of the tests (with the JVM's full compiler), or $BANSTREAM_KAFKA.
The addresses are Zipf-distributed, some banned again and again; events, decisions and enforcements are
written as `up`, or a worker, writes them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Final

from bench.figures import say
from eventlog.contract import Append, EventLog
from eventlog.sqlite import SqliteLog
from eventlog.urls import open_log
from schemas.codec import decode_frame, encode_frame
from schemas.records import AuthEvent, Ban, Enforcement, Unban
from schemas.rules import Jail, Rules
from schemas.topics import DECISIONS, ENFORCEMENTS, EVENTS, partition_of_address
from streams.embedded import EmbeddedDecider

EVENTS_IN_FRAME: Final = 500
ADDRESSES: Final = 200_000
PARTITIONS: Final = 4
DAYS: Final = 8
DAY_MS: Final = 86_400_000
AGAIN: Final = 3
RARE: Final = "198.18.0.77"
UNKNOWN: Final = "198.18.0.78"


class Source:
    """The events of a busy week, in order of time."""

    def __init__(self, events: int, now_ms: int) -> None:
        self._random = Random(7)
        numbers = range(ADDRESSES)
        self._ips = [f"203.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in numbers]
        self._weights = list(accumulate(1 / (number + 10) for number in numbers))
        self._start_ms, self._step_ms = now_ms - DAYS * DAY_MS, DAYS * DAY_MS / events
        self.position = 0

    def frame(self, *, rare: bool) -> list[AuthEvent]:
        """The next events; one of them of RARE where that is asked for."""
        ips = self._random.choices(self._ips, cum_weights=self._weights, k=EVENTS_IN_FRAME)
        if rare:
            ips[7] = RARE
        return [self._event(ip) for ip in ips]

    def _event(self, ip: str) -> AuthEvent:
        self.position += 1
        at_ms = int(self._start_ms + self.position * self._step_ms)
        return AuthEvent(
            kind="failed",
            at_ms=at_ms,
            seen_at_ms=at_ms,
            filter="sshd",
            filter_version="0f3a9c2d11be",
            ip=ip,
            source="file:/var/log/auth.log",
            incarnation="2049:1834021:5ac0f1",
            position=self.position * 118,
            line=f"Nov 22 09:14:31 server sshd[{self.position % 32768}]: Failed password for invalid user "
            f"admin from {ip} port {self.position % 28000 + 32768} ssh2",
            user="admin",
            port=self.position % 28000 + 32768,
        )


def fill(log: EventLog, events: int, clock: list[int]) -> str:
    """Fill a log; the address that was banned most."""
    decider = EmbeddedDecider(log, now_ms=lambda: clock[0])
    decider.catch_up()
    jail = Jail(name="sshd", filters=("sshd",), maxretry=5, findtime_ms=600_000, bantime_ms=3_600_000)
    decider.govern(Rules(jails=(jail,)))
    source = Source(events, time.time_ns() // 1_000_000)
    last = events // EVENTS_IN_FRAME - 1
    for number in range(last + 1):
        frame = source.frame(rare=number == last // 2)
        clock[0] = frame[-1].at_ms + 1
        by_partition: dict[int, list[AuthEvent]] = {}
        for event in frame:
            by_partition.setdefault(partition_of_address(event.ip, log.partitions), []).append(event)
        appends = [Append(EVENTS.name, encode_frame(part), partition=to) for to, part in by_partition.items()]
        log.append(appends)
        if number % 8 == 7 or number == last:  # noqa: PLR2004 - as many as there are at once under load
            decider.catch_up()
            decider.tick()
    decider.close()
    return enforce(log)


def enforce(log: EventLog) -> str:
    """Record every decision as applied; the address that was banned most."""
    bans: dict[str, int] = {}
    frame: list[Enforcement] = []
    for number in range(log.partitions):
        offset = log.begin(DECISIONS.name, number)
        while messages := log.read(DECISIONS.name, number, offset):
            for message in messages:
                for record in decode_frame(message.value):
                    if isinstance(record, Ban | Unban):
                        verb = "ban" if isinstance(record, Ban) else "unban"
                        decision = record.id if isinstance(record, Ban) else record.ban
                        bans[record.prefix] = bans.get(record.prefix, 0) + (verb == "ban")
                        frame.append(
                            Enforcement(
                                decision=decision,
                                prefix=record.prefix,
                                verb="ban" if verb == "ban" else "unban",
                                host="server",
                                backend="nftables",
                                outcome="applied",
                                at_ms=record.at_ms + 3,
                            )
                        )
                if len(frame) >= 20:  # noqa: PLR2004 - a busy moment's
                    log.append([Append(ENFORCEMENTS.name, encode_frame(frame))])
                    frame = []
            offset = messages[-1].offset + 1
    return max(bans, key=lambda ip: bans[ip], default=UNKNOWN)


def measure(name: str, config: Path, often: str) -> None:
    """Time every look, the first time and again."""
    looks = (
        ("events --last 10", ["events", "--last", "10"]),
        ("events --since 1h", ["events", "--since", "1h"]),
        ("explain, nothing known (builds the index)", ["explain", UNKNOWN]),
        ("explain, nothing known", ["explain", UNKNOWN]),
        ("explain, one failure days ago", ["explain", RARE]),
        ("explain, banned most often", ["explain", often]),
        ("events ADDRESS --last 10, of the most frequent", ["events", "203.0.0.0", "--last", "10"]),
        ("bans", ["bans"]),
    )
    for look, arguments in looks:
        seconds = []
        for _ in range(1 if "builds" in look else AGAIN):
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, "-P", "-m", "banstream", *arguments, "--config", str(config)],
                check=False,
                stdout=subprocess.DEVNULL,
                env=os.environ | {"XDG_STATE_HOME": str(config.parent), "PYTHONPATH": str(Path.cwd())},
            )
            seconds.append(time.perf_counter() - started)
        say(f"looking_{name}: {look}", min(seconds), "s")


def main() -> None:
    """Fill a log and look into it."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="banstream-bench-") as directory:
        folder = Path(directory)
        if sys.argv[2:] == ["kafka"]:
            on_kafka(folder, events)
        else:
            clock = [0]
            log = SqliteLog.open(folder / "log.db", now_ms=lambda: clock[0])
            look(folder, events, f"sqlite://{folder}/log.db", log, clock)
            for what, file in (("log", "log.db"), ("index", "log.db.index")):
                say(f"looking: the {what}", (folder / file).stat().st_size / 1e6, "MB")


def on_kafka(folder: Path, events: int) -> None:
    """The same on the tests' broker, or on $BANSTREAM_KAFKA, with PARTITIONS."""
    from tests.broker import Broker, Cluster  # noqa: PLC0415 - only here is it needed

    address = os.environ.get("BANSTREAM_KAFKA")
    cluster = Cluster(address) if address else Broker(folder, jvm=())
    try:
        if isinstance(cluster, Broker):
            cluster.start()
        url = cluster.url(partitions=PARTITIONS)
        look(folder, events, url, open_log(url), [0])
        cluster.drop(url)
    finally:
        if isinstance(cluster, Broker):
            cluster.kill()


def look(folder: Path, events: int, url: str, log: EventLog, clock: list[int]) -> None:
    """Fill a log, let go of it, and look into it."""
    config = folder / "banstream.toml"
    ship = f'[ship]\ndirectory = "{folder}"\n'
    config.write_text(f'[log]\nurl = "{url}"\n{ship}[jail.sshd]\n[decider]\nrequire_enrolled = false\n')
    started = time.perf_counter()
    often = fill(log, events, clock)
    log.close()
    say("looking: filled in", time.perf_counter() - started, "s")
    measure(f"{url.partition(':')[0]}_{events}", config, often)


if __name__ == "__main__":
    main()
