"""The wall clock, the one that every log uses unless it is given another."""

from __future__ import annotations

import time


def wall_clock_ms() -> int:
    """The instant now by this machine's clock, in Unix milliseconds."""
    return time.time_ns() // 1_000_000
