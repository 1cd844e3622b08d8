"""When something is due again."""

from __future__ import annotations


class Interval:
    """Says when a gap has passed, whichever way the clock was moved."""

    def __init__(self) -> None:
        self._last_ms = 0

    def due(self, now_ms: int, gap_ms: int) -> bool:
        """Whether the gap has passed since it last was due, or since `restart`."""
        if abs(now_ms - self._last_ms) < gap_ms:
            return False
        self._last_ms = now_ms
        return True

    def restart(self, now_ms: int) -> None:
        """The gap begins now."""
        self._last_ms = now_ms
