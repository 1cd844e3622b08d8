"""A jail's behaviour, as its configuration says: when its minutes are unusual."""

from __future__ import annotations

from banstream import values
from banstream.toml import Table
from schemas.behaviours import MOST_DEVIATIONS, MOST_LEAST, Behaviour
from schemas.rules import TIGHTENED, Jail


def read_behaviour(jail: Table, usual: Behaviour | None) -> Behaviour | None:
    """As `[defaults.behaviour]` says, changed by the jail's own; None: nobody looks."""
    named, table, kept = jail.has("behaviour"), jail.table("behaviour"), usual or Behaviour()
    wanted = table.take("enabled", values.flag, default=named or usual is not None)
    made = Behaviour(
        deviations=table.take("deviations", values.between(1, MOST_DEVIATIONS), kept.deviations),
        least=table.take("least", values.between(1, MOST_LEAST), kept.least),
        tighten=table.take("tighten", values.flag, kept.tighten),
    )
    table.done()
    return made if wanted else None


def check_behaviour(table: Table, rules: Jail) -> None:
    """It is a problem where the jail's other words do not go with it."""
    if not rules.may_be_watched:
        table.problem("behaviour", None, f"none here: {TIGHTENED}")
