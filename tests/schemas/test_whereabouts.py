"""Scopes: from where events count."""

from __future__ import annotations

import pytest

from schemas.errors import InvalidMessage
from schemas.rules import Jail, Rules, Threshold
from schemas.whereabouts import Region, Scope

XA, BOTH = Region(country=("XA",)), Region(country=("XA", "XB"), asn=(64_500,))


@pytest.mark.parametrize(
    ("scope", "country", "asn", "counts"),
    [
        (Scope(where=XA), "XA", None, True),
        (Scope(where=XA), "XB", None, False),
        (Scope(where=XA), None, 64_500, False),
        (Scope(unless=XA), "XA", None, False),
        (Scope(unless=XA), "XB", None, True),
        (Scope(unless=XA), None, None, True),
        (Scope(where=BOTH), "XB", 64_500, True),
        (Scope(where=BOTH), "XB", 64_501, False),
        (Scope(where=BOTH), None, 64_500, False),
        (Scope(unless=BOTH), "XA", 64_501, True),
        (Scope(unless=BOTH), "XA", 64_500, False),
        (Scope(where=Region(asn=(64_500,)), unless=XA), "XB", 64_500, True),
        (Scope(where=Region(asn=(64_500,)), unless=XA), "XA", 64_500, False),
        (Scope(where=Region(asn=(64_500,)), unless=XA), None, 64_500, True),
        (Scope(), None, None, True),
    ],
)
def test_from_where_events_count(scope: Scope, country: str | None, asn: int | None, counts: bool) -> None:  # noqa: FBT001 - a table's column
    """`where` needs to know, `unless` does too: what is from nobody knows where is from no region."""
    assert scope.has(country, asn) is counts


def test_scopes_travel_with_the_rules() -> None:
    """Of a jail, of its own threshold and of its steps; a step without one is written as it was before."""
    plain = Threshold(maxretry=9, findtime_ms=1_000, bantime_ms=None)
    scoped = Threshold(maxretry=10, findtime_ms=1_000, bantime_ms=None, scope=Scope(unless=BOTH))
    jail = Jail(
        name="sshd",
        filters=("sshd",),
        scope=Scope(where=XA),
        first_scope=Scope(where=BOTH),
        steps=(plain, scoped),
    )
    rules = Rules(jails=(jail,))
    wire = rules.to_wire()
    assert Rules.from_wire(wire) == rules
    assert ["scope" in step for step in wire["jails"][0]["steps"]] == [False, True]
    assert jail.scopes == (Scope(where=XA), Scope(where=BOTH), Scope(unless=BOTH))


@pytest.mark.parametrize("region", [{"country": ["XAA"]}, {"country": "XA"}, {"asn": [-1]}, {"asn": ["x"]}])
def test_what_is_no_region_is_refused(region: object) -> None:
    """With the field."""
    wire = Rules(jails=(Jail(name="sshd", filters=("sshd",)),)).to_wire()
    wire["jails"][0]["scope"] = {"where": region}
    with pytest.raises(InvalidMessage) as refused:
        Rules.from_wire(wire)
    assert (refused.value.field or "").startswith("rules.jails[0].scope.where")
