"""Lists of prefixes: their parts, and how an address is found in one."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.bounds import MOST_OF_A_PART
from schemas.lists import PrefixTable, digest_of, parts_of, together
from schemas.prefixes import PrefixSet
from tests.schemas.strategies import PATIENT, addresses, prefixes

AT_MS = 1_767_225_600_000


@PATIENT
@given(st.lists(prefixes(), max_size=30), st.lists(prefixes() | addresses, max_size=30))
def test_a_table_answers_as_plain_networks_do(members: list[str], asked: list[str]) -> None:
    """Whether a member holds a prefix, which one, and whether one lies inside it."""
    table = PrefixTable(members)
    networks = [ip_network(each) for each in members]
    for prefix in (*asked, *members):
        one = ip_network(prefix)
        alike = [each for each in networks if each.version == one.version]
        holding = [each for each in alike if one.subnet_of(each)]  # type: ignore[arg-type]
        within = [each for each in alike if each.subnet_of(one)]  # type: ignore[arg-type]
        assert (prefix in table) == bool(holding)
        found = table.covering(prefix)
        widest = min((each.prefixlen for each in holding), default=None)
        assert (None if found is None else ip_network(found).prefixlen) == widest
        inside = table.inside(prefix)
        assert (inside is None) == (not within)
        assert inside is None or ip_network(inside) in within


@PATIENT
@given(st.lists(prefixes(), max_size=30))
def test_a_table_holds_what_it_was_given(members: list[str]) -> None:
    """Each member once, in the order of a PrefixSet."""
    table = PrefixTable(members)
    assert list(table) == list(PrefixSet(members))
    assert len(table) == len(set(members))


@pytest.mark.parametrize("size", [3, 600])
def test_sets_and_tables_are_one(size: int) -> None:
    """A small table and a large one are asked alike, whatever else there is."""
    table = PrefixTable(f"10.0.{nth // 256}.{nth % 256}" for nth in range(size))
    spared = together(["192.0.2.0/24"], [table, PrefixTable(["2001:db8::/32"])])
    assert [ip in spared for ip in ("192.0.2.7", "10.0.0.2", "2001:db8::1", "10.0.9.9")] == [
        *[True] * 3,
        False,
    ]
    assert spared.covering("192.0.2.7") == "192.0.2.0/24"
    assert spared.inside("10.0.0.0/8") is not None
    assert spared.inside("11.0.0.0/8") is None


@pytest.mark.parametrize("count", [0, 1, MOST_OF_A_PART, MOST_OF_A_PART + 1])
def test_a_list_travels_in_parts_that_say_which_they_are(count: int) -> None:
    """One of none as well; together they are the list, under its digest."""
    listed = [f"10.{nth >> 16}.{nth >> 8 & 255}.{nth & 255}" for nth in range(count)]
    parts = parts_of("office", listed, AT_MS, "ann")
    assert [each.part for each in parts] == list(range(max(1, -(-count // MOST_OF_A_PART))))
    assert {each.parts for each in parts} == {len(parts)}
    assert [prefix for each in parts for prefix in each.prefixes] == listed
    assert {each.digest for each in parts} == {digest_of(listed)}
