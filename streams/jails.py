"""Which kind of jail some rules need (streams.jail, streams.estimating, streams.distinct)."""

from __future__ import annotations

from schemas.rules import Jail
from streams.distinct import DistinctJail
from streams.estimating import EstimatingJail
from streams.jail import JailState
from streams.knowing import KnowingJail
from streams.rates import RateJail
from streams.routes import REQUEST


def state_of(rules: Jail, lateness_ms: int, before: JailState | None = None) -> JailState:
    """The state of a jail under these rules; `before`: what it was under others, whose bans go on."""
    kind: type[JailState] = JailState
    if rules.distinct is not None:
        kind = DistinctJail
    elif REQUEST in rules.kinds:
        kind = RateJail
    elif rules.window == "fail2ban":
        kind = EstimatingJail
    elif rules.known_good_ms is not None:
        kind = KnowingJail
    if before is not None and type(before) is kind:
        before.adopt(rules, lateness_ms)
        return before
    made = kind(rules, lateness_ms)
    if before is not None:
        made.take_over(before)
    return made
