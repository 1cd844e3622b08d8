"""Sets of prefixes answer as the ipaddress module would, member by member."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from schemas.addresses import format_prefix
from schemas.prefixes import PrefixSet


def prefixes() -> st.SearchStrategy[str]:
    """Prefixes close enough together to contain each other often."""
    v4 = st.tuples(st.integers(0x0A000000, 0x0A0000FF), st.integers(20, 32)).map(lambda at: (*at, 32, 4))
    v6 = st.tuples(st.integers(0, 0xFF).map(lambda low: 0x20010DB8 << 96 | low), st.integers(116, 128)).map(
        lambda at: (*at, 128, 16)
    )
    return st.one_of(v4, v6).map(
        lambda at: format_prefix(ip_network((at[0].to_bytes(at[3], "big"), at[1]), strict=False))
    )


@given(st.lists(prefixes(), max_size=8), prefixes())
def test_covering_and_inside_agree_with_looking_at_every_member(members: list[str], asked: str) -> None:
    """`in` and `covering` find a member around a prefix, `inside` one within it; each a real one."""
    found, network = PrefixSet(members), ip_network(asked)
    same = [ip_network(member) for member in members if ip_network(member).version == network.version]
    around = [member for member in same if network.subnet_of(member)]  # type: ignore[arg-type]
    within = [member for member in same if member.subnet_of(network)]  # type: ignore[arg-type]
    assert (asked in found) == bool(around)
    widest = min(around, key=lambda member: member.prefixlen, default=None)
    assert found.covering(asked) == (None if widest is None else format_prefix(widest))
    inside = found.inside(asked)
    found_inside: set[str | None] = {format_prefix(member) for member in within}
    assert inside in (found_inside or {None})


@given(st.lists(prefixes(), max_size=8), st.lists(prefixes(), max_size=8))
def test_members_are_a_set_in_order(members: list[str], gone: list[str]) -> None:
    """Adding twice changes nothing, discarding takes out, iterating gives each once."""
    found = PrefixSet([*members, *members])
    for prefix in gone:
        found.discard(prefix)
    assert set(found) == set(members) - set(gone)
    assert len(found) == len(list(found)) == len(set(members) - set(gone))
