"""How long the command takes to start: `banstream --help` and `banstream match` of one line."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench.figures import say

RUNS: Final = 15


def main() -> None:
    """Measure both."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "auth.log"
        log.write_text("Nov 22 09:00:00 host sshd[1]: Failed password for root from 192.0.2.1 port 22 ssh2\n")
        for figure, arguments in (("help", ["--help"]), ("match_one_line", ["match", str(log)])):
            say(f"start_{figure}", statistics.median(timed(arguments) for _ in range(RUNS)) * 1_000, "ms")


def timed(arguments: list[str]) -> float:
    """Seconds that one run takes."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "banstream", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
