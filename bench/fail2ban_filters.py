"""sshd's lines through banstream's own filter, through fail2ban's filter in banstream, and through fail2ban.

    .venv/bin/python -m bench.fail2ban_filters [LINES]

Needs Debian's package fail2ban. Prints one JSON object a figure: lines/s by CPU seconds of one process, of
lines in memory, the best of some repetitions; fail2ban's Filter class, which takes long, reads every tenth
thousand of lines of the same log.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench import authlog
from producers.filters import load_filter
from producers.filters.fail2ban import load
from producers.filters.rows import Filter
from producers.offline import read_lines
from producers.stamps import LineClock

LINES: Final = 400_000
REPEATS: Final = 3
FILTER: Final = "/etc/fail2ban/filter.d/sshd.conf"
NOW_MS: Final = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp() * 1_000)
THEIRS: Final = """
import sys, time
sys.path[:0] = ["/usr/lib/python3/dist-packages"]
from fail2ban.client.filterreader import FilterReader
from fail2ban.server.filter import Filter
reader = FilterReader("sshd", "jail", {}, share_config={}, basedir="/etc/fail2ban")
reader.read()
reader.applyAutoOptions("auto")
reader.getOptions(None)
made = Filter(None)
made.checkFindTime = False
calls = {"prefregex": lambda value: setattr(made, "prefRegex", value), "addfailregex": made.addFailRegex,
         "maxlines": made.setMaxLines, "datepattern": made.setDatePattern}
for command in reader.convert():
    for value in command[3] if command[0] == "multi-set" else command[3:]:
        calls.get(command[2], lambda _: None)(value)
lines = [line.rstrip() for line in open(sys.argv[1])]
started = time.process_time()
found = sum(len(made.processLine(line)) for line in lines)
print(len(lines), found, time.process_time() - started)
"""


def main() -> None:
    """Measure, and print one JSON object a figure."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else LINES
    with tempfile.TemporaryDirectory(prefix="banstream-bench-") as directory:
        path = Path(directory) / "auth.log"
        for share in (0.05, 0.9):
            authlog.write(path, lines, share)
            theirs = fail2ban(path)
            for name, filter_ in (("native", load_filter("sshd")), ("fail2ban's", load(FILTER))):
                ours, events = banstream(path, filter_)
                figure = {"figure": "sshd", "attack": share, "lines": lines, "filter": name, "events": events}
                rates = {
                    "banstream": round(ours),
                    "fail2ban": round(theirs),
                    "times": round(ours / theirs, 1),
                }
                print(json.dumps({**figure, **rates}), flush=True)


def banstream(path: Path, filter_: Filter) -> tuple[float, int]:
    """Lines a second, and how many events there are."""
    clock = LineClock(NOW_MS, "offline")
    buffers = [data for _, data in read_lines(str(path))]
    best, events, lines = 0.0, 0, sum(data.count(b"\n") for data in buffers)
    for _ in range(REPEATS):
        matcher = filter_.matcher()
        started = time.process_time()
        events = sum(len(matcher.scan(data, clock)) for data in buffers)
        best = max(best, lines / (time.process_time() - started))
    return best, events


def fail2ban(path: Path) -> float:
    """Lines a second of fail2ban's Filter, on a tenth of the log."""
    part = path.with_suffix(".part")
    with path.open() as log, part.open("w") as stream:
        stream.writelines(line for number, line in enumerate(log) if number // 1_000 % 10 == 0)
    best = 0.0
    for _ in range(REPEATS):
        command = ["/usr/bin/python3", "-c", THEIRS, str(part)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        best = max(best, int(said[0]) / float(said[2]))
    return best


if __name__ == "__main__":
    main()
