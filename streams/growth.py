"""How long a ban lasts that is not an address' first: fail2ban's bantime.increment, without its chance.

| with | the ban after `earlier` others lasts |
|---|---|
| no increment, or none before | bantime |
| multipliers | bantime * factor * the multiplier at `earlier`, the last for all beyond |
| a formula | what it says in seconds, but bantime at least; bantime where it is no number |
| neither | bantime * factor * 2 ** earlier (20 at most), but bantime at least |
| maxtime | that at most |
| rndtime | a share of it more, even beyond maxtime |

The share follows from whom is banned and where its cause stands in the log: a replay gives the same. The
formulas are those of jail.conf(5), as fail2ban 1.0.2 computes them.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from schemas.bounds import LONGEST_MS
from schemas.formulas import parse_formula
from schemas.rules import Increment

MOST_DOUBLINGS: Final = 20


def lasting_ms(bantime_ms: int | None, increment: Increment | None, earlier: int, place: str) -> int | None:
    """How long a ban lasts, in milliseconds; None for ever, which does not grow.

    Args:
        bantime_ms: how long a first one lasts.
        increment: how the jail's bans grow.
        earlier: how many bans the address had before.
        place: of the cause in the log, and the address.
    """
    if bantime_ms is None or increment is None or earlier < 1:
        return bantime_ms
    multipliers = increment.multipliers
    grown: float
    if multipliers:
        grown = bantime_ms * increment.factor * multipliers[min(earlier, len(multipliers) - 1)]
    elif increment.formula:
        formula = parse_formula(increment.formula)
        grown = max(
            bantime_ms, (formula.lasting_s(bantime_ms / 1_000, earlier, increment.factor) or 0) * 1_000
        )
    else:
        grown = max(bantime_ms, bantime_ms * increment.factor * (1 << min(earlier, MOST_DOUBLINGS)))
    most_ms = LONGEST_MS if increment.maxtime_ms is None else increment.maxtime_ms
    share = crc32(place.encode("utf-8")) / (1 << 32)
    return min(int(min(grown, most_ms) + share * (increment.rndtime_ms or 0)), LONGEST_MS)
