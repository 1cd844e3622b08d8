"""A jail that counts requests: how many of a subject lie within findtime, by a sixtieth of findtime.

One event stands for the requests of an address within a second. They are counted by the stretch of time, a
sixtieth of findtime and a second at least, in which they lie; what the last sixty stretches hold together is
compared with maxretry. So a subject takes as much memory for a million requests as for sixty. Of each stretch
the newest event is evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from schemas.rules import Jail
from streams.runs import TIMES, RunRow, value_in
from streams.tally import SubjectTally
from streams.tallying import TallyingJail
from streams.window import at_ms_of, flat, unflat

STRETCHES: Final = 60
LEAST_MS: Final = 1_000
Stretch = tuple[int, int]
"""How many requests lie in it, and the newest event of them."""


class RequestCounts(SubjectTally[dict[int, Stretch]]):
    """By subject, its requests by the number of their stretch."""

    @property
    def stretch_ms(self) -> int:
        """How long a stretch is."""
        return max(LEAST_MS, self.rules.findtime_ms // STRETCHES)

    @property
    def span(self) -> int:
        """So many stretches are compared with maxretry together."""
        return max(1, self.rules.findtime_ms // self.stretch_ms)

    def adopt(self, rules: Jail) -> None:
        """Go on under other rules; of stretches of another length nothing is known."""
        before = self.stretch_ms
        super().adopt(rules)
        if self.stretch_ms != before:
            self._known.clear()

    def add(self, subject: str, failure: int, times: int) -> None:
        """Count an event that stands for so many requests."""
        known = self._known.setdefault(subject, {})
        number = at_ms_of(failure) // self.stretch_ms
        held, newest = known.get(number, (0, failure))
        known[number] = held + times, max(newest, failure)
        if len(known) > 2 * self.span:
            oldest = max(known) - self.span
            for each in [each for each in known if each <= oldest]:
                del known[each]

    def full(self, subject: str, failure: int) -> list[Stretch]:
        """The stretches of the earliest span around an event that holds enough; none where none does."""
        known, number = self._known.get(subject, {}), at_ms_of(failure) // self.stretch_ms
        if sum(times for times, _ in known.values()) < self.rules.maxretry:
            return []
        for last in sorted(each for each in known if number <= each < number + self.span):
            held = [known[each] for each in sorted(known) if last - self.span < each <= last]
            if sum(times for times, _ in held) >= self.rules.maxretry:
                return held
        return []

    def so_far(self, subject: str, now_ms: int) -> tuple[int, int | None]:
        """How many requests of a subject lie within findtime now; and until when they do, None for none."""
        first = now_ms // self.stretch_ms - self.span + 1
        known = self._known.get(subject, {})
        held = [each for each in known if each >= first]
        until_ms = (min(held) + self.span) * self.stretch_ms if held else None
        return sum(known[each][0] for each in held), until_ms

    def failures_of(self, subject: str) -> list[int]:
        """The newest event of each stretch, sorted."""
        return sorted(newest for _, newest in self._known.get(subject, {}).values())

    def newest(self) -> Iterator[tuple[int, str]]:
        """When each subject asked last, and who that is."""
        return ((at_ms_of(known[max(known)][1]), name) for name, known in self._known.items())

    def load_failures(self, subject: str, failures: list[int]) -> None:
        """What a plain jail has counted were no requests: it begins anew."""

    def dumped(self, subject: str) -> list[Any]:
        """What is to be saved of a subject."""
        known = self._known[subject]
        return [list(known), [times for times, _ in known.values()], flat(each for _, each in known.values())]

    def load(self, subject: str, *facts: Any) -> None:
        """Put back what was saved."""
        numbers, times, events = facts
        self._known[subject] = dict(zip(numbers, zip(times, unflat(events), strict=True), strict=True))


class RateJail(TallyingJail):
    """A jail's rules, its subjects' requests, and its bans."""

    __slots__ = ("_counts", "_full", "_times")
    meets = True

    def __init__(self, rules: Jail, lateness_ms: int) -> None:
        self._counts = RequestCounts(rules)
        self._times = 1
        self._full: list[Stretch] = []
        super().__init__(rules, lateness_ms, self._counts)

    def meet(self, row: RunRow) -> bool:
        """The event that is counted next."""
        self._times = value_in(row, TIMES, 1)
        return True

    def count(self, ip: str, failure: int) -> bool:
        """Count an event of a subject that is banned, or admitted; whether it may fill a window."""
        held = self.held_by(ip)
        if held is not None:
            held.while_banned += self._times
            return False
        return self.begin(ip, failure)

    def begin(self, ip: str, failure: int) -> bool:
        """Count an event of a subject; whether it fills a window."""
        self._counts.add(ip, failure, self._times)
        self._full = self._counts.full(ip, failure)
        return bool(self._full)

    def filled(self, ip: str, failures: list[int], failure: int) -> tuple[int, int] | None:  # noqa: ARG002 - as in every jail
        """Its one threshold, and where its evidence starts: it is asked where that is filled."""
        return 0, failures.index(self._full[0][1])

    def needed(self, number: int) -> int:  # noqa: ARG002 - as in every jail
        """How many events are the evidence of the ban at hand."""
        return len(self._full)

    @property
    def facts(self) -> dict[str, Any]:
        """How many requests they stand for."""
        return {"count": sum(times for times, _ in self._full)}

    def so_far(self, subject: str, now_ms: int) -> tuple[int, int | None]:
        """How many requests of a subject lie within findtime now, and until when they do."""
        return self._counts.so_far(subject, now_ms)
