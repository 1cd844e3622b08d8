"""How long `banstream import fail2ban --all` takes over Debian's configuration, and its processor time."""

from __future__ import annotations

import resource
import statistics
from pathlib import Path
from typing import Final

from bench.command import timed
from bench.figures import say

RUNS: Final = 7
STOCK: Final = Path("/etc/fail2ban/jail.conf")


def main() -> None:
    """Measure both, where fail2ban is installed."""
    if not STOCK.is_file():
        print("fail2ban is not installed: nothing to import")
        return
    seconds = [timed(["import", "fail2ban", str(STOCK.parent), "--all"]) for _ in range(RUNS)]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    say("import_fail2ban_stock", statistics.median(seconds), "s")
    say("import_fail2ban_stock_processor", (used.ru_utime + used.ru_stime) / RUNS, "s")


if __name__ == "__main__":
    main()
