"""fail2ban as Debian packages it, asked what it finds in lines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

PYTHON: Final = "/usr/bin/python3"
FILTERS: Final = Path("/etc/fail2ban/filter.d")


class Oracle:
    """A process that runs fail2ban's own code."""

    def __init__(self, zone: str = "UTC") -> None:
        self._process = subprocess.Popen(
            [PYTHON, str(Path(__file__).with_name("driver.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={"TZ": zone, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )

    def ask(
        self, path: Path, lines: Iterable[str], now_s: int, options: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """What it finds in lines that are one stream."""
        request = {"path": str(path), "options": dict(options or {}), "lines": list(lines), "now": now_s}
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("no pipes")
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=30)
