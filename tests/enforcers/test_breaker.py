"""When too much is banned at once: by a jail, of a network, of all addresses."""

from __future__ import annotations

import pytest

from enforcers.breaker import MOST_NETWORKS, Breaker, BreakerLimits
from schemas.errors import ConfigError

NOW_MS = 1_700_000_000_000
MINUTE_MS = 60_000


def test_limits_out_of_range_are_refused_by_key() -> None:
    """Every one of them, at once."""
    with pytest.raises(ConfigError) as caught:
        BreakerLimits(bans_per_minute=0, ipv4_length=33)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "enforcer.most_per_minute",
        "ipv4_length",
    ]


def refusals(breaker: Breaker, count: int, now_ms: int, *, new: bool = True) -> int:
    """How many of so many bans by a jail, of networks of their own, are refused."""
    return sum(
        breaker.refusal(f"10.{n // 250}.{n % 250}.1", now_ms, new=new, jails=["sshd"]) is not None
        for n in range(count)
    )


def test_too_many_new_bans_trip_it_until_its_time_is_over() -> None:
    """As many as the limit pass, the rest are refused for reset_after_ms, then as many pass again."""
    breaker = Breaker(BreakerLimits(bans_per_minute=100, reset_after_ms=60_000))
    assert refusals(breaker, 130, NOW_MS) == 30
    assert breaker.tripped == "breaker: more than 100 new bans in a minute by jail sshd"
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


def test_a_network_is_no_weapon() -> None:
    """30,001 addresses of one /48 cost what its share is; others' bans, and the jail's, go on as before."""
    breaker = Breaker(BreakerLimits())
    flood = [
        breaker.refusal(f"2001:db8:1:{n // 9}::{n % 9:x}", NOW_MS, new=True, jails=["sshd"])
        for n in range(30_001)
    ]
    assert flood.count(None) == 1_000
    assert flood[-1] == "breaker: more than 1000 new bans in a minute of 2001:db8:1::/48"
    assert breaker.refusal("203.0.113.66", NOW_MS, new=True, jails=["sshd"]) is None
    assert refusals(breaker, 28_999, NOW_MS) == 0
    assert breaker.refusal("203.0.113.67", NOW_MS, new=True, jails=["sshd"]) is not None
    assert breaker.tripped == "breaker: more than 30000 new bans in a minute by jail sshd"


def test_a_network_that_tripped_is_told_until_its_time_is_over() -> None:
    """By itself; its bans pass again afterwards."""
    breaker = Breaker(BreakerLimits(bans_of_a_network=1))
    assert breaker.refusal("192.0.2.1", NOW_MS, new=True) is None
    assert breaker.refusal("192.0.2.2", NOW_MS, new=True) is not None
    assert breaker.tripped == "breaker: more than 1 new bans in a minute of network 192.0.2.0/24"
    assert breaker.resets_at_ms == NOW_MS + 10 * MINUTE_MS
    assert breaker.refusal("192.0.3.1", NOW_MS, new=True) is None
    assert breaker.expire(NOW_MS + 10 * MINUTE_MS)
    assert breaker.refusal("192.0.2.2", NOW_MS + 10 * MINUTE_MS, new=True) is None
    assert not breaker.expire(NOW_MS + 20 * MINUTE_MS)


def test_it_trips_by_jail() -> None:
    """One gone wild holds back no other's bans; a ban that another jail makes too is that one's."""
    breaker = Breaker(BreakerLimits(bans_per_minute=10))
    assert refusals(breaker, 11, NOW_MS) == 1
    assert breaker.refusal("198.51.100.1", NOW_MS, new=True, jails=["dovecot"]) is None
    assert breaker.refusal("198.51.101.1", NOW_MS, new=True, jails=["sshd", "dovecot"]) is None
    assert breaker.refusal("198.51.102.1", NOW_MS, new=True, jails=["sshd"]) is not None
    assert breaker.refusal("198.51.103.1", NOW_MS, new=True, jails=()) is None


def test_while_tripped_a_tenth_as_many_are_let_through() -> None:
    """By time, from when it is first asked on; none where nothing has tripped."""
    breaker = Breaker(BreakerLimits(bans_per_minute=600))
    assert breaker.allowance(NOW_MS) == 0
    assert refusals(breaker, 601, NOW_MS) == 1
    assert breaker.allowance(NOW_MS) == 0
    assert [breaker.allowance(NOW_MS + at_s * 1_000) for at_s in (1, 2, 2, 12)] == [1, 1, 0, 10]
    breaker.grant(["192.0.2.1"])
    assert breaker.refusal("192.0.2.1", NOW_MS, new=True, jails=["sshd"]) is None
    assert breaker.refusal("192.0.2.1", NOW_MS, new=True, jails=["sshd"]) is not None


def test_however_many_networks_there_are_the_newest_are_known() -> None:
    """Its memory has a bound, and forgetting trips nobody."""
    breaker = Breaker(BreakerLimits(bans_per_minute=1_000_000, bans_of_a_network=2))
    for n in range(3 * MOST_NETWORKS):
        assert breaker.refusal(f"10.{n // 250}.{n % 250}.1", NOW_MS + n, new=True) is None
    n = 3 * MOST_NETWORKS - 1
    again = [breaker.refusal(f"10.{n // 250}.{n % 250}.{last}", NOW_MS + n, new=True) for last in (2, 3)]
    assert [each is None for each in again] == [True, False]
    assert len(breaker._networks._rates) <= MOST_NETWORKS  # noqa: SLF001 - the bound is inside
