"""How fast the Kafka log is, with a broker on the same machine; as JSON lines.

`python -m bench.kafka`, from the root of the repository: it starts the broker of the tests (with the JVM's
full compiler), or uses $BANSTREAM_KAFKA.
"""

from __future__ import annotations

import os
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from bench.eventlog import events
from bench.figures import say
from eventlog.contract import Append
from eventlog.kafka.log import KafkaLog
from schemas.topics import BANS, DECISIONS, EVENTS, STATE
from tests.broker import Broker, Cluster

FRAMES: Final = 2_000
FRAMES_AN_APPEND: Final = 50
COMMITS: Final = 500
BANS_IN_FORCE: Final = 100_000
EVENTS_IN_FRAME: Final = 100
FOLLOWED: Final = 200


def main() -> None:
    """Measure, and print one JSON object a figure."""
    address = os.environ.get("BANSTREAM_KAFKA")
    with tempfile.TemporaryDirectory(prefix="banstream-bench-") as directory:
        cluster = Cluster(address) if address else Broker(Path(directory), jvm=())
        try:
            if isinstance(cluster, Broker):
                cluster.start()
            url = cluster.url(partitions=4)
            with closing(KafkaLog.open(url)) as log:
                for measure in (appends, single_appends, reads, commits, latest, follows):
                    measure(log)
            cluster.drop(url)
        finally:
            if isinstance(cluster, Broker):
                cluster.kill()
    say("kafka_client_peak_rss", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024, "MB")


def appends(log: KafkaLog) -> None:
    """Frames of EVENTS_IN_FRAME events over four partitions, FRAMES_AN_APPEND an append."""
    frame = b"\n".join(islice(events(), EVENTS_IN_FRAME))
    batch = [Append(EVENTS.name, frame, partition=number % 4) for number in range(FRAMES_AN_APPEND)]
    log.append(batch)
    seconds = _seconds(lambda: [log.append(batch) for _ in range(FRAMES // FRAMES_AN_APPEND)])
    say("kafka_append_frames", FRAMES / seconds, "frames/s")
    say("kafka_append_events", FRAMES * EVENTS_IN_FRAME / seconds, "events/s")
    say("kafka_append_bytes", FRAMES * len(frame) / seconds / 1e6, "MB/s")


def single_appends(log: KafkaLog) -> None:
    """One event an append, as a quiet shipper does."""
    event = [Append(EVENTS.name, next(events()))]
    _say_percentiles("kafka_append_one", [_seconds(lambda: log.append(event)) for _ in range(COMMITS)])


def reads(log: KafkaLog) -> None:
    """Reading the burst back."""
    size = 0

    def read() -> None:
        nonlocal size
        offset = 0
        while messages := log.read(EVENTS.name, 1, offset):
            size += sum(len(message.value) for message in messages)
            offset = messages[-1].offset + 1

    seconds = _seconds(read)
    say("kafka_read", size / seconds / 1e6, "MB/s")


def commits(log: KafkaLog) -> None:
    """A decision, its ban, its state and the position in one transaction, back to back and one by one."""
    writer = log.writer("bench")
    value = next(events())

    def commit(number: int = 0) -> None:
        key = f"192.0.2.{number % 256}"
        decided = [
            Append(DECISIONS.name, value),
            Append(BANS.name, value, key=key),
            Append(STATE.name, value * 10, key=str(number % 64)),
        ]
        writer.commit(decided, {"decider/0": b"%d" % number})

    commit()
    _say_percentiles("kafka_commit", [_seconds(lambda: commit(number)) for number in range(COMMITS)])  # noqa: B023 - called at once
    alone = []
    for number in range(COMMITS // 10):
        time.sleep(0.02)
        alone.append(_seconds(lambda: commit(number)))  # noqa: B023 - called at once
    _say_percentiles("kafka_commit_idle", alone)
    writer.close()


def latest(log: KafkaLog) -> None:
    """What a starting enforcer reads: every ban in force."""
    value = next(events())[:250]
    for first in range(0, BANS_IN_FORCE, 5_000):
        log.append([Append(BANS.name, value, key=_address(n)) for n in range(first, first + 5_000)])
    seconds = _seconds(lambda: list(log.latest(BANS.name)))
    say("kafka_latest_100000_bans", seconds, "s")


def follows(log: KafkaLog) -> None:
    """From the start of a commit to a follower elsewhere having its message in hand."""
    came: dict[int, float] = {}
    writer = log.writer("bench")
    start = log.end(DECISIONS.name)
    done = threading.Event()

    def follow() -> None:
        offset = start
        while not done.is_set() or len(came) < FOLLOWED:
            if log.wait({(DECISIONS.name, 0): offset}, timeout_ms=1_000):
                for message in log.read(DECISIONS.name, 0, offset):
                    came[int(message.value)] = time.perf_counter()
                    offset = message.offset + 1

    thread = threading.Thread(target=follow)
    thread.start()
    sent = {}
    for number in range(FOLLOWED):
        time.sleep(0.02)
        sent[number] = time.perf_counter()
        writer.commit([Append(DECISIONS.name, b"%d" % number)], {})
    done.set()
    thread.join(60)
    _say_percentiles("kafka_commit_to_follower", [came[number] - sent[number] for number in sent])
    writer.close()


def _address(number: int) -> str:
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _say_percentiles(figure: str, seconds: list[float]) -> None:
    percentiles = statistics.quantiles(seconds, n=100)
    for percent in (50, 99):
        say(f"{figure}_p{percent}", percentiles[percent - 1] * 1_000, "ms")


if __name__ == "__main__":
    main()
