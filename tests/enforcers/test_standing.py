"""What a standing ban wants, and how far that is held; and the judgement on it."""

from __future__ import annotations

import pytest

from enforcers.breaker import Breaker, BreakerLimits
from enforcers.judge import Judge
from enforcers.safety import NeverBan
from enforcers.standing import Ends, HostBan, ends_of, live, missing, packed, surplus
from schemas.records import Hold, Outcome
from tests.enforcers.standings import NOW_MS, hold

LATER = NOW_MS + 60_000


@pytest.mark.parametrize(
    ("holds", "ends"),
    [
        ((), ()),
        ((hold(LATER),), (((), LATER),)),
        ((hold(NOW_MS), hold(LATER)), (((), LATER),)),
        ((hold(LATER), hold(None), hold(NOW_MS)), (((), None),)),
        ((hold(LATER, (22,)), hold(LATER, (25,))), (((22,), LATER), ((25,), LATER))),
        ((hold(LATER, (22, 25)), hold(NOW_MS, (25, 22, 22))), (((22, 25), LATER),)),
        ((hold(NOW_MS, (22,)), hold(LATER)), (((), LATER),)),
        ((hold(LATER, (22,)), hold(LATER)), (((), LATER),)),
        ((hold(LATER, (22,)), hold(NOW_MS)), (((22,), LATER), ((), NOW_MS))),
        ((hold(None, (22,)), hold(LATER)), (((22,), None), ((), LATER))),
    ],
)
def test_holds_add_up(holds: tuple[Hold, ...], ends: Ends) -> None:
    """For each group of ports the latest end counts; all ports cover the groups they outlast."""
    assert ends_of(holds) == ends


def test_what_has_ended_is_not_wanted() -> None:
    """An end is the first instant at which the ban holds no more."""
    ends = (((22,), NOW_MS), ((), NOW_MS + 1), ((25,), None))
    assert live(ends, NOW_MS) == (((), NOW_MS + 1), ((25,), None))


def test_an_end_within_the_tolerance_is_held_already() -> None:
    """Two seconds either way are rounding; more is a prolonged or shortened ban, and so is for ever."""
    wanted = (((), LATER),)
    assert missing(wanted, (((), LATER + 2_000),)) == missing(wanted, (((), LATER - 2_000),)) == ()
    assert missing(wanted, (((), LATER + 2_001),)) == wanted
    assert missing(wanted, (((), None),)) == wanted
    assert missing((((), None),), (((), LATER),)) == (((), None),)
    assert missing(wanted, (((22,), LATER),)) == wanted


def test_surplus_is_what_is_held_on_other_ports() -> None:
    """A group of ports that nothing wants any more has to go; another end is no surplus."""
    assert surplus((((), LATER),), (((22,), LATER), ((), NOW_MS))) == ((22,),)


@pytest.mark.parametrize(
    ("prefix", "ends", "outcome", "detail"),
    [
        ("203.0.113.9", (((), LATER),), "applied", None),
        ("203.0.113.9", (), "applied", None),
        ("203.0.113.9", (((22,), NOW_MS - 7), ((), NOW_MS - 9)), "skipped", "it had ended 7 ms before"),
        ("192.0.2.0/24", (((), LATER),), "refused", "never banned: 192.0.2.7 (own address)"),
        ("126.0.0.0/7", (((), None),), "refused", "never banned: 127.0.0.0/8 (loopback)"),
        (
            "64.0.0.0/7",
            (((), LATER),),
            "refused",
            "breaker: more than a /8 of all IPv4 addresses would be banned",
        ),
    ],
)
def test_a_judgement_is_all_of_it_or_nothing_and_why(
    prefix: str, ends: Ends, outcome: Outcome, detail: str | None
) -> None:
    """The table of enforcers.judge, line by line."""
    judge = Judge(NeverBan({"192.0.2.7": "own address"}), Breaker(BreakerLimits()))
    judgement = judge.judge(HostBan(prefix, "0-1-0-0", ends), NOW_MS, new=True)
    assert judgement == (ends if outcome == "applied" else (), outcome, detail)


def test_a_prefix_counts_once_for_the_breaker_and_is_given_back() -> None:
    """Prolonging is no new ban, and room is there again once it is free, has ended or is refused."""
    judge = Judge(NeverBan({}), Breaker(BreakerLimits(ipv4_length=32)))
    for ends in ((), (((), NOW_MS),), (((), LATER),)):
        banned = HostBan("203.0.113.9", "0-1-0-0", (((), LATER),))
        for _ in range(3):
            assert judge.judge(banned, NOW_MS, new=True)[1] == "applied"
        assert judge.judge(HostBan("203.0.113.10", "0-2-0-0", (((), LATER),)), NOW_MS, new=True)[2]
        banned.wanted = ends
        if ends and ends[0][1] == LATER:
            judge.never_ban = NeverBan({"203.0.113.9": "operator"})
        for _ in range(2):
            judge.judge(banned, NOW_MS, new=True)
        other = HostBan("203.0.113.10", "0-3-0-0", (((), LATER),))
        assert judge.judge(other, NOW_MS, new=True)[1] == "applied"
        assert judge.judge(HostBan("203.0.113.11", "0-4-0-0", (((), None),)), NOW_MS, new=True)[2]
        other.wanted = ()
        judge.judge(other, NOW_MS, new=True)


@pytest.mark.parametrize(
    "ends", [(), (((), LATER),), (((), None),), (((), 0),), (((22,), LATER),), (((), 1), ((22,), LATER))]
)
def test_ends_are_kept_as_they_are(ends: Ends) -> None:
    """However they are packed: what a host knows of a prefix is what it was told."""
    ban = HostBan("203.0.113.9", "0-1-0-0", packed(ends), holding=packed(ends))
    assert (ban.ends, ban.held) == (ends, ends)
