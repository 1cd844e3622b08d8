"""fail2ban's window: how many failures it thinks a subject has, by a rate and not by counting.

One record a subject: when it failed first and last, in whole seconds, and a number. A failure later than the
last adds one; where the first is more than findtime before it, the number is first taken down to what its
rate so far would bring within findtime (FailTicket.adjustTime and FailManager of fail2ban 1.0 and 1.1, as
Debian has them). A record whose last failure is findtime ago is forgotten before the next is counted.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from typing import Any

from streams.tally import SubjectTally
from streams.window import at_ms_of, flat, unflat


class Estimate:
    """What is known of one subject; `failures` are the newest, sorted, as many as a ban needs."""

    __slots__ = ("failures", "first_s", "last_s", "retry")

    def __init__(self, failures: list[int], retry: float) -> None:
        self.failures = failures
        self.first_s, self.last_s = at_ms_of(failures[0]) // 1_000, at_ms_of(failures[-1]) // 1_000
        self.retry = retry


class Estimates(SubjectTally[Estimate]):
    """The subjects of a jail that fail; `now_s` is its clock: the latest failure there was."""

    def add(self, subject: str, failure: int, weight: float) -> bool:
        """Count a failure; whether there are enough. `weight`: what one counts of who is known to be bad."""
        at_s, findtime_s = at_ms_of(failure) // 1_000, self.rules.findtime_ms / 1_000
        self.now_s = max(self.now_s, at_s)
        known = self._known.get(subject)
        if known is None or known.last_s <= self.now_s - findtime_s:
            known = self._known[subject] = Estimate([failure], 1)
        else:
            if at_s > known.last_s:
                if known.first_s < at_s - findtime_s:
                    known.retry = round(known.retry / float(at_s - known.first_s) * findtime_s)
                    known.first_s = int(at_s - findtime_s)
                known.last_s = at_s
            known.retry += 1
            insort(known.failures, failure)
            del known.failures[: -self.rules.maxretry]
        if known.retry < self.rules.maxretry and weight > 1:
            known.retry += weight - 1
        return known.retry >= self.rules.maxretry

    def failures_of(self, subject: str) -> list[int]:
        """The newest failures of a subject."""
        known = self._known.get(subject)
        return [] if known is None else known.failures

    def so_far(self, subject: str) -> tuple[int, int] | None:
        """How many failures a subject is thought to have, and when the last was; None where none."""
        known = self._known.get(subject)
        return None if known is None else (int(known.retry), known.last_s * 1_000)

    def newest(self) -> Iterator[tuple[int, str]]:
        """When each subject failed last, and who that is."""
        return ((known.last_s * 1_000, name) for name, known in self._known.items())

    def load_failures(self, subject: str, failures: list[int]) -> None:
        """Take over what another window has counted."""
        self._known[subject] = Estimate(failures[-self.rules.maxretry :], len(failures))

    def dumped(self, subject: str) -> list[Any]:
        """What is to be saved of a subject."""
        known = self._known[subject]
        return [known.first_s, known.last_s, known.retry, flat(known.failures)]

    def load(self, subject: str, *facts: Any) -> None:
        """Put back what was saved."""
        first_s, last_s, retry, failures = facts
        known = self._known[subject] = Estimate(unflat(failures), retry)
        known.first_s, known.last_s = first_s, last_s


def weight_of(bans: int, maxretry: int) -> float:
    """What one failure counts of who was banned so often: 2, 3, 5, 9 ..., maxretry at most; 1 for none."""
    return min((1 << min(bans, 20)) / 2 + 1, maxretry) if bans else 1
