"""Several thresholds in one jail, and counting that goes on during a ban: what is still unused of failures.

Each threshold counts the failures that neither it nor a later one has used up: a ban by one uses up all that
are known for itself and those before it, and leaves them to those after. What is left to count of somebody
banned is kept beside his ban, and goes on being counted when that ends; where a jail prolongs, his failures
during the ban join it.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence

from schemas.rules import Threshold
from streams.window import flat, full_window, unflat


class Ladder:
    """The thresholds of a jail, and what is used up of whose failures.

    Attributes:
        thresholds: by what they need, fewest failures first.
        beside: of whom is banned, the failures that may still count.
        is_scoped: some threshold is for failures from somewhere alone: it goes by the one at hand.
    """

    __slots__ = ("_used", "_within", "beside", "is_scoped", "thresholds")

    def __init__(self, thresholds: Sequence[Threshold]) -> None:
        self.thresholds = thresholds
        self.beside: dict[str, list[int]] = {}
        self._used: dict[str, list[int]] = {}
        self.is_scoped = any(each.scope is not None for each in thresholds)
        self._within = tuple(each.scope is None for each in thresholds)

    def be_at(self, country: str | None, asn: int | None) -> None:
        """The failures that are counted next are from there."""
        self._within = tuple(each.scope is None or each.scope.has(country, asn) for each in self.thresholds)

    def filled(
        self, subject: str, failures: Sequence[int], failure: int, factor: int = 1
    ) -> tuple[int, int] | None:
        """The last threshold that a failure fills, and where its window starts; None where it fills none.

        `factor`: so many times as many are needed.
        """
        used = self.used(subject)
        for number in reversed(range(len(self.thresholds))):
            if not self._within[number]:
                continue
            step = self.thresholds[number]
            first = bisect_right(failures, used[number])
            start = full_window(failures, failure, step.findtime_ms, step.maxretry * factor, first)
            if start is not None:
                return number, start
        return None

    def use(self, subject: str, failures: list[int], number: int) -> None:
        """A threshold was filled: all failures are used up for it and those before it."""
        used = self.used(subject)
        used[: number + 1] = [max(each, failures[-1]) for each in used[: number + 1]]
        self._used[subject] = used
        self.beside[subject] = failures[bisect_right(failures, used[-1]) :]

    def count(self, subject: str, failure: int) -> int:
        """Count a failure of somebody banned; how many there are."""
        failures = self.beside.setdefault(subject, [])
        insort(failures, failure)
        return len(failures)

    def left(self, subject: str) -> list[int]:
        """The ban has ended: the failures that go on counting."""
        failures = self.beside.pop(subject, [])
        if not failures:
            self.forget((subject,))
        return failures

    def forget(self, subjects: Iterable[str]) -> None:
        """Nothing of them counts any more."""
        for subject in subjects:
            self._used.pop(subject, None)
            self.beside.pop(subject, None)

    def used(self, subject: str) -> list[int]:
        """By threshold, the newest failure that is used up; 0 for none."""
        return list(self._used.get(subject, ())) or [0] * len(self.thresholds)

    def dumped(self, subject: str) -> list[list[int]]:
        """What is to be saved of somebody: what is used up, and what is beside his ban; empty for nothing."""
        used, beside = self._used.get(subject, []), self.beside.get(subject, [])
        return [flat(used), flat(beside)] if used or beside else []

    def load(self, subject: str, used: Sequence[int], beside: Sequence[int]) -> None:
        """Put back what was saved of somebody."""
        if used:
            self._used[subject] = unflat(used)
        if beside:
            self.beside[subject] = unflat(beside)
