"""Decides what this host wants of a standing ban: all of it, or nothing and why. Pure: time is given.

| the standing | wanted | outcome |
|---|---|---|
| let the prefix go | nothing | applied |
| has ended already | nothing | skipped |
| would ban what is never banned | nothing | refused |
| goes past the breaker | nothing | refused |
| else | its ends | applied |
"""

from __future__ import annotations

from typing import NamedTuple

from enforcers.safety import Breaker, NeverBan
from enforcers.standing import Ends, Standing, live
from schemas.records import Outcome


class Judgement(NamedTuple):
    """What is to be in the firewall, and what to record when that is done; `detail` is why not."""

    wanted: Ends
    outcome: Outcome
    detail: str | None = None


NOTHING_WANTED = Judgement((), "applied")


class Judge:
    """Applies the safety rails; the breaker counts what it lets through."""

    def __init__(self, never_ban: NeverBan, breaker: Breaker) -> None:
        self.never_ban = never_ban
        self.breaker = breaker

    def judge(self, prefix: str, standing: Standing, now_ms: int, *, new: bool) -> Judgement:
        """The judgement on one prefix; `new` bans count for the breaker's rate."""
        wanted = live(standing.ends, now_ms)
        reason = self._refusal(prefix, standing, now_ms, new=new) if wanted else None
        if wanted and reason is None:
            return Judgement(wanted, "applied")
        if standing.counted:
            self.breaker.release(prefix)
            standing.counted = False
        if not standing.ends:
            return NOTHING_WANTED
        if not wanted:
            return Judgement((), "skipped", f"it had ended {_ago_ms(standing.ends, now_ms)} ms before")
        return Judgement((), "refused", reason)

    def _refusal(self, prefix: str, standing: Standing, now_ms: int, *, new: bool) -> str | None:
        reason = self.never_ban.refusal(prefix)
        if reason is None and not standing.counted:
            reason = self.breaker.refusal(prefix, now_ms, new=new)
            standing.counted = reason is None
        return reason


def _ago_ms(ends: Ends, now_ms: int) -> int:
    return now_ms - max(until_ms for _, until_ms in ends if until_ms is not None)
