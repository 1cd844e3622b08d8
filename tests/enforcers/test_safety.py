"""What is never banned, and when the breaker refuses."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcers.safety import ALWAYS, Breaker, BreakerLimits, NeverBan, checked_networks
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
NOW_MS = 1_700_000_000_000


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


def test_limits_out_of_range_are_refused_by_key() -> None:
    """Every one of them, at once."""
    with pytest.raises(ConfigError) as caught:
        BreakerLimits(bans_per_minute=0, ipv4_length=33)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "enforcer.most_per_minute",
        "ipv4_length",
    ]


def refusals(breaker: Breaker, count: int, now_ms: int, *, new: bool = True) -> int:
    """How many of so many bans are refused."""
    return sum(breaker.refusal(f"10.0.0.{n % 250}", now_ms, new=new) is not None for n in range(count))


def test_too_many_new_bans_trip_it_until_its_time_is_over() -> None:
    """As many as the limit pass, the rest are refused for reset_after_ms, then as many pass again."""
    breaker = Breaker(BreakerLimits(bans_per_minute=100, reset_after_ms=60_000))
    assert refusals(breaker, 130, NOW_MS) == 30
    assert breaker.tripped == "breaker: more than 100 new bans in a minute"
    assert breaker.refused == 30
    assert not breaker.expire(NOW_MS + 59_999)
    assert refusals(breaker, 1, NOW_MS + 59_999) == 1
    assert breaker.expire(NOW_MS + 60_000)
    assert refusals(breaker, 130, NOW_MS + 60_000) == 30


def test_an_operator_resets_it() -> None:
    """At once."""
    breaker = Breaker(BreakerLimits(bans_per_minute=1))
    assert refusals(breaker, 2, NOW_MS) == 1
    breaker.reset()
    assert refusals(breaker, 1, NOW_MS) == 0


def test_a_rate_below_the_limit_never_trips_it() -> None:
    """One ban a second for ten minutes passes a limit of sixty a minute."""
    breaker = Breaker(BreakerLimits(bans_per_minute=60))
    assert not any(refusals(breaker, 1, NOW_MS + second * 1_000) for second in range(600))


def test_bans_that_stood_before_do_not_count_for_the_rate() -> None:
    """A start with many standing bans is no attack."""
    assert refusals(Breaker(BreakerLimits(bans_per_minute=1)), 200, NOW_MS, new=False) == 0


@pytest.mark.parametrize(
    ("prefix", "part", "pieces"), [("64.0.0.0/7", "64.0.0.0/9", 2), ("2000::/15", "2000::/17", 2)]
)
def test_too_large_a_share_of_all_addresses_is_refused(prefix: str, part: str, pieces: int) -> None:
    """A prefix past the share is refused by itself and trips nothing; parts pass until the share is full."""
    breaker = Breaker(BreakerLimits())
    refusal = breaker.refusal(prefix, NOW_MS, new=True)
    assert refusal is not None
    assert "addresses would be banned" in refusal
    assert breaker.tripped is None
    assert [breaker.refusal(part, NOW_MS, new=True) for _ in range(pieces)] == [None] * pieces
    assert breaker.refusal(part, NOW_MS, new=True) is not None
    breaker.release(part)
    assert breaker.refusal(part, NOW_MS, new=True) is None
