"""The whole embedded pipeline: a burst, the delay of one deciding line, and the memory of `up`.

Run as root: each runs in a network namespace of its own. The moment an element is in nftables is the moment
the kernel's multicast says so. fail2ban's server, where installed, gets the same lines in the same run.
`python -m bench.pipeline`, one JSON line a figure.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.figures import say
from bench.reference import ETC, Fail2ban

CLONE_NEWNET: Final = 0x4000_0000
NETLINK_NETFILTER, SOL_NETLINK, ADD_MEMBERSHIP, GROUP_NFTABLES = 12, 270, 1, 7
NEWSETELEM: Final = (10 << 8 | 12).to_bytes(2, sys.byteorder)
BURST_LINES: Final = 200_000
SAMPLES: Final = 300
FAIL2BAN_SAMPLES: Final = 40
MEMORY_LINES: Final = 1_000_000
FAIL2BANS_SSHD: Final = ETC / "filter.d" / "sshd.conf"
CONFIGURATION: Final = """
[log]
url = "sqlite://{folder}/log.db"
[jail.sshd]
filter = "{filter}"
source = "file:{folder}/auth.log"
start = "beginning"
maxretry = {maxretry}
bantime = "1d"
"""


def main() -> None:
    """Measure everything."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        raise SystemExit("needs root: cannot make a network namespace")
    burst()
    latency()
    memory()


class News:
    """The kernel's word that elements have been added to nftables in this namespace."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.bind((0, 0))
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self.socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, GROUP_NFTABLES)

    def drain(self) -> None:
        """Forget what has been said so far."""
        while select.select([self.socket], [], [], 0)[0]:
            self.socket.recv(1 << 16)

    def wait(self, within_s: float) -> float | None:
        """When the next element came, by perf_counter; None when none did in time."""
        deadline = time.perf_counter() + within_s
        while (left := deadline - time.perf_counter()) > 0:
            if select.select([self.socket], [], [], left)[0]:
                with contextlib.suppress(OSError):  # lost messages: some did come
                    data = self.socket.recv(1 << 16)
                    if data[4:6] != NEWSETELEM:
                        continue
                return time.perf_counter()
        return None

    def last(self, quiet_s: float, within_s: float) -> float | None:
        """When the last element came: none followed it for `quiet_s`."""
        newest = self.wait(within_s)
        while newest is not None and (later := self.wait(quiet_s)) is not None:
            newest = later
        return newest


@contextlib.contextmanager
def running(folder: Path, maxretry: int, filter_: str = "sshd") -> Iterator[subprocess.Popen[bytes]]:
    """A running `banstream up` that watches auth.log in a folder."""
    file = folder / "banstream.toml"
    text = CONFIGURATION.format(folder=folder, maxretry=maxretry, filter=filter_)
    file.write_text(text, encoding="utf-8")
    (folder / "auth.log").touch()
    errors = folder / "up.err"
    with errors.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "banstream", "up", "--config", str(file)], stderr=sink
        )
    while "Enforcing" not in errors.read_text() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.3)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def burst() -> None:
    """A burst of BURST_LINES lines, from its first byte to the last ban in nftables."""
    news = News()
    filters = {"sshd": "burst_to_last_ban"}
    if FAIL2BANS_SSHD.exists():
        filters[str(FAIL2BANS_SSHD)] = "burst_to_last_ban_by_fail2bans_filter"
    with folder_of_bench() as folder:
        lines = attack(folder, BURST_LINES)
    for filter_, figure in filters.items():
        with folder_of_bench() as folder, running(folder, 5, filter_):
            news.drain()
            started = time.perf_counter()
            append(folder / "auth.log", lines)
            ended = news.last(1.5, 60)
        say(figure, None if ended is None else ended - started, "s")
    with folder_of_bench() as folder, Fail2ban.running(folder, 5) as other:
        if other is None:
            return
        news.drain()
        started = time.perf_counter()
        append(folder / "auth.log", lines)
        ended = news.last(10, 300)
        say("burst_to_last_ban_fail2ban", None if ended is None else ended - started, "s")


def latency() -> None:
    """One deciding line at a time on an idle machine, from its write to the element in nftables."""
    news = News()
    with folder_of_bench() as folder, running(folder, 1):
        report("latency", samples(folder / "auth.log", news, SAMPLES))
    with folder_of_bench() as folder, Fail2ban.running(folder, 1) as other:
        if other is not None:
            report("latency_fail2ban", samples(folder / "auth.log", news, FAIL2BAN_SAMPLES))


def samples(log: Path, news: News, count: int, *, first: int = 0) -> list[float]:
    """The delays, in seconds, of `count` addresses banned one after another, from the `first` on."""
    found = []
    for number in range(first, first + count):
        time.sleep(0.02 + number % 7 * 0.005)
        news.drain()
        started = time.perf_counter()
        append(log, line(f"10.1.{number >> 8}.{number & 255}", number).encode())
        ended = news.wait(20)
        if ended is not None:
            found.append(ended - started)
    return found


def report(figure: str, delays_s: list[float]) -> None:
    """Median and 99th percentile, in ms."""
    ordered = sorted(delays_s)
    say(f"{figure}_p50", statistics.median(ordered) * 1_000 if ordered else None, "ms")
    say(f"{figure}_p99", ordered[int(len(ordered) * 0.99)] * 1_000 if ordered else None, "ms")


def memory() -> None:
    """The resident memory of `up` after it has worked through MEMORY_LINES lines."""
    with folder_of_bench() as folder, running(folder, 5) as process:
        append(folder / "auth.log", attack(folder, MEMORY_LINES))
        news = News()
        news.last(5, 120)
        say("up_rss_after_1m_lines", status_mb(process.pid, "VmRSS"), "MB")
        say("up_rss_peak", status_mb(process.pid, "VmHWM"), "MB")


def attack(folder: Path, count: int) -> bytes:
    """The lines of an attack, stamped within the last minutes, so that every ban is in force."""
    made = folder / "made.log"
    command = [
        sys.executable,
        "-m",
        "bench.authlog",
        "--lines",
        str(count),
        "--attack",
        "0.9",
        "--minutes",
        "8",
    ]
    subprocess.run([*command, str(made)], check=True)
    return made.read_bytes()


def line(ip: str, number: int) -> str:
    """A failed password, stamped now."""
    stamp = time.strftime("%b %e %H:%M:%S")
    message = f"Failed password for root from {ip} port {number + 1024} ssh2"
    return f"{stamp} host sshd[{20_000 + number}]: {message}\n"


def append(log: Path, data: bytes) -> None:
    """Append bytes to a file in one write, as far as the system takes them."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.close(descriptor)


def status_mb(pid: int, key: str) -> float:
    """A figure of /proc/PID/status, in MB (1,024 kB)."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(each for each in text.splitlines() if each.startswith(key)).split()[1]) / 1_024


@contextlib.contextmanager
def folder_of_bench() -> Iterator[Path]:
    """A temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="banstream-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
