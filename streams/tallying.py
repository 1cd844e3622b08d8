"""A jail whose failing subjects are kept apart from its bans, in a tally that is no list of failures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from schemas.rules import Jail
from streams.jail import JailState
from streams.tally import SubjectTally


class TallyingJail(JailState):
    """A jail's rules, its tally, and its bans."""

    __slots__ = ("_tally",)

    def __init__(self, rules: Jail, lateness_ms: int, tally: SubjectTally[Any]) -> None:
        super().__init__(rules, lateness_ms)
        self.tally = self._tally = tally

    def adopt(self, rules: Jail, lateness_ms: int) -> None:
        """Go on under new rules; what was counted stays counted."""
        super().adopt(rules, lateness_ms)
        self.ladder = None
        if self.tally is not None:
            self.tally.adopt(rules)

    @property
    def failing(self) -> int:
        """Subjects with failures that have not led to a ban, and those who go on during theirs."""
        return len(self._tally)

    def count(self, ip: str, failure: int) -> bool:
        """Count a failure of a subject that is banned, or admitted; whether it may fill a window."""
        held = self.held_by(ip)
        if held is None:
            return self.begin(ip, failure)
        held.while_banned += 1
        return False

    def failures_of(self, ip: str) -> list[int]:
        """A subject's failures that may be evidence, sorted."""
        return self._tally.failures_of(ip)

    def use_up(self, ip: str, failures: list[int], number: int) -> None:  # noqa: ARG002 - as in every jail
        """The threshold was filled: nothing of the subject counts again."""
        self._tally.forget((ip,))

    def forgive(self, ip: str) -> None:
        """Forget a subject's failures."""
        self._tally.forget((ip,))

    def remember(self, ip: str, failures: list[int]) -> None:
        """Take over what a plain jail has counted."""
        self._tally.load_failures(ip, failures)

    def forget(self, now_ms: int) -> set[str]:
        """Drop subjects whose newest failure is too old to matter, and bans of long ago; returns whom."""
        old = {ip for at_ms, ip in self._tally.newest() if at_ms < now_ms - self.keep_ms}
        self._tally.forget(old)
        return old | super().forget(now_ms)

    def step_back(self, at_ms: int, skew_ms: int) -> set[str]:
        """Forget what is said to have happened after an instant: failures, and ends of bans; whose."""
        self._tally.now_s = min(self._tally.now_s, (at_ms + skew_ms) // 1_000)
        later = {ip for failed_ms, ip in self._tally.newest() if failed_ms > at_ms + skew_ms}
        self._tally.forget(later)
        return later | super().step_back(at_ms, skew_ms)

    def newest(self) -> Iterator[tuple[int, str, str]]:
        """When each failing subject failed last, who that is, and the jail's name."""
        return ((at_ms, ip, self.rules.name) for at_ms, ip in self._tally.newest())

    def _all(self) -> Iterable[str]:
        return chain(self.subjects, self._tally)

    def _is(self, name: str, *, banned: bool) -> bool:
        return name in self.subjects if banned else name in self._tally
