"""A jail's keys, each right by itself, that are no jail together."""

from __future__ import annotations

from banstream.behaving import check_behaviour
from banstream.ignorecommands import check_command
from banstream.requests import asking
from banstream.successes import check_successes
from banstream.toml import Table
from schemas.rules import DISTINCT, Jail


def together(table: Table, rules: Jail, *, rated: bool, look: bool) -> Jail:
    """The jail as it is with all its keys, and what is wrong with them.

    `rated`: it says itself how many requests ban. `look`: say also what it lacks on this machine.
    """
    rules = check_command(table, asking(table, rules, rated=rated), look=look)
    check_successes(table, rules)
    check_behaviour(table, rules)
    if rules.distinct is not None and not rules.may_be_distinct:
        table.problem("distinct", rules.distinct, f"none here: {DISTINCT}")
    if rules.wrong_count is not None:
        table.problem("count", rules.count, f"none here: {rules.wrong_count}")
    return rules
