"""Two Faust workers against one: what a second one adds where each has a core, and what it costs.

The events wait in a transaction that is still open while workers start and share out the partitions; when it
is committed they are all there at once, and nothing makes load any more. Two cores are too few for a broker
and two workers that take what they get. So each worker gets the same part of a core and no more (a cgroup's
quota), which is a core of its own, but a slower one; the rest is the broker's. Root.

`python -m bench.scaling [PART_OF_A_CORE]...`; 0 is no quota.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from bench.figures import say
from bench.roles import broker_cpu_s
from bench.worker import EVENTS_SENT, cluster, configured, cpu_s, decided, frames
from tests.broker import Cluster

PARTITIONS: Final = 4
PARTS: Final = (0.3, 0.6, 0.0)
PERIOD_US: Final = 20_000
"""Short, so that a worker is not away for a tenth of a second at a time, as with the usual 100 ms."""
PATIENCE_S: Final = 60
SETTLE_S: Final = 3


class Cost(NamedTuple):
    """What deciding all events took."""

    seconds: float
    workers_s: float
    broker_s: float


def main(arguments: list[str]) -> None:
    """Measure for each part of a core, first one worker, then two."""
    with tempfile.TemporaryDirectory(prefix="banstream-bench-") as folder, cluster(Path(folder)) as broker:
        measured(Path(folder), broker, 0.0, 2)  # a broker that has just started compiles its code
        for part in map(float, arguments or PARTS):
            name = f"workers_at_{part:.0%}_of_a_core" if part else "workers_unlimited"
            one, two = (measured(Path(folder), broker, part, count) for count in (1, 2))
            for count, cost in ((1, one), (2, two)):
                say(f"{name}_{count}", EVENTS_SENT / cost.seconds, "events/s")
                say(
                    f"{name}_{count}_processor_time",
                    cost.workers_s / EVENTS_SENT * 1e6,
                    "s per million events",
                )
                say(f"{name}_{count}_broker", cost.broker_s / EVENTS_SENT * 1e6, "s per million events")
            say(f"{name}_2_against_1", one.seconds / two.seconds, "times")


def measured(folder: Path, broker: Cluster, part: float, count: int) -> Cost:
    """So many workers, each with a part of a core, decide the events."""
    url = broker.url(PARTITIONS)
    config = folder / "banstream.toml"
    with closing(configured(config, url)) as log, ExitStack() as stack:
        groups = [stack.enter_context(quota(f"{nth}", part)) for nth in range(count)]
        workers = [stack.enter_context(worker(config, log.partitions // (nth + 1))) for nth in range(count)]
        for group, each in zip(groups, workers, strict=True):
            group.write_text(f"{each.pid}")
        appends, bans = frames(log.partitions)
        with closing(log.writer("load")) as writer:
            writer.commit(appends, {})
        began_ms = time.time_ns() // 1_000_000
        before, broker_before = sum(map(cpu_s, workers)), broker_cpu_s(broker)
        seconds = (max(decided(log, bans)) - began_ms) / 1_000
        cost = Cost(seconds, sum(map(cpu_s, workers)) - before, broker_cpu_s(broker) - broker_before)
    broker.drop(url)
    return cost


@contextmanager
def worker(config: Path, share: int) -> Iterator[subprocess.Popen[bytes]]:
    """A worker, once it has so many partitions."""
    said = config.with_name("decide.err")
    command = [sys.executable, "-P", "-m", "banstream", "decide", "--config", str(config)]
    with said.open("wb") as errors:
        process = subprocess.Popen(command, stderr=errors)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while said.read_text().count("Deciding partition=") < share:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"a worker without {share} partitions: {said.read_text()}")
            time.sleep(0.05)
        time.sleep(SETTLE_S)
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def quota(name: str, cores: float) -> Iterator[Path]:
    """A file for the ids of processes that together get that much of a core at most; 0: what they can get."""
    if not cores:
        yield Path(os.devnull)
        return
    controller, limits = cpu_controller(round(cores * PERIOD_US))
    group = controller / f"banstream-bench-{os.getpid()}-{name}"
    group.mkdir()
    try:
        for setting, value in limits.items():
            (group / setting).write_text(value)
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


def cpu_controller(quota_us: int) -> tuple[Path, dict[str, str]]:
    """Where groups that share processors are made, and what limits one; cgroups of version 1 or 2."""
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, folder, kind, options, *_ = line.split()
        if kind == "cgroup" and "cpu" in options.split(","):
            return Path(folder), {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(quota_us)}
        if kind == "cgroup2" and "cpu" in Path(folder, "cgroup.subtree_control").read_text().split():
            return Path(folder), {"cpu.max": f"{quota_us} {PERIOD_US}"}
    raise SystemExit("needs a cgroup that limits processors")


if __name__ == "__main__":
    main(sys.argv[1:])
