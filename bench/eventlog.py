"""How fast the SQLite log is: a burst in frames, a commit on an idle machine, reading back; as JSON lines.

`python -m bench.eventlog [DIRECTORY]`, from the root of the repository: this file's name would hide the
package when it is run by path. The log is made in a temporary directory there, and removed.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from eventlog.contract import Append
from eventlog.sqlite import SqliteLog
from schemas.codec import encode
from schemas.records import AuthEvent
from schemas.topics import BANS, DECISIONS, EVENTS, STATE

EVENTS_IN_BURST: Final = 200_000
EVENTS_IN_FRAME: Final = 1_000
IDLE_COMMITS: Final = 2_000
EVENT_BYTES: Final = 350


def main() -> None:
    """Measure, and print one JSON object a figure."""
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(prefix="banstream-bench-", dir=parent) as directory:
        path = Path(directory) / "log.db"
        for figure in (burst(path), read_back(path), idle(path)):
            print(json.dumps(figure))
    print(json.dumps({"figure": "eventlog_memory", "peak_rss_mb": _peak_rss_mb()}))


def burst(path: Path) -> dict[str, object]:
    """Append frames of events of some 350 bytes as fast as it goes, one commit a frame."""
    frame = b"\n".join(events())
    log = SqliteLog.open(path)
    started = time.perf_counter()
    for _ in range(EVENTS_IN_BURST // EVENTS_IN_FRAME):
        log.append([Append(EVENTS.name, frame)])
    seconds = time.perf_counter() - started
    log.close()
    return {
        "figure": "eventlog_burst",
        "events": EVENTS_IN_BURST,
        "frame_bytes": len(frame),
        "seconds": round(seconds, 3),
        "frames_per_s": round(EVENTS_IN_BURST / EVENTS_IN_FRAME / seconds),
        "events_per_s": round(EVENTS_IN_BURST / seconds),
        "mb_per_s": round(len(frame) * EVENTS_IN_BURST / EVENTS_IN_FRAME / seconds / 1e6),
    }


def read_back(path: Path) -> dict[str, object]:
    """Read the whole burst back, frame by frame."""
    log = SqliteLog.open(path, read_only=True)
    started = time.perf_counter()
    size = offset = 0
    while messages := log.read(EVENTS.name, 0, offset):
        size += sum(len(message.value) for message in messages)
        offset = messages[-1].offset + 1
    seconds = time.perf_counter() - started
    log.close()
    return {
        "figure": "eventlog_read",
        "mb": round(size / 1e6),
        "seconds": round(seconds, 3),
        "mb_per_s": round(size / seconds / 1e6),
    }


def idle(path: Path) -> dict[str, object]:
    """One event a commit, then what the decider commits for it: how long each takes."""
    log = SqliteLog.open(path)
    writer = log.writer("bench")
    event = next(events())
    state = event * 10
    appended, committed = [], []
    for number in range(IDLE_COMMITS):
        started = time.perf_counter()
        log.append([Append(EVENTS.name, event)])
        appended.append(time.perf_counter() - started)
        decided = [
            Append(DECISIONS.name, event),
            Append(BANS.name, event, key=f"192.0.2.{number % 256}"),
            Append(STATE.name, state, key=str(number % 64)),
        ]
        started = time.perf_counter()
        writer.commit(decided, {"decider-0": b"%d" % number})
        committed.append(time.perf_counter() - started)
    log.close()
    return {
        "figure": "eventlog_idle",
        "append_p50_ms": _percentile(appended, 50),
        "append_p99_ms": _percentile(appended, 99),
        "commit_p50_ms": _percentile(committed, 50),
        "commit_p99_ms": _percentile(committed, 99),
    }


def events() -> Iterator[bytes]:
    """Events on the wire, of EVENT_BYTES each."""
    for number in range(EVENTS_IN_FRAME):
        event = AuthEvent(
            kind="failed",
            at_ms=1_767_225_600_000 + number,
            seen_at_ms=1_767_225_600_050 + number,
            filter="sshd",
            filter_version="0123456789abcdef",
            ip=f"192.0.2.{number % 256}",
            source="file:/var/log/auth.log",
            incarnation="2049-1311768-8f14e45f",
            position=number * 110,
            line="",
            user="root",
            port=40_000 + number,
        )
        encoded = encode(event)
        yield encoded[:-1] + b',"host":"' + b"h" * (EVENT_BYTES - len(encoded) - 10) + b'"}'


def _percentile(seconds: list[float], percent: int) -> float:
    return round(statistics.quantiles(seconds, n=100)[percent - 1] * 1_000, 3)


def _peak_rss_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024, 1)


if __name__ == "__main__":
    main()
