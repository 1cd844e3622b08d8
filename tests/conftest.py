"""Real parts: a test says which it needs; without it the test is skipped loudly, and in CI it fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Final

import pytest


def _root_with(*programs: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        if os.geteuid() != 0:
            return "needs root"
        absent = [program for program in programs if shutil.which(program) is None]
        return f"needs {', '.join(absent)}" if absent else None

    return missing


REAL_PARTS: Final = {
    "nftables": _root_with("nft", "ip"),
    "sshd": _root_with("sshd", "ssh", "sshpass", "ip"),
    "journald": _root_with("journalctl", "/lib/systemd/systemd-journal-remote"),
    "logrotate": _root_with("logrotate"),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose real part is absent; fail it in CI, where nothing may be absent."""
    for mark in item.iter_markers("real"):
        for part in mark.args:
            missing = REAL_PARTS[part]()
            if missing and os.environ.get("CI"):
                pytest.fail(f"real part {part}: {missing}; `make test` installs it", pytrace=False)
            if missing:
                pytest.skip(f"REAL PART SKIPPED: {part}: {missing}")
