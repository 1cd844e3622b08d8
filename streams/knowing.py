"""A jail that knows from whom logins succeed: who is known good fails oftener before he is banned.

| a failure of a subject | needs |
|---|---|
| from which a login succeeded before, within known_good | known_good_factor times as many, each threshold |
| any other | as many as ever |

The newest success of each subject is remembered, of MOST_KNOWN of them; beyond, the tenth that succeeded
least recently is dropped, and counted. It goes by subjects, as failures do: a network's is its addresses'.
"""

from __future__ import annotations

from typing import Any, Final

from schemas.durations import format_duration
from schemas.rules import Jail
from streams.jail import JailState
from streams.window import MOST_KEPT, at_ms_of, full_window

MOST_KNOWN: Final = 100_000


class KnowingJail(JailState):
    """A jail's rules, its subjects, and when a login of each succeeded last (`good`)."""

    __slots__ = ("_factor", "good")

    def __init__(self, rules: Jail, lateness_ms: int) -> None:
        self.good: dict[str, int] = {}
        self._factor = 1
        super().__init__(rules, lateness_ms)

    def adopt(self, rules: Jail, lateness_ms: int) -> None:
        """Go on under new rules; what was counted stays counted."""
        super().adopt(rules, lateness_ms)
        self.most = max(MOST_KEPT, self.thresholds[-1].maxretry * rules.known_good_factor)

    def succeed(self, subject: str, at_ms: int) -> set[str]:
        """A login of a subject succeeded; of whom something is known anew."""
        if self.good.get(subject, -1) >= at_ms:
            return set()
        self.good[subject] = at_ms
        if len(self.good) <= MOST_KNOWN:
            return {subject}
        oldest = sorted(self.good, key=lambda each: (self.good[each], each))[: MOST_KNOWN // 10]
        self.dropped += len(oldest)
        return {subject, *self._drop(oldest)}

    def factor_of(self, subject: str, at_ms: int) -> int:
        """How many times as many failures a subject may have at an instant."""
        known = self.good.get(subject)
        if known is None or not 0 <= at_ms - known <= (self.rules.known_good_ms or 0):
            return 1
        return self.rules.known_good_factor

    def filled(self, ip: str, failures: list[int], failure: int) -> tuple[int, int] | None:
        """The last threshold that a failure fills, and where its window starts; None where it fills none."""
        self._factor = self.factor_of(ip, at_ms_of(failure))
        if self.ladder is not None:
            return self.ladder.filled(ip, failures, failure, self._factor)
        start = full_window(failures, failure, self.findtime_ms, self.maxretry * self._factor)
        return None if start is None else (0, start)

    @property
    def facts(self) -> dict[str, Any]:
        """Why the ban at hand needed more than usual, where it did."""
        if self._factor == 1:
            return {}
        within = format_duration(self.rules.known_good_ms)
        return {"why": f"{self._factor} times as many as usual, since a login had succeeded within {within}"}

    def needed(self, number: int) -> int:
        """How many failures are the evidence of a threshold that is filled."""
        return super().needed(number) * self._factor

    def take_over(self, before: JailState) -> None:
        """Go on for a jail of another window."""
        super().take_over(before)
        if isinstance(before, KnowingJail):
            self.good = dict(before.good)

    def forget(self, now_ms: int) -> set[str]:
        """Drop what is too old to matter; returns of whom."""
        first = now_ms - (self.rules.known_good_ms or 0) - self.keep_ms
        old = [name for name, at_ms in self.good.items() if at_ms < first]
        return self._drop(old) | super().forget(now_ms)

    def step_back(self, at_ms: int, skew_ms: int) -> set[str]:
        """Forget what is said to have happened after an instant; of whom."""
        later = [name for name, good_ms in self.good.items() if good_ms > at_ms + skew_ms]
        return self._drop(later) | super().step_back(at_ms, skew_ms)

    def _drop(self, names: list[str]) -> set[str]:
        for name in names:
            del self.good[name]
        return set(names)
