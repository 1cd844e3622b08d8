"""What a jail says of requests: the paths that are decoys, and how many requests ban."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from banstream import values
from banstream.toml import Table
from schemas.bounds import NAME_CHARACTERS
from schemas.rules import MOST_DECOYS, RATE, REQUESTS, Jail

PATHS: Final = f'paths such as "/wp-login.php" or "/.env*", {MOST_DECOYS} at most, each without a query'


def paths(value: Any) -> tuple[str, ...]:
    """Decoys: shell patterns over a path as servers read it, in lower case. Raises ValueError."""
    found = tuple(dict.fromkeys(each.lower() for each in values.texts(value)))
    if len(found) > MOST_DECOYS or not all(map(_is_path, found)):
        raise ValueError(PATHS)
    if any(not each.strip("/*?") for each in found):
        raise ValueError(f"{PATHS}, and none that everybody asks for")
    return found


def _is_path(text: str) -> bool:
    return text.startswith(("/", "*")) and len(text) <= NAME_CHARACTERS and not set(text) & set("%#")


def asking(table: Table, rules: Jail, *, rated: bool) -> Jail:
    """A jail of requests, checked; `rated`: it says itself how many ban, else its decoys alone do."""
    if not set(REQUESTS) & set(rules.kinds):
        return rules
    if not rules.may_rate:
        table.problem("kinds", list(rules.kinds), f"none of that here: {RATE}")
        return replace(rules, kinds=REQUESTS, distinct=None, steps=(), prolong=False, first_scope=None)
    if rated:
        return rules
    if not rules.decoy_paths:
        expected = (
            "how many requests within findtime ban, which a jail over requests says itself, or decoy_paths"
        )
        table.problem("maxretry", None, expected)
    return replace(rules, kinds=())
