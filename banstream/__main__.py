"""The program's first step: `banstream`, and `python -m banstream`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from banstream.overview import VERSION, overview

OTHERS_NAME = "fail2ban-client"
"""The command that a link of its name stands for."""
COMPLETE = "_BANSTREAM_COMPLETE"


def main() -> None:
    """Answer who asks what there is; load the command line for everybody else."""
    if Path(sys.argv[0]).name == OTHERS_NAME:
        sys.argv[1:1] = [OTHERS_NAME]
    match sys.argv[1:]:
        case [] | ["-h"] | ["--help"] if COMPLETE not in os.environ:
            answer = overview()
        case ["--version"]:
            answer = f"banstream {VERSION}\n"
        case _:
            from banstream.cli import main as run

            run()
            return
    try:
        sys.stdout.write(answer)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
