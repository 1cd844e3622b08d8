"""`match` of sshd against SSHGuard's parser, on the same logs in the same run.

`python -m bench.sshguard [LINES]`: a log of an hour, in rsyslog's ISO form and in RFC 3164's, of 90 % and of
5 % attack lines. Each figure is user CPU of a whole process, start included, the least of REPEATS; the two
take turns. `sshg-parser` comes with Debian's package `sshguard`; without it there are our figures alone.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Final

from bench import authlog
from bench.figures import say

LINES: Final = 1_000_000
REPEATS: Final = 3
PATHS: Final = "/usr/libexec/sshguard:/usr/local/libexec/sshguard:/usr/lib/sshguard"
OURS: Final = [sys.executable, "-m", "banstream", "match", "--filter", "sshd", "--stats", "-"]


def main() -> None:
    """Measure both on each log; `ratio` is how many times as fast we are."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else LINES
    parser = shutil.which("sshg-parser", path=PATHS)
    with tempfile.TemporaryDirectory(prefix="banstream-bench-") as directory:
        log = Path(directory) / "auth.log"
        for iso, share in product((True, False), (0.9, 0.05)):
            authlog.write(log, count, share, span=authlog.Span(seconds=3_600, iso=iso))
            figure = f"{'iso' if iso else 'rfc3164'}_{share:.0%}"
            commands = [OURS] if parser is None else [OURS, [parser]]
            spent = [[user_s(command, log) for command in commands] for _ in range(REPEATS)]
            ours_s, *theirs_s = (min(times) for times in zip(*spent, strict=True))
            say(f"match_{figure}", ours_s, "s of user CPU")
            say(f"sshg_parser_{figure}", theirs_s[0] if theirs_s else None, "s of user CPU")
            say(f"ratio_{figure}", theirs_s[0] / ours_s if theirs_s else None, "times")


def user_s(command: list[str], log: Path) -> float:
    """User CPU seconds of a command that reads a log."""
    before = getrusage(RUSAGE_CHILDREN).ru_utime
    with log.open("rb") as lines:
        subprocess.run(command, check=True, stdin=lines, stdout=subprocess.DEVNULL)
    return getrusage(RUSAGE_CHILDREN).ru_utime - before


if __name__ == "__main__":
    main()
