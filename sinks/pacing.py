"""When a sink may send: after a failure later and later, so many a minute, gathered where it shall.

Pure but for the jitter, which it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FIRST_RETRY_MS: Final = 1_000
LONGEST_RETRY_MS: Final = 60_000
MINUTE_MS: Final = 60_000


class Backoff:
    """How long to wait after failures in a row: doubled each time, up to a minute, a part of it by chance."""

    def __init__(self, chance: Callable[[], float]) -> None:
        """`chance` gives numbers from 0 to 1, so that many do not come back at one moment."""
        self._chance = chance
        self._failures = 0

    def failed(self, at_least_ms: int = 0) -> int:
        """How long to wait now; `at_least_ms`: as the receiver asks for."""
        longest_ms = min(FIRST_RETRY_MS << min(self._failures, 10), LONGEST_RETRY_MS)
        self._failures += 1
        return max(int(longest_ms * (0.5 + self._chance() / 2)), at_least_ms)

    def succeeded(self) -> None:
        """From here on it begins anew."""
        self._failures = 0


class Pace:
    """How many items may go now: so many a minute, batches so far apart."""

    def __init__(self, limit_per_minute: int | None, every_ms: int) -> None:
        """`limit_per_minute`: None for no limit. What has no room waits; nothing is left out."""
        self._limit = limit_per_minute
        self._every_ms = every_ms
        self._tokens = float(limit_per_minute or 0)
        self._filled_at_ms: int | None = None
        self._sent_at_ms: int | None = None

    def pause_ms(self, now_ms: int) -> int:
        """How long nothing may go; 0: something may."""
        pause_ms = 0
        if self._sent_at_ms is not None and self._sent_at_ms <= now_ms:
            pause_ms = max(0, self._sent_at_ms + self._every_ms - now_ms)
        if self._limit is not None:
            self._fill(now_ms)
            if self._tokens < 1:
                pause_ms = max(pause_ms, int((1 - self._tokens) * MINUTE_MS / self._limit) + 1)
        return pause_ms

    def room(self, most: int) -> int:
        """How many of so many may go now."""
        return most if self._limit is None else min(most, int(self._tokens))

    def sent(self, count: int, now_ms: int) -> None:
        """So many have gone."""
        self._sent_at_ms = now_ms
        self._tokens -= count

    def _fill(self, now_ms: int) -> None:
        limit = self._limit or 0
        if self._filled_at_ms is not None:
            passed_ms = max(0, now_ms - self._filled_at_ms)
            self._tokens = min(limit, self._tokens + passed_ms * limit / MINUTE_MS)
        self._filled_at_ms = now_ms
