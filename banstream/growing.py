"""How a jail's bans grow, and how networks are banned for their addresses, as its configuration says."""

from __future__ import annotations

from typing import cast, get_args

from banstream import values
from banstream.toml import Table
from schemas.rules import MOST_ADDRESSES, WIDEST_IPV4, WIDEST_IPV6, Escalation, Increment, SparedNetwork


def read_escalation(jail: Table, usual: Escalation | None) -> Escalation | None:
    """When networks are banned: as `[defaults.escalate]` says, changed by the jail's own; None: never."""
    named, table, kept = jail.has("escalate"), jail.table("escalate"), usual or Escalation()
    wanted = table.take("enabled", values.flag, default=named or usual is not None)
    made = Escalation(
        ipv4=table.take("ipv4", values.between(WIDEST_IPV4, 32), kept.ipv4),
        ipv6=table.take("ipv6", values.between(WIDEST_IPV6, 128), kept.ipv6),
        addresses=table.take("addresses", values.between(2, MOST_ADDRESSES), kept.addresses),
        findtime_ms=table.take("findtime", values.duration_ms, kept.findtime_ms),
        bantime_ms=table.take("bantime", values.bantime_ms, kept.bantime_ms),
        spared=table.take("spared", _spared_network, kept.spared),
    )
    table.done()
    return made if wanted else None


def read_increment(jail: Table, usual: Increment | None) -> Increment | None:
    """How bans grow: as `[defaults.increment]` says, changed by the jail's own; None: they do not."""
    named, table, kept = jail.has("increment"), jail.table("increment"), usual or Increment()
    wanted = table.take("enabled", values.flag, default=named or usual is not None)
    made = Increment(
        factor=table.take("factor", values.factor, kept.factor),
        multipliers=table.take("multipliers", values.factors, kept.multipliers),
        maxtime_ms=table.take("maxtime", values.duration_ms, kept.maxtime_ms),
        rndtime_ms=table.take("rndtime", values.duration_ms, kept.rndtime_ms),
        forget_ms=table.take("forget", values.duration_ms, kept.forget_ms),
        formula=table.take("formula", values.formula, kept.formula),
        overalljails=table.take("overalljails", values.flag, kept.overalljails),
    )
    table.done()
    return made if wanted else None


def _spared_network(value: object) -> SparedNetwork:
    return cast("SparedNetwork", values.one_of(*get_args(SparedNetwork))(value))
