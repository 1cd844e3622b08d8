"""What a jail says of logins that succeed: what they forgive, and who is known good."""

from __future__ import annotations

from typing import Any, Final

from banstream import values
from banstream.toml import Table
from schemas.rules import HALVING, KNOWING, MOST_KNOWN_GOOD, Jail

WORDS: Final = {"ignore": (False, False), "forgive": (True, False), "halve": (False, True)}
"""By what a jail says, whether it forgives, and whether it halves."""


def on_success(table: Table, usual: Jail) -> dict[str, Any]:
    """The fields of a jail that are about successes: as it says, else as usual."""
    forgive, halve = usual.forgive, usual.halve
    if table.has("forgive"):
        forgive, halve = table.take("forgive", values.flag, forgive), False
        if table.has("on_success"):
            table.problem("forgive", forgive, "on_success alone, which says the same and more")
    else:
        table.take("forgive", values.flag, default=False)
    said = table.take("on_success", values.one_of(*WORDS), "")
    if said:
        forgive, halve = WORDS[said]
    return {
        "forgive": forgive,
        "halve": halve,
        "known_good_ms": table.take("known_good", values.duration_ms, usual.known_good_ms),
        "known_good_factor": table.take(
            "known_good_factor", values.between(2, MOST_KNOWN_GOOD), usual.known_good_factor
        ),
    }


def check_successes(table: Table, rules: Jail) -> None:
    """Say where a jail cannot know who is good."""
    if rules.known_good_ms is not None and not rules.may_know:
        table.problem("known_good", rules.known_good_ms, f"none here: {KNOWING}")
    if rules.halve and (rules.distinct is not None or rules.count != "address"):
        table.problem("on_success", "halve", f'"forgive" or "ignore": {HALVING}')
