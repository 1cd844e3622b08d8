"""`make bench`: every benchmark in turn, each in a process of its own; the machine first."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

PARTS = (
    "command",
    "importing",
    "offline",
    "producers",
    "sshguard",
    "decider",
    "signing",
    "eventlog",
    "looking",
    "enforcers",
    "lists",
    "pipeline",
    "sinks",
    "intakes",
    "idle",
    "kafka",
    "worker",
    "users",
    "scaling",
    "fleet",
)


def main() -> int:
    """Run the parts named on the command line, or all; returns how many failed."""
    wrong = [part for part in sys.argv[1:] if part not in PARTS]
    if wrong:
        print(f"python -m bench [PART]...: all parts, or some of {', '.join(PARTS)}")
        return int(wrong not in (["--help"], ["-h"]))
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    model = next((line.split(":")[1].strip() for line in cpuinfo if "model name" in line), platform.machine())
    machine = {
        "machine": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "load": os.getloadavg()[0],
    }
    print(json.dumps(machine), flush=True)
    failed = 0
    for part in sys.argv[1:] or PARTS:
        print(json.dumps({"part": part}), flush=True)
        failed += subprocess.run([sys.executable, "-m", f"bench.{part}"], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
