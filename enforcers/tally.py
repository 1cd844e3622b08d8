"""How many prefixes a firewall holds at an instant, without going through them.

Ends come by the thousand within one second, so they are counted by the second in which they fall; a prefix
counts until that second is over.
"""

from __future__ import annotations

from heapq import heappop, heappush

from enforcers.standing import Ends, Packed


class Tally:
    """Prefixes held, by the second of their latest end."""

    def __init__(self) -> None:
        self._held = 0
        self._ending: dict[int, int] = {}
        self._seconds: list[int] = []
        self._now_s = 0

    def change(self, before: Packed, after: Packed) -> None:
        """What is held of one prefix was `before`, and is `after`."""
        if before:
            self._add(before, -1)
        if after:
            self._add(after, 1)

    def at(self, now_ms: int) -> int:
        """How many are held."""
        self._now_s = max(self._now_s, now_ms // 1_000)
        while self._seconds and self._seconds[0] <= self._now_s:
            self._held -= self._ending.pop(heappop(self._seconds))
        return self._held

    def _add(self, held: Packed, count: int) -> None:
        last_ms = held if isinstance(held, int) else _last_ms(held)
        if last_ms is not None:
            second = -(-last_ms // 1_000)
            if second <= self._now_s:
                return
            if second not in self._ending:
                self._ending[second] = 0
                heappush(self._seconds, second)
            self._ending[second] += count
        self._held += count


def _last_ms(ends: Ends) -> int | None:
    last_ms = 0
    for _, until_ms in ends:
        if until_ms is None:
            return None
        last_ms = max(last_ms, until_ms)
    return last_ms
