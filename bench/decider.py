"""Reading events and deciding them: events a second, and the memory of a million tracked addresses.

Prints one JSON line a figure. `python -m bench.decider read` measures the reading alone: so two checkouts are
compared in turns, `PYTHONPATH=OTHER python bench/decider.py read`.
"""

from __future__ import annotations

import sys
import time
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, Final

import orjson

from bench.figures import say
from eventlog.contract import Message
from schemas.rules import Escalation, Increment, Jail, Rules, Threshold
from streams.decider import Decider
from streams.inputs import Mark, read_frame
from streams.runs import Run
from streams.window import reference

START_MS: Final = 1_795_000_000_000
DAY_MS: Final = 86_400_000
EVENTS: Final = 1_000_000
FLOOD: Final = 10_000_000
FRAME: Final = 512
READ_FRAMES: Final = 20
READ_ROUNDS: Final = 40
RULES: Final = Rules(jails=(Jail(name="sshd", filters=("sshd",)),), max_subjects=2_000_000)
STEPS: Final = (
    Threshold(findtime_ms=3_600_000, maxretry=20, bantime_ms=DAY_MS),
    Threshold(findtime_ms=DAY_MS, maxretry=60, bantime_ms=7 * DAY_MS),
)
POLICIES: Final = Rules(
    jails=(
        Jail(
            name="sshd",
            filters=("sshd",),
            ipv6_prefix=64,
            steps=STEPS,
            increment=Increment(),
            escalate=Escalation(),
        ),
        Jail(name="recidive", filters=(), on="bans", findtime_ms=DAY_MS, bantime_ms=7 * DAY_MS),
    ),
    max_subjects=2_000_000,
)
"""Nearly all that a jail can say: IPv6 by /64, three steps, growing bans, networks, recidive."""

EVENT: Final[dict[str, Any]] = {
    "type": "auth",
    "v": 1,
    "kind": "failed",
    "at_ms": START_MS,
    "seen_at_ms": START_MS,
    "filter": "sshd",
    "filter_version": "0123456789ab",
    "ip": "198.51.100.1",
    "source": "file:/var/log/auth.log",
    "incarnation": "web1/0123456789abcdef",
    "position": 0,
    "line": "",
    "user": "admin",
    "port": 22,
    "service": "sshd",
    "host": "host",
}


def main() -> None:
    """Measure everything, or what the command line names."""
    reading()
    if sys.argv[1:] == ["read"]:
        return
    runs = zipf_runs()
    for name, rules in (("decider", RULES), ("decider_policies", POLICIES)):
        decider = Decider(rules)
        started = time.perf_counter()
        bans = sum(len(decider.fold(run, no_line)) for run in runs)
        seconds = time.perf_counter() - started
        say(name, EVENTS / seconds, "events/s")
        say(f"{name}_decisions", bans, "decisions")
    tracked("tracked_addresses", RULES)
    tracked("tracked_addresses_policies", POLICIES)
    flood()


def flood() -> None:
    """Ten million IPv6 addresses that fail once each, past the limit of a million, and nine attackers."""
    decider, banned, before = Decider(Rules(jails=RULES.jails)), 0, resident_mb()
    attackers = [f"192.0.2.{number}" for number in range(9)]
    started, most_mb = time.perf_counter(), 0.0
    for offset in range(FLOOD // FRAME):
        first = offset * FRAME
        ips = [f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1" for number in range(first, first + FRAME)]
        ips += attackers if offset % 200 == 0 else []
        rows = [("failed", START_MS + offset * 5, ip, index) for index, ip in enumerate(ips)]
        banned += len(decider.fold(Run(reference(offset), "sshd", rows), no_line))
        if offset % 1_000 == 0:
            decider.touched.clear()  # as a checkpoint does
            most_mb = max(most_mb, resident_mb())
    say("flood", FLOOD / (time.perf_counter() - started), "events/s")
    say("flood_banned_of_9", banned, "addresses")
    say("flood_dropped", decider.jails["sshd"].dropped, "addresses")
    say("flood_memory", most_mb - before, "MB")


def reading() -> None:
    """A frame as a shipper writes it, read and checked, again and again: the least disturbed round."""
    messages = [frame_of_events(number) for number in range(READ_FRAMES)]
    took_s = []
    for _ in range(READ_ROUNDS):
        marks: dict[Mark, int] = {}
        started = time.perf_counter()
        for message in messages:
            frame = read_frame(message, marks, selective=False, not_after_ms=message.at_ms)
            marks.update(frame.marks)
        took_s.append(time.perf_counter() - started)
    say("read_an_event", min(took_s) / (READ_FRAMES * FRAME) * 1e6, "us")


def frame_of_events(number: int) -> Message:
    """A frame of failures of some addresses, as the file source and the filter for sshd give them."""
    random = Random(number)
    lines = []
    for index in range(number * FRAME, (number + 1) * FRAME):
        ip, port = f"198.51.{random.randrange(8)}.{random.randrange(256)}", index % 60_000 + 1_024
        where = f"Nov 22 09:00:00 host sshd[{port}]"
        wire = {**EVENT, "at_ms": START_MS + index, "seen_at_ms": START_MS + index, "position": index * 128}
        wire["line"] = f"{where}: Failed password for invalid user admin from {ip} port {port} ssh2"
        lines.append(orjson.dumps({**wire, "ip": ip, "port": port}))
    return Message(0, number, None, b"\n".join(lines), START_MS + DAY_MS)


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


def tracked(name: str, rules: Rules) -> None:
    """A million addresses that failed once each, within one findtime; five in a hundred are IPv6."""
    decider = Decider(rules)
    before = resident_mb()
    for offset in range(EVENTS // FRAME):
        rows = [
            ("failed", START_MS + offset * 100, address(offset * FRAME + index), index)
            for index in range(FRAME)
        ]
        decider.fold(Run(reference(offset), "sshd", rows), no_line)
    say(name, decider.jails["sshd"].counts()["failing"], "addresses")
    say(f"{name}_memory", resident_mb() - before, "MB")


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
