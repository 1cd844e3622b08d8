"""Which kind of jail some rules need (streams.jail, estimating, leaky, distinct, pairs, users)."""

from __future__ import annotations

from schemas.rules import Jail
from streams.distinct import DistinctJail
from streams.estimating import EstimatingJail
from streams.jail import JailState
from streams.leaky import LeakyJail
from streams.pairs import PairJail
from streams.users import UserJail


def state_of(rules: Jail, lateness_ms: int, before: JailState | None = None) -> JailState:
    """The state of a jail under these rules; `before`: what it was under others, whose bans go on."""
    kind: type[JailState] = JailState
    if rules.count == "user":
        kind = UserJail
    elif rules.count == "address and user":
        kind = PairJail
    elif rules.distinct is not None:
        kind = DistinctJail
    elif rules.window == "fail2ban":
        kind = EstimatingJail
    elif rules.window == "leaky":
        kind = LeakyJail
    if before is not None and type(before) is kind:
        before.adopt(rules, lateness_ms)
        return before
    made = kind(rules, lateness_ms)
    if before is not None:
        made.take_over(before)
    return made
