"""`match` and `replay` as commands over raw files, and `fail2ban-regex` on the same files in the same run."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from bench import authlog, reference
from bench.figures import say

LINES: Final = 1_000_000
REPEATS: Final = 3
CONFIGURATION: Final = '[jail.sshd]\nfilter = "sshd"\nsource = "stdin"\n'


def main() -> None:
    """Measure each command on a log of 90 % and of 5 % attack lines; best of REPEATS."""
    with tempfile.TemporaryDirectory(prefix="banstream-bench-") as folder:
        config = Path(folder) / "banstream.toml"
        config.write_text(CONFIGURATION, encoding="utf-8")
        for name, share in (("90", 0.9), ("5", 0.05)):
            log = Path(folder) / f"attack_{name}.log"
            authlog.write(log, LINES, share)
            for command in (["match"], ["replay", "--config", str(config)]):
                speed = max(lines_per_s([*command, "--stats", str(log)]) for _ in range(REPEATS))
                say(f"{command[0]}_{log.stem}", speed, "lines/s")
            reference.regex(log, LINES)


def lines_per_s(arguments: list[str]) -> float:
    """What a command says of its own speed."""
    done = subprocess.run(
        [sys.executable, "-m", "banstream", *arguments], check=True, capture_output=True, text=True
    )
    return float(json.loads(done.stdout.splitlines()[-1])["lines_per_s"])


if __name__ == "__main__":
    main()
