"""The decider alone: events a second, and the memory of a million tracked addresses, as JSON lines."""

from __future__ import annotations

import time
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Final

from bench.figures import say
from schemas.rules import Jail, Rules
from streams.decider import Decider, Run
from streams.window import reference

START_MS: Final = 1_795_000_000_000
DAY_MS: Final = 86_400_000
EVENTS: Final = 1_000_000
FRAME: Final = 512
RULES: Final = Rules(jails=(Jail(name="sshd", filters=("sshd",)),), max_subjects=2_000_000)


def main() -> None:
    """Measure both."""
    runs = zipf_runs()
    decider = Decider(RULES)
    started = time.perf_counter()
    bans = sum(len(decider.fold(run, no_line)) for run in runs)
    seconds = time.perf_counter() - started
    say("decider", EVENTS / seconds, "events/s")
    say("decider_decisions", bans, "decisions")
    tracked()


def zipf_runs() -> list[Run]:
    """A day of failures of 20,000 addresses, Zipf-distributed, in frames, as the log gives them."""
    random = Random(1)
    addresses = [f"198.{18 + number % 2}.{number // 2 % 250}.{number // 500}" for number in range(20_000)]
    weights = list(accumulate(1 / rank for rank in range(1, len(addresses) + 1)))
    picked = random.choices(addresses, cum_weights=weights, k=EVENTS)
    step = DAY_MS / EVENTS
    return [
        Run(
            reference(offset),
            "sshd",
            [
                ("failed", START_MS + int((offset * FRAME + index) * step) // 1_000 * 1_000, ip, index)
                for index, ip in enumerate(picked[offset * FRAME : (offset + 1) * FRAME])
            ],
        )
        for offset in range(-(-EVENTS // FRAME))
    ]


def tracked() -> None:
    """A million addresses that failed once each, within one findtime; five in a hundred are IPv6."""
    decider = Decider(RULES)
    before = resident_mb()
    for offset in range(EVENTS // FRAME):
        rows = [
            ("failed", START_MS + offset * 100, address(offset * FRAME + index), index)
            for index in range(FRAME)
        ]
        decider.fold(Run(reference(offset), "sshd", rows), no_line)
    say("tracked_addresses", decider.jails["sshd"].counts()["failing"], "addresses")
    say("tracked_addresses_memory", resident_mb() - before, "MB")


def address(number: int) -> str:
    """A different address for each number."""
    if number % 20 == 0:
        return f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1"
    return f"{10 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.7"


def resident_mb() -> float:
    """This process's resident memory, in MB of 2**20 bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4_096 / (1 << 20)


def no_line(_index: int) -> str | None:
    """There are no lines here."""
    return None


if __name__ == "__main__":
    main()
