"""A jail whose window is a leaky bucket, CrowdSec's shape: failures pour in, and leak out at a steady rate.

A bucket holds `maxretry - 1` failures (its capacity) and is empty again `findtime` after it was full: one
leaks every `findtime / (maxretry - 1)` (its leakspeed). The failure that it cannot hold bans, and empties it.
Levels are exact: a failure is `findtime` milliseconds' worth of a capacity's leaking, so all are integers.

| a failure | finds the bucket |
|---|---|
| later than the last | as far empty as it leaked since |
| late: before the last that was counted | as it is: it pours in all the same |
| of a subject that failed long enough ago | empty |

The newest of them, when it overflows, lie within findtime: a ban's count is true of the exact window, too.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from typing import Any

from schemas.rules import Jail
from streams.tally import SubjectTally
from streams.tallying import TallyingJail
from streams.window import at_ms_of, flat, unflat


class Bucket:
    """What is known of one subject: how full it was at an instant, and its newest failures, sorted."""

    __slots__ = ("at_ms", "failures", "level")

    def __init__(self, level: int, at_ms: int, failures: list[int]) -> None:
        self.level, self.at_ms, self.failures = level, at_ms, failures


class Buckets(SubjectTally[Bucket]):
    """The subjects of a jail that fail. A level is in units of which a failure is findtime_ms."""

    def adopt(self, rules: Jail) -> None:
        """Go on under other rules; what is kept pours into buckets of another size again."""
        before, self.rules = self.rules, rules
        if (before.findtime_ms, before.maxretry) != (rules.findtime_ms, rules.maxretry):
            known, self._known = self._known, {}
            for subject, bucket in known.items():
                self.load_failures(subject, bucket.failures)

    @property
    def capacity(self) -> int:
        """How many failures a bucket holds; as many units leak in a millisecond."""
        return self.rules.maxretry - 1

    def add(self, subject: str, failure: int) -> bool:
        """Pour a failure in; whether the bucket cannot hold it."""
        at_ms = at_ms_of(failure)
        bucket = self._known.get(subject)
        if bucket is None:
            bucket = self._known[subject] = Bucket(0, at_ms, [])
        bucket.level = self._level(bucket, at_ms) + self.rules.findtime_ms
        bucket.at_ms = max(bucket.at_ms, at_ms)
        insort(bucket.failures, failure)
        del bucket.failures[: -self.rules.maxretry]
        return bucket.level > self.capacity * self.rules.findtime_ms

    def so_far(self, subject: str, now_ms: int) -> tuple[int, int | None]:
        """How many failures are in a bucket at an instant, begun ones too, and when it is empty, if not."""
        bucket = self._known.get(subject)
        level = 0 if bucket is None else self._level(bucket, now_ms)
        if bucket is None or not level:
            return 0, None
        leaks_ms = -(-level // max(self.capacity, 1))
        return -(-level // max(self.rules.findtime_ms, 1)), max(bucket.at_ms, now_ms) + leaks_ms

    def failures_of(self, subject: str) -> list[int]:
        """The newest failures of a subject, as many as a ban needs."""
        bucket = self._known.get(subject)
        return [] if bucket is None else bucket.failures

    def newest(self) -> Iterator[tuple[int, str]]:
        """When each subject failed last, and who that is."""
        return ((bucket.at_ms, name) for name, bucket in self._known.items())

    def load_failures(self, subject: str, failures: list[int]) -> None:
        """Pour in what another window has counted; what is too much stays for the next failure to tell."""
        for failure in failures[-self.rules.maxretry :]:
            self.add(subject, failure)

    def dumped(self, subject: str) -> list[Any]:
        """What is to be saved of a subject."""
        bucket = self._known[subject]
        return [bucket.level, bucket.at_ms, flat(bucket.failures)]

    def load(self, subject: str, *facts: Any) -> None:
        """Put back what was saved."""
        level, at_ms, failures = facts
        self._known[subject] = Bucket(level, at_ms, unflat(failures))

    def _level(self, bucket: Bucket, at_ms: int) -> int:
        return max(0, bucket.level - self.capacity * max(0, at_ms - bucket.at_ms))


class LeakyJail(TallyingJail):
    """A jail's rules, its buckets, and its bans."""

    __slots__ = ("_buckets",)

    def __init__(self, rules: Jail, lateness_ms: int) -> None:
        self._buckets = Buckets(rules)
        super().__init__(rules, lateness_ms, self._buckets)

    def begin(self, ip: str, failure: int) -> bool:
        """Count a failure of a subject; whether its bucket overflows."""
        return self._buckets.add(ip, failure)

    def filled(self, ip: str, failures: list[int], failure: int) -> tuple[int, int] | None:  # noqa: ARG002 - as in every jail
        """Its one threshold, and where its evidence starts: it is asked where a bucket overflows."""
        return 0, 0

    def so_far(self, subject: str, now_ms: int) -> tuple[int, int | None]:
        """How many failures are in a subject's bucket at an instant, and when it is empty if it is not."""
        return self._buckets.so_far(subject, now_ms)
