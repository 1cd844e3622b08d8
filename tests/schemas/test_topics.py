"""Topics, and the partition of a prefix: part of the wire contract, so it never changes."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.addresses import network_of, parse_prefix
from schemas.topics import (
    ALL,
    BY_NAME,
    DECISIONS,
    EVENTS,
    partition_of,
    partition_of_address,
    spans_partitions,
)
from tests.schemas.strategies import PATIENT, prefixes

FROZEN = [
    # prefix, network, partition of 2, of 8, of 64
    ("192.0.2.7", "192.0.2.0/24", 0, 6, 46),
    ("192.0.2.0/25", "192.0.2.0/24", 0, 6, 46),
    ("198.51.100.0/24", "198.51.100.0/24", 0, 6, 38),
    ("203.0.113.255", "203.0.113.0/24", 0, 6, 6),
    ("10.0.0.0/8", "10.0.0.0/8", 0, 2, 58),
    ("0.0.0.0/0", "0.0.0.0/0", 0, 6, 22),
    ("1.1.1.1", "1.1.1.0/24", 0, 6, 54),
    ("255.255.255.255", "255.255.255.0/24", 1, 5, 45),
    ("2001:db8::1", "2001:db8::/48", 1, 7, 47),
    ("2001:db8:0:ffff::/64", "2001:db8::/48", 1, 7, 47),
    ("2001:db8:1::/48", "2001:db8:1::/48", 1, 5, 45),
    ("2001:db8::/32", "2001:db8::/32", 0, 6, 54),
    ("::/0", "::/0", 0, 6, 30),
    ("::1", "::/48", 1, 3, 11),
    ("fe80::1", "fe80::/48", 1, 1, 17),
]


@pytest.mark.parametrize(("prefix", "network", "of_2", "of_8", "of_64"), FROZEN)
def test_partitions_are_frozen(prefix: str, network: str, of_2: int, of_8: int, of_64: int) -> None:
    """The network and the partitions of a prefix are what they have always been."""
    assert network_of(prefix) == network
    assert [partition_of(prefix, partitions) for partitions in (1, 2, 8, 64)] == [0, of_2, of_8, of_64]


@PATIENT
@given(prefixes(), st.integers(1, 200))
def test_a_network_stays_together(prefix: str, partitions: int) -> None:
    """A prefix is in the partition of its first address, which is one of those there are."""
    partition = partition_of(prefix, partitions)
    assert 0 <= partition < partitions
    if not spans_partitions(prefix):
        first = str(parse_prefix(prefix).network_address)
        assert partition_of(first, partitions) == partition


@PATIENT
@given(st.ip_addresses(), st.integers(1, 200))
def test_an_address_is_placed_as_its_prefix_is(address: IPv4Address | IPv6Address, partitions: int) -> None:
    """The short way gives the same partition."""
    assert partition_of_address(str(address), partitions) == partition_of(str(address), partitions)


@pytest.mark.parametrize(
    ("prefix", "spans"),
    [
        ("192.0.2.7", False),
        ("192.0.2.0/24", False),
        ("192.0.2.0/23", True),
        ("0.0.0.0/0", True),
        ("2001:db8::1", False),
        ("2001:db8::/48", False),
        ("2001:db8::/47", True),
    ],
)
def test_what_is_wider_than_a_network_spans_partitions(prefix: str, spans: bool) -> None:  # noqa: FBT001 - a table's column
    """A prefix wider than /24 or /48 concerns every partition."""
    assert spans_partitions(prefix) is spans


def test_networks_spread_over_partitions() -> None:
    """A thousand networks in a row fill eight partitions about evenly."""
    counts = [0] * 8
    for number in range(1_000):
        counts[partition_of(f"10.{number >> 8}.{number & 255}.1", 8)] += 1
    assert min(counts) > 80


def test_topics_are_found_by_their_names() -> None:
    """Every topic has a name of its own, and decisions outlive the events that caused them."""
    assert [BY_NAME[topic.name] for topic in ALL] == list(ALL)
    assert EVENTS.retention_ms is not None
    assert DECISIONS.retention_ms is not None
    assert DECISIONS.retention_ms > EVENTS.retention_ms
