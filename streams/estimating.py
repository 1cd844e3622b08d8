"""A jail whose window is fail2ban's: it estimates, goes on during a ban, and counts the known bad for more.

| a failure of a subject that is | does |
|---|---|
| banned, up to its last instant | is counted; enough of them let the ban last bantime from then |
| free again | is counted, also where it is older than the end of the ban |
| known to be bad, where bans grow | counts 2, 3, 5, 9 ... after its first, second, third, fourth ... ban |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from schemas.rules import Jail
from streams.estimates import Estimates, weight_of
from streams.jail import JailState
from streams.window import at_ms_of


def state_of(rules: Jail, lateness_ms: int, before: JailState | None = None) -> JailState:
    """The state of a jail under these rules; `before`: what it was under others, of which nothing is lost."""
    estimates = rules.window == "fail2ban"
    if before is not None and estimates == isinstance(before, EstimatingJail):
        before.adopt(rules, lateness_ms)
        return before
    made = EstimatingJail(rules, lateness_ms) if estimates else JailState(rules, lateness_ms)
    if before is not None:
        made.take_over(before)
    return made


class EstimatingJail(JailState):
    """A jail's rules, its estimates, and its bans."""

    __slots__ = ("_estimates",)
    lingers_ms = 1

    def __init__(self, rules: Jail, lateness_ms: int) -> None:
        super().__init__(rules, lateness_ms)
        self.estimates = self._estimates = Estimates(rules)

    def adopt(self, rules: Jail, lateness_ms: int) -> None:
        """Go on under new rules; what was counted stays counted."""
        super().adopt(rules, lateness_ms)
        self.ladder, self.prolongs = None, True
        if self.estimates is not None:
            self.estimates.adopt(rules)

    @property
    def failing(self) -> int:
        """Subjects with failures that have not led to a ban, and those who go on during theirs."""
        return len(self._estimates)

    def admits(self, ip: str, failure: int) -> bool:  # noqa: ARG002 - as in every jail
        """Whether a failure of a subject that is not banned is one to count."""
        return not self.spares(ip)

    def count(self, ip: str, failure: int) -> bool:
        """Count a failure of a subject that is banned, or admitted; whether it may fill a window."""
        held = self.held_by(ip)
        if held is not None:
            held.while_banned += 1
        return self.begin(ip, failure)

    def begin(self, ip: str, failure: int) -> bool:
        """Count a failure of a subject; whether it fills the window."""
        return self._estimates.add(ip, failure, self._weight(ip, failure))

    def failures_of(self, ip: str) -> list[int]:
        """A subject's newest failures, as many as a ban needs."""
        return self._estimates.failures_of(ip)

    def filled(self, ip: str, failures: list[int], failure: int) -> tuple[int, int] | None:  # noqa: ARG002 - as in every jail
        """Its one threshold, and where its evidence starts: it is asked where that is filled."""
        return 0, 0

    def use_up(self, ip: str, failures: list[int], number: int) -> None:  # noqa: ARG002 - as in every jail
        """The threshold was filled: the estimate is gone."""
        self._estimates.forget((ip,))

    def ignores(self, failure: int, now_ms: int) -> bool:
        """Whether a ban that a failure decides is none: bantime after it, however bans grow, is over."""
        bantime_ms = self.rules.bantime_ms
        return bantime_ms is not None and (at_ms_of(failure) + bantime_ms) // 1_000 < now_ms // 1_000

    def forgive(self, ip: str) -> None:
        """Forget a subject's failures."""
        self._estimates.forget((ip,))

    def remember(self, ip: str, failures: list[int]) -> None:
        """Take over what was counted otherwise."""
        self._estimates.load_failures(ip, failures)

    def forget(self, now_ms: int) -> set[str]:
        """Drop subjects whose newest failure is too old to matter, and bans of long ago; returns whom."""
        old = self._estimates.older(now_ms - self.keep_ms)
        self._estimates.forget(old)
        return old | super().forget(now_ms)

    def step_back(self, at_ms: int, skew_ms: int) -> set[str]:
        """Forget what is said to have happened after an instant: failures, and ends of bans; whose."""
        later = self._estimates.later(at_ms + skew_ms)
        self._estimates.forget(later)
        return later | super().step_back(at_ms, skew_ms)

    def newest(self) -> Iterator[tuple[int, str, str]]:
        """When each failing subject failed last, who that is, and the jail's name."""
        return ((at_ms, ip, self.rules.name) for at_ms, ip in self._estimates.newest())

    def _weight(self, ip: str, failure: int) -> float:
        """What a failure counts: more than one of a subject that was banned before it, where bans grow."""
        if self.rules.increment is None:
            return 1
        held, past = self.held_by(ip), self.history.get(ip)
        last = held or past
        if last is None or at_ms_of(failure) // 1_000 <= last.at_ms // 1_000:
            return 1
        return weight_of(self.bans_before(ip, at_ms_of(failure)), self.maxretry)

    def _all(self) -> Iterable[str]:
        return chain(self.subjects, self._estimates)

    def _is(self, name: str, *, banned: bool) -> bool:
        return name in self.subjects if banned else name in self._estimates
