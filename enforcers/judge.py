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

from typing import Final

from enforcers.breaker import Breaker
from enforcers.safety import NeverBan
from enforcers.standing import Ends, HostBan, jails_of, live
from schemas.records import Outcome

Judgement = tuple[Ends, Outcome, str | None]
"""What is to be in the firewall, what to record when that is done, and why it is not all that was asked."""
NOTHING_WANTED: Final[Judgement] = ((), "applied", None)


class Judge:
    """Applies the safety rails; the breaker counts what it lets through."""

    def __init__(self, never_ban: NeverBan, breaker: Breaker) -> None:
        self.never_ban = never_ban
        self.breaker = breaker

    def judge(self, ban: HostBan, now_ms: int, *, new: bool) -> Judgement:
        """The judgement on one prefix; `new` bans count for the breaker's rate."""
        wanted = live(ban.ends, now_ms)
        reason = self._refusal(ban, now_ms, new=new) if wanted else None
        if wanted and reason is None:
            return wanted, "applied", None
        if ban.counted:
            self.breaker.release(ban.prefix)
            ban.counted = False
        elif not wanted:
            self.breaker.forget(ban.prefix)
        if not ban.wanted:
            return NOTHING_WANTED
        if not wanted:
            return (), "skipped", f"it had ended {_ago_ms(ban.ends, now_ms)} ms before"
        return (), "refused", reason

    def _refusal(self, ban: HostBan, now_ms: int, *, new: bool) -> str | None:
        reason = self.never_ban.refusal(ban.prefix)
        if reason is not None:
            self.breaker.forget(ban.prefix)
        elif not ban.counted:
            reason = self.breaker.refusal(ban.prefix, now_ms, new=new, jails=jails_of(ban.holders))
            ban.counted = reason is None
        return reason


def _ago_ms(ends: Ends, now_ms: int) -> int:
    return now_ms - max(until_ms for _, until_ms in ends if until_ms is not None)
