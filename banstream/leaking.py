"""A jail's leaky bucket, as its configuration says: CrowdSec's words, or fail2ban's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from banstream import values
from banstream.toml import Table
from schemas.bounds import LONGEST_MS, MOST_RETRY
from schemas.rules import Jail

LEAKY: Final = 'window = "leaky"'
NOT_SAID: Final = 0


@dataclass(frozen=True, slots=True)
class Leak:
    """What a jail says of its bucket; `besides`: which of maxretry and findtime it says, too."""

    capacity: int
    leakspeed_ms: int
    besides: tuple[str, ...]


def read_leak(table: Table) -> Leak:
    """What a jail says of its bucket, read before the rest of it."""
    besides = tuple(key for key in ("maxretry", "findtime") if table.has(key))
    capacity = table.take("capacity", values.between(1, MOST_RETRY - 1), NOT_SAID)
    return Leak(capacity, table.take("leakspeed", values.duration_ms, NOT_SAID), besides)


def leaking(table: Table, rules: Jail, leak: Leak) -> Jail:
    """The same with the bucket that `capacity` and `leakspeed` say in place of maxretry and findtime.

    A bucket that holds 5 and leaks one every 10 s bans for the sixth of failures that lie within 50 s at most.
    """
    said = {"capacity": leak.capacity, "leakspeed": leak.leakspeed_ms}
    if rules.window != "leaky":
        for key in [key for key, value in said.items() if value]:
            table.problem(key, said[key], f"nothing here: it goes with {LEAKY}")
        return rules
    if rules.prolong:
        table.problem("prolong", True, f"false: {LEAKY} prolongs nothing")
    if not any(said.values()):
        return rules
    for key in leak.besides:
        table.problem(key, None, "nothing here: capacity and leakspeed say it")
    if not all(said.values()):
        missing = next(key for key, value in said.items() if not value)
        if missing not in table.refused:
            table.problem(missing, None, "a value: capacity and leakspeed go together")
        return rules
    if leak.capacity * leak.leakspeed_ms > LONGEST_MS:
        table.problem(
            "leakspeed", leak.leakspeed_ms, "so little that a bucket is empty within a thousand years"
        )
        return rules
    return replace(rules, maxretry=leak.capacity + 1, findtime_ms=leak.capacity * leak.leakspeed_ms)
