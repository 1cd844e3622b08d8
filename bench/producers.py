"""How fast lines become events: the sshd filter on raw files, and the producer into a log; as JSON lines.

`python -m bench.producers [LINES]`, from the root of the repository. Each figure is the best of REPEATS, in
CPU seconds of one process; the logs are made by bench.authlog in a temporary directory, and removed.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from bench import authlog
from eventlog.memory import MemoryLog
from producers.filters.sshd_matcher import SshdMatcher
from producers.offline import read_lines
from producers.producer import Producer, WatchedSource
from producers.stamps import LineClock

LINES: Final = 1_000_000
REPEATS: Final = 3
NOW_MS: Final = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp() * 1_000)


def main() -> None:
    """Measure, and print one JSON object a figure."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else LINES
    with tempfile.TemporaryDirectory(prefix="banstream-bench-") as directory:
        for share in (0.05, 0.9):
            path = Path(directory) / "auth.log"
            authlog.write(path, lines, share)
            for figure in figures(path, lines, share):
                print(json.dumps(figure), flush=True)


def figures(path: Path, lines: int, share: float) -> Iterator[dict[str, object]]:
    """Every figure of one log."""
    yield {"figure": "filter", "attack": share, **best(partial(filter_alone, path))}
    yield {"figure": "match", "attack": share, **best(partial(match, path))}
    iso = path.with_name("iso.log")
    authlog.write(iso, lines, share, span=authlog.Span(iso=True))
    yield {"figure": "match_iso", "attack": share, **best(partial(match, iso))}
    yield {"figure": "match_memory", "peak_rss_mb": peak_rss_mb()}
    yield {"figure": "produce", "attack": share, "log": "memory", **best(partial(produce, path))}


def best(measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """The fastest of some repetitions."""
    return min((measure() for _ in range(REPEATS)), key=lambda figure: figure["seconds"])


def filter_alone(path: Path) -> dict[str, float]:
    """Match lines that have been read, as bench.fail2ban_filters has fail2ban's class do."""
    clock = LineClock(NOW_MS, "offline")
    matcher = SshdMatcher()
    events, seconds = 0, 0.0
    for _, data in read_lines(str(path)):
        started = time.process_time()
        events += len(matcher.scan(data, clock))
        seconds += time.process_time() - started
    return rates(path, events, seconds)


def match(path: Path) -> dict[str, float]:
    """Read and match one file."""
    clock = LineClock(NOW_MS, "offline")
    matcher = SshdMatcher()
    events = 0
    started = time.process_time()
    for _, data in read_lines(str(path)):
        events += len(matcher.scan(data, clock))
    return rates(path, events, time.process_time() - started)


def produce(path: Path) -> dict[str, float]:
    """Follow one file into a log, from its beginning to its end."""
    log = MemoryLog()
    producer = Producer(log, [WatchedSource(f"file:{path}", ("sshd",), start="beginning")], lambda: NOW_MS)
    started = time.process_time()
    while producer.poll():
        pass
    seconds = time.process_time() - started
    producer.close()
    messages = log.read("banstream.events", 0, 0, limit=1 << 30)
    events = sum(message.value.count(b"\n") + 1 for message in messages)
    return rates(path, events, seconds)


def peak_rss_mb() -> int:
    """The most memory that this process ever had."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024)


def rates(path: Path, events: int, seconds: float) -> dict[str, float]:
    """A measurement of a file as figures."""
    with path.open("rb") as stream:
        lines = sum(1 for _ in stream)
    return {
        "lines": lines,
        "events": events,
        "seconds": round(seconds, 3),
        "lines_per_s": round(lines / seconds),
    }


if __name__ == "__main__":
    main()
