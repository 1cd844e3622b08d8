"""What is never banned."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcers.safety import ALWAYS, NeverBan, checked_networks
from schemas.addresses import Network, format_prefix
from schemas.errors import ConfigError

V4 = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda pair: IPv4Network(pair, strict=False)
)
V6 = st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(
    lambda pair: IPv6Network(pair, strict=False)
)
NEAR = st.tuples(st.integers(0, 15), st.integers(24, 32)).map(
    lambda pair: IPv4Network((0xC000_0200 + pair[0], pair[1]), strict=False)
)
NETWORKS = V4 | V6 | NEAR


def overlap(first: Network, second: Network) -> bool:
    """Whether two networks share an address."""
    return first.version == second.version and first.overlaps(second)


@given(st.lists(NETWORKS, max_size=6), NETWORKS)
def test_refused_is_what_shares_an_address_with_a_never_ban_network(
    listed: list[Network], banned: Network
) -> None:
    """Inside one, equal to one, or containing one: refused; else not; the built-in list counts always."""
    never = NeverBan({format_prefix(network): "operator" for network in listed})
    everything = [*listed, *map(ip_network, ALWAYS)]
    expected = any(overlap(network, banned) for network in everything)
    assert (never.refusal(format_prefix(banned)) is not None) == expected


@pytest.mark.parametrize("prefix", ["0.0.0.0/0", "::/0", "127.0.0.1", "fe80::1", "192.0.2.0/24", "192.0.2.7"])
def test_a_refusal_names_the_network_and_why_it_is_there(prefix: str) -> None:
    """So that the operator who wonders finds the line in his configuration."""
    refusal = NeverBan({"192.0.2.7": "own address"}).refusal(prefix)
    assert refusal is not None
    assert refusal.startswith("never banned: ")
    assert prefix not in {"192.0.2.0/24", "192.0.2.7"} or refusal == "never banned: 192.0.2.7 (own address)"


def test_never_ban_lists_compare_by_what_they_hold() -> None:
    """A refresh that finds the same networks is no change."""
    assert NeverBan({"192.0.2.7": "own address"}) == NeverBan({"192.0.2.7": "own address"})
    assert NeverBan({"192.0.2.7": "own address"}) != NeverBan({"192.0.2.8": "own address"})
    assert "192.0.2.7 (own address)" in list(NeverBan({"192.0.2.7": "own address"}))


def test_configured_networks_become_canonical_and_all_errors_are_told() -> None:
    """Each wrong entry is in the error, with its key."""
    assert checked_networks("k", ["192.0.2.7/32", "2001:DB8::/32"]) == ("192.0.2.7", "2001:db8::/32")
    with pytest.raises(ConfigError) as caught:
        checked_networks("enforcer.never_ban", ["10.0.0.1/8", "10.0.0.0/8", "x"])
    assert len(caught.value.problems) == 2
    assert all(problem.startswith("enforcer.never_ban: ") for problem in caught.value.problems)
