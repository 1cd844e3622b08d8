"""A jail whose window is fail2ban's: it estimates, goes on during a ban, and counts the known bad for more.

| a failure of a subject that is | does |
|---|---|
| banned, up to its last instant | is counted; enough of them let the ban last bantime from then |
| free again | is counted, also where it is older than the end of the ban |
| known to be bad, where bans grow | counts 2, 3, 5, 9 ... after its first, second, third, fourth ... ban |
"""

from __future__ import annotations

from schemas.rules import Jail
from streams.estimates import Estimates, weight_of
from streams.tallying import TallyingJail
from streams.window import at_ms_of


class EstimatingJail(TallyingJail):
    """A jail's rules, its estimates, and its bans."""

    __slots__ = ("_estimates",)
    lingers_ms = 1
    grows_again = False

    def __init__(self, rules: Jail, lateness_ms: int) -> None:
        self._estimates = Estimates(rules)
        super().__init__(rules, lateness_ms, self._estimates)

    def adopt(self, rules: Jail, lateness_ms: int) -> None:
        """Go on under new rules; what was counted stays counted."""
        super().adopt(rules, lateness_ms)
        self.prolongs = True

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

    def filled(self, ip: str, failures: list[int], failure: int) -> tuple[int, int] | None:  # noqa: ARG002 - as in every jail
        """Its one threshold, and where its evidence starts: it is asked where that is filled."""
        return 0, 0

    def so_far(self, subject: str) -> tuple[int, int] | None:
        """How many failures a subject is thought to have, and when the last was; None where none."""
        return self._estimates.so_far(subject)

    def ignores(self, failure: int, now_ms: int) -> bool:
        """Whether a ban that a failure decides is none: bantime after it, however bans grow, is over."""
        bantime_ms = self.rules.bantime_ms
        return bantime_ms is not None and (at_ms_of(failure) + bantime_ms) // 1_000 < now_ms // 1_000

    def _weight(self, ip: str, failure: int) -> float:
        """What a failure counts: more than one of a subject that was banned before it, where bans grow."""
        if self.rules.increment is None:
            return 1
        held, past = self.held_by(ip), self.history.get(ip)
        last = held or past
        if last is None or at_ms_of(failure) // 1_000 <= last.at_ms // 1_000:
            return 1
        return weight_of(self.bans_before(ip, at_ms_of(failure)), self.maxretry)
