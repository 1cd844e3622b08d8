"""How long a ban lasts that is not an address' first: fail2ban's bantime.increment, without its chance.

| with | the ban after `earlier` others lasts |
|---|---|
| no increment, or none before | bantime |
| multipliers | bantime * factor * the multiplier at `earlier`, the last for all beyond |
| none | bantime * factor * 2 ** earlier (20 at most), but bantime at least |
| maxtime | that at most |
| rndtime | a share of it more, even beyond maxtime |

The share follows from whom is banned and where its cause stands in the log: a replay gives the same. The
formulas are those of jail.conf(5), as fail2ban 1.0.2 computes them; its `bantime.formula` and `overalljails`
are not here.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from schemas.bounds import LONGEST_MS
from schemas.rules import Jail

MOST_DOUBLINGS: Final = 20


def lasting_ms(rules: Jail, earlier: int, place: str) -> int | None:
    """How long a ban lasts, in milliseconds; None for ever, which does not grow.

    Args:
        rules: of the jail.
        earlier: how many bans the address had before.
        place: of the cause in the log, and the address.
    """
    bantime_ms, increment = rules.bantime_ms, rules.increment
    if bantime_ms is None or increment is None or earlier < 1:
        return bantime_ms
    multipliers = increment.multipliers
    if multipliers:
        grown = bantime_ms * increment.factor * multipliers[min(earlier, len(multipliers) - 1)]
    else:
        grown = max(bantime_ms, bantime_ms * increment.factor * (1 << min(earlier, MOST_DOUBLINGS)))
    most_ms = LONGEST_MS if increment.maxtime_ms is None else increment.maxtime_ms
    share = crc32(place.encode("utf-8")) / (1 << 32)
    return min(int(min(grown, most_ms) + share * (increment.rndtime_ms or 0)), LONGEST_MS)


def end_ms(at_ms: int, rules: Jail, earlier: int, place: str) -> int | None:
    """When a ban that starts at an instant ends; None for ever. The rest is as for `lasting_ms`."""
    lasting = lasting_ms(rules, earlier, place)
    return None if lasting is None else at_ms + lasting
