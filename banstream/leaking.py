"""A jail's leaky bucket, as its configuration says: CrowdSec's words, or fail2ban's."""

from __future__ import annotations

from collections.abc import Iterator
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

    A bucket that holds 5 and leaks one every 10 s bans for the sixth of failures within 50 s at most.
    """
    said = {"capacity": leak.capacity, "leakspeed": leak.leakspeed_ms}
    problems = dict(_problems(table, rules, leak, said))
    for key, expected in problems.items():
        table.problem(key, said.get(key) or None, expected)
    if problems or rules.window != "leaky" or not any(said.values()):
        return rules
    return replace(rules, maxretry=leak.capacity + 1, findtime_ms=leak.capacity * leak.leakspeed_ms)


def _problems(table: Table, rules: Jail, leak: Leak, said: dict[str, int]) -> Iterator[tuple[str, str]]:
    """What is wrong, by key: what was expected."""
    if rules.window != "leaky":
        yield from ((key, f"nothing here: it goes with {LEAKY}") for key, value in said.items() if value)
        return
    if rules.prolong:
        yield "prolong", f"false: {LEAKY} prolongs nothing"
    if not any(said.values()):
        return
    yield from ((key, "nothing here: capacity and leakspeed say it") for key in leak.besides)
    missing = [key for key, value in said.items() if not value and key not in table.refused]
    yield from ((key, "a value: capacity and leakspeed go together") for key in missing)
    if leak.capacity * leak.leakspeed_ms > LONGEST_MS:
        yield "leakspeed", "so little that a bucket is empty within a thousand years"
