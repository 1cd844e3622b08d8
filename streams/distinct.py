"""A jail that counts how many different users, addresses or ports a subject failed with, not how often.

Of each value the newest failure is kept; as many of those as maxretry within findtime ban. A failure that
names no such value does not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from schemas.rules import Jail
from streams.runs import PORT, USER, RunRow
from streams.tally import SubjectTally
from streams.tallying import TallyingJail
from streams.window import MOST_KEPT, at_ms_of, flat, unflat

PLACES = {"address": 2, "user": USER, "port": PORT}
"""Where a value stands in a row."""


class DistinctValues(SubjectTally[dict[int, int]]):
    """By subject, each value's newest failure; a value is the 64-bit BLAKE2b of its text."""

    def adopt(self, rules: Jail) -> None:
        """Go on under other rules; what other values were is of no account."""
        if rules.distinct != self.rules.distinct:
            self._known.clear()
        super().adopt(rules)

    def add(self, subject: str, value: str, failure: int) -> int:
        """Count a failure with a value; how many values there are, 0 where it brings nothing new."""
        known = self._known.setdefault(subject, {})
        name = int.from_bytes(blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest())
        if known.get(name, -1) >= failure:
            return 0
        known.pop(name, None)
        known[name] = failure
        if len(known) > max(MOST_KEPT, self.rules.maxretry):
            del known[min(known, key=known.__getitem__)]
        return len(known)

    def failures_of(self, subject: str) -> list[int]:
        """The newest failure of each value, sorted."""
        return sorted(self._known.get(subject, {}).values())

    def newest(self) -> Iterator[tuple[int, str]]:
        """When each subject failed last, and who that is."""
        return ((at_ms_of(max(known.values())), name) for name, known in self._known.items())

    def load_failures(self, subject: str, failures: list[int]) -> None:
        """Of what a plain jail has counted nobody knows the values: it begins anew."""

    def dumped(self, subject: str) -> list[Any]:
        """What is to be saved of a subject."""
        known = self._known[subject]
        return [list(known), flat(known.values())]

    def load(self, subject: str, *facts: Any) -> None:
        """Put back what was saved."""
        names, failures = facts
        self._known[subject] = dict(zip(names, unflat(failures), strict=True))


class DistinctJail(TallyingJail):
    """A jail's rules, its subjects' values, and its bans."""

    __slots__ = ("_value", "_values")
    meets = True

    def __init__(self, rules: Jail, lateness_ms: int) -> None:
        self._values = DistinctValues(rules)
        self._value: str | None = None
        super().__init__(rules, lateness_ms, self._values)

    def meet(self, row: RunRow) -> bool:
        """The event that is counted next; whether it says what is counted."""
        place = PLACES[self.rules.distinct or "address"]
        value = row[place] if place < len(row) else None
        self._value = None if value is None else str(value)
        return self._value is not None

    def begin(self, ip: str, failure: int) -> bool:
        """Count a failure of a subject; whether it may fill a window."""
        if self._value is None:
            return False
        return self._values.add(ip, self._value, failure) >= self.maxretry
