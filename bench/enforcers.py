"""How fast bans reach nftables, next to one raw `nft -f` of the same elements in the same run.

Run as root. It makes a network namespace of its own, so the machine's firewall is not touched.
Prints one JSON line a figure: {"figure", "value", "unit"}.
"""

from __future__ import annotations

import ctypes
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import IPv6Address
from itertools import islice

from enforcers.breaker import BreakerLimits
from enforcers.contract import Element
from enforcers.enforcer import Enforcer, EnforcerConfig
from enforcers.nftables import NftablesBackend
from eventlog.clock import wall_clock_ms
from eventlog.contract import Append
from eventlog.memory import MemoryLog
from eventlog.urls import open_log
from schemas.codec import encode
from schemas.records import Hold, Standing
from schemas.topics import BANS

CLONE_NEWNET = 0x4000_0000
HOUR_MS = 3_600_000
ROUNDS = 3
CONFIG = EnforcerConfig(host="bench", breaker=BreakerLimits(bans_per_minute=10_000_000))


def main() -> None:
    """Measure everything."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        raise SystemExit("needs root: cannot make a network namespace")
    if sys.argv[1:]:
        memory(sys.argv[1])
        return
    say("rss_before", rss_mb(), "MB")
    single()
    for count in (10_000, 100_000):
        compare(count)
    from_disk(100_000)
    say("rss_peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024, "MB")


def single() -> None:
    """One ban, from the poll that finds it in the log to the kernel and the record."""
    log, backend, enforcer = rig()
    took_s = []
    for number in range(1_000):
        log.append([standing(f"10.0.{number >> 8}.{number & 255}")])
        took_s.append(timed(enforcer.poll))
    took_s.sort()
    say("single_ban_p50", took_s[500] * 1_000, "ms")
    say("single_ban_p99", took_s[990] * 1_000, "ms")
    enforcer.flush()
    backend.close()


def compare(count: int) -> None:
    """A batch: raw, by the backend, by the whole enforcer; each the least disturbed of some rounds."""
    prefixes = list(addresses(count))
    elements = [Element(prefix, (), HOUR_MS) for prefix in prefixes]
    raw, ours, start, follow, listing = [], [], [], [], []
    for _ in range(ROUNDS):
        nft(FRAME)
        raw.append(timed(lambda: nft(script(prefixes))))
        nft("flush ruleset\n")
        backend = NftablesBackend()
        backend.open()
        ours.append(timed(partial(backend.ban, elements)))
        listing.append(timed(backend.list))
        backend.flush()
        backend.close()
        start.append(started(prefixes))
        follow.append(followed(prefixes))
    base = min(raw)
    for name, took_s in (
        ("raw_nft", raw),
        ("backend_ban", ours),
        ("enforcer_start", start),
        ("enforcer_poll", follow),
    ):
        say(f"{name}_{count}", min(took_s), "s")
    say(f"backend_list_{count}", min(listing), "s")
    say(f"backend_to_raw_{count}", min(ours) / base, "times")
    say(f"enforcer_start_to_raw_{count}", min(start) / base, "times")
    say(f"enforcer_poll_to_raw_{count}", min(follow) / base, "times")
    say(f"rss_after_{count}", rss_mb(), "MB")


def started(prefixes: list[str]) -> float:
    """The seconds of a start with these bans standing and an empty firewall, records included."""
    log, backend = MemoryLog(), NftablesBackend()
    log.append([standing(prefix) for prefix in prefixes])
    backend.open()
    enforcer = Enforcer(log, backend, CONFIG)
    gc.collect()
    gc.freeze()  # a log keeps no object for each message, but this one does: they are none of a start's
    took_s = timed(enforcer.start)
    gc.unfreeze()
    enforcer.flush()
    enforcer.close()
    return took_s


def from_disk(count: int) -> None:
    """The memory of a start in a process of its own, with these bans in an SQLite log."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite://{folder}/log.db"
        log = open_log(url)
        for first in range(0, count, 1_000):
            log.append([standing(prefix) for prefix in islice(addresses(count), first, first + 1_000)])
        log.close()
        subprocess.run([sys.executable, "-m", "bench.enforcers", url], check=True)


def memory(url: str) -> None:
    """Start on a log, and say how much memory that takes."""
    backend = NftablesBackend()
    backend.open()
    enforcer = Enforcer(open_log(url), backend, CONFIG)
    enforcer.start()
    say("start_rss_held", rss_mb(), "MB")
    say("start_rss_peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024, "MB")
    enforcer.flush()


def followed(prefixes: list[str]) -> float:
    """The seconds until polling has applied all of these new bans, records included."""
    log, backend, enforcer = rig()
    log.append([standing(prefix) for prefix in prefixes])

    def poll() -> None:
        while enforcer.poll():
            pass

    took_s = timed(poll)
    held = len(backend.list())
    if held < len(prefixes):
        raise SystemExit(f"only {held} bans are in force")
    enforcer.flush()
    enforcer.close()
    return took_s


def rig() -> tuple[MemoryLog, NftablesBackend, Enforcer]:
    """A started enforcer on an empty log and the real firewall."""
    log, backend = MemoryLog(), NftablesBackend()
    backend.open()
    enforcer = Enforcer(log, backend, CONFIG)
    enforcer.start()
    return log, backend, enforcer


def addresses(count: int) -> Iterator[str]:
    """Distinct addresses, one in twenty of them IPv6."""
    for number in range(count):
        if number % 20 == 0:
            yield str(IPv6Address((0x2001_0DB8 << 96) + (number << 64) + 1))
        else:
            yield f"{20 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.7"


FRAME = """add table inet raw
add chain inet raw prerouting { type filter hook prerouting priority -310; policy accept; }
add set inet raw v4 { type ipv4_addr; flags timeout; }
add set inet raw v6 { type ipv6_addr; flags timeout; }
add rule inet raw prerouting ip saddr @v4 counter drop
add rule inet raw prerouting ip6 saddr @v6 counter drop
"""


def script(prefixes: list[str]) -> str:
    """What one would write by hand: all elements in one command a set, the sets being there already."""
    v4 = ", ".join(f"{prefix} timeout 1h" for prefix in prefixes if "." in prefix)
    v6 = ", ".join(f"{prefix} timeout 1h" for prefix in prefixes if ":" in prefix)
    return f"add element inet raw v4 {{ {v4} }}\nadd element inet raw v6 {{ {v6} }}\n"


def standing(prefix: str) -> Append:
    """A message of the bans topic."""
    until_ms = wall_clock_ms() + HOUR_MS
    hold = Hold(jail="sshd", ban="3-123456-7-0", until_ms=until_ms)
    record = Standing(prefix=prefix, decision="3-123456-7-0", decided_at_ms=until_ms, holds=(hold,))
    return Append(
        BANS.name, bytes(memoryview(encode(record))), key=prefix
    )  # without orjson's slack of kilobytes


def nft(commands: str) -> None:
    """The nft program, fed by a pipe."""
    subprocess.run(["nft", "-f", "-"], input=commands, check=True, text=True)


def timed(work: Callable[[], object]) -> float:
    """The seconds that work takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def rss_mb() -> float:
    """This process's resident memory."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - one line
        return int(statm.read().split()[1]) * resource.getpagesize() / 1_048_576


def say(figure: str, value: float, unit: str) -> None:
    """One figure."""
    print(json.dumps({"figure": figure, "value": round(value, 4), "unit": unit}), flush=True)


if __name__ == "__main__":
    main()
