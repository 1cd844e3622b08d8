"""A list of a million prefixes whom to ban: from the file to the last element in nftables.

Run as root. It makes a network namespace of its own, so the machine's firewall is not touched.
"""

from __future__ import annotations

import ctypes
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from bench.figures import say

CLONE_NEWNET: Final = 0x4000_0000
PREFIXES: Final = 999_999
PATIENCE_S: Final = 300.0
LOOK_S: Final = 0.5


def main() -> None:
    """Measure a start with it, another prefix, and a restart."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        raise SystemExit("needs root: cannot make a network namespace")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed = folder / "listed"
        listed.write_text("".join(f"{IPv4Address(each)}\n" for each in _numbers()), encoding="ascii")
        (folder / "auth.log").touch()
        (folder / "banstream.toml").write_text(
            f'[log]\nurl = "sqlite://{folder}/log.db"\n[jail.sshd]\nsource = "file:{folder}/auth.log"\n'
            f'[list.many]\nfrom = "file:{listed}"\naction = "ban"\n',
            encoding="ascii",
        )
        _measure(folder, "first_start", lambda: None, PREFIXES)
        say("ban_list_log", sum(each.stat().st_size for each in folder.glob("log.db*")) / 1e6, "MB")
        _measure(folder, "restart", lambda: None, PREFIXES)

        def one_more() -> None:
            with listed.open("a", encoding="ascii") as more:
                more.write("192.0.2.1\n")

        _measure(folder, "one_prefix_more", one_more, PREFIXES + 1)


def _measure(folder: Path, figure: str, change: Callable[[], None], prefixes: int) -> None:
    """Start `up`; how long it takes until the firewall holds so many."""
    change()
    began_s = time.monotonic()
    config = str(folder / "banstream.toml")
    up = subprocess.Popen(
        [sys.executable, "-P", "-m", "banstream", "up", "--config", config],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        while _held(config) != prefixes:
            if time.monotonic() - began_s > PATIENCE_S:
                raise SystemExit("the list never came into the firewall")
            time.sleep(LOOK_S)
        say(f"ban_list_{figure}", time.monotonic() - began_s, "s")
        status = Path(f"/proc/{up.pid}/status").read_text(encoding="ascii")
        for field in ("VmHWM", "VmRSS"):
            kb = int(status.partition(f"{field}:")[2].split()[0])
            say(f"ban_list_{figure}_{'peak' if field == 'VmHWM' else 'after'}", kb / 1_024, "MB")
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait()


def _held(config: str) -> int | None:
    """How many prefixes of lists the firewall holds, settled; None while it is not."""
    told = subprocess.run(
        [sys.executable, "-P", "-m", "banstream", "status", "--json", "--config", config],
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode != 0:
        return None
    status: dict[str, Any] = json.loads(told.stdout)
    lists = (status.get("enforcer") or {}).get("lists") or {}
    held: int = lists.get("prefixes", 0)
    return held if lists.get("settled") else None


def _numbers() -> set[int]:
    """Addresses as numbers, the same on every run."""
    chosen = random.Random(1)
    found: set[int] = set()
    while len(found) < PREFIXES:
        found.add(chosen.randrange(16 << 24, 126 << 24))
    return found


if __name__ == "__main__":
    main()
