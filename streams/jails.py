"""Which kind of jail some rules need (streams.jail, estimating, leaky, distinct, pairs, users)."""

from __future__ import annotations

from schemas.rules import Jail
from streams.distinct import DistinctJail
from streams.estimating import EstimatingJail
from streams.jail import JailState
from streams.knowing import KnowingJail
from streams.leaky import LeakyJail
from streams.pairs import PairJail
from streams.rates import RateJail
from streams.routes import REQUEST
from streams.users import UserJail


def known_to(jail: JailState) -> set[str]:
    """All of whom a jail knows anything, as it is saved by subject (streams.state)."""
    good = jail.good if isinstance(jail, KnowingJail) else ()
    return {*jail.subjects, *jail.history, *(jail.tally or ()), *(jail.networks or ()), *good}


def state_of(rules: Jail, lateness_ms: int, before: JailState | None = None) -> JailState:
    """The state of a jail under these rules; `before`: what it was under others, whose bans go on."""
    kinds: tuple[tuple[bool, type[JailState]], ...] = (
        (rules.count == "user", UserJail),
        (rules.count == "address and user", PairJail),
        (rules.distinct is not None, DistinctJail),
        (REQUEST in rules.kinds, RateJail),
        (rules.window == "fail2ban", EstimatingJail),
        (rules.window == "leaky", LeakyJail),
        (rules.known_good_ms is not None, KnowingJail),
    )
    kind = next((kind for needed, kind in kinds if needed), JailState)
    if before is not None and type(before) is kind:
        before.adopt(rules, lateness_ms)
        return before
    made = kind(rules, lateness_ms)
    if before is not None:
        made.take_over(before)
    return made
