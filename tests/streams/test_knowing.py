"""What a login that succeeds weighs: it forgives, halves, or makes an address known good."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidMessage
from schemas.records import Ban, Decision, Unban
from schemas.rules import Jail, Rules, Threshold
from streams import knowing
from streams.decider import Decider
from streams.knowing import KnowingJail
from tests.streams.folding import (
    ALICE,
    BOB,
    MINUTE,
    SECOND,
    SIX,
    T0,
    bans,
    failed,
    fold,
    restarted,
    rules,
    tick,
)

KNOWING = {"known_good_ms": 60 * MINUTE}
Act = tuple[str, str, int]


def decided(some: Rules, acts: list[Act], restarts: frozenset[int] = frozenset()) -> list[Decision]:
    """The decisions about who failed or succeeded when, in seconds after T0; restarts before which acts."""
    decider, decisions = Decider(some, tracking=True), list[Decision]()
    for number, (kind, ip, at_s) in enumerate(acts):
        if number in restarts:
            decider = restarted(decider)
        decisions += fold(decider, [failed(ip, at_s, kind)])
    return decisions


def tried(ip: str, times: int, at_s: int = 0, kind: str = "failed") -> list[Act]:
    """So many failures, a second apart."""
    return [(kind, ip, at_s + nth) for nth in range(times)]


OK: Act = ("succeeded", ALICE, 0)


@pytest.mark.parametrize(
    ("jail", "acts", "banned_at_s"),
    [
        ({}, [OK, *tried(ALICE, 6, 1)], [3]),
        (KNOWING, [OK, *tried(ALICE, 5, 1)], []),
        (KNOWING, [OK, *tried(ALICE, 6, 1)], [6]),
        (KNOWING, [OK, *tried(BOB, 3, 1)], [3]),
        ({**KNOWING, "known_good_factor": 4}, [OK, *tried(ALICE, 12, 1)], [12]),
        (KNOWING, [OK, *tried(ALICE, 3, 3_601)], [3_603]),
        (KNOWING, [OK, *tried(ALICE, 2, 3_599), *tried(ALICE, 1, 3_601)], [3_601]),
        (KNOWING, [*tried(ALICE, 2, 0), ("succeeded", ALICE, 3), *tried(ALICE, 4, 4)], [7]),
        (KNOWING, [("succeeded", ALICE, 100), *tried(ALICE, 3, 0)], [2]),
        ({**KNOWING, "maxretry": 1}, [OK, *tried(ALICE, 2, 1)], [2]),
        ({"forgive": True}, [*tried(ALICE, 2), ("succeeded", ALICE, 3), *tried(ALICE, 3, 4)], [6]),
        ({"halve": True}, [*tried(ALICE, 2), ("succeeded", ALICE, 3), *tried(ALICE, 2, 4)], [5]),
        ({"halve": True}, [*tried(ALICE, 1), ("succeeded", ALICE, 3), *tried(ALICE, 2, 4)], []),
        (
            {"halve": True, "maxretry": 6},
            [*tried(ALICE, 5), ("succeeded", ALICE, 6), *tried(ALICE, 4, 7)],
            [10],
        ),
    ],
)
def test_what_a_success_weighs(jail: dict[str, object], acts: list[Act], banned_at_s: list[int]) -> None:
    """Three failures ban, six of who is known good; of halved ones the newer half stays, the smaller one."""
    assert [at_s for _, at_s, _ in bans(decided(rules(**jail), acts))] == banned_at_s


def test_a_ban_of_who_is_known_good_says_so() -> None:
    """With all failures that decided it as evidence."""
    (ban,) = decided(rules(**KNOWING), [OK, *tried(ALICE, 6, 1)])
    assert isinstance(ban, Ban)
    assert (ban.count, len(ban.evidence)) == (6, 6)
    assert ban.why == "2 times as many as usual, since a login had succeeded within 1h"


def test_each_threshold_needs_more() -> None:
    """Of several."""
    steps = (Threshold(maxretry=4, findtime_ms=60 * MINUTE, bantime_ms=None),)
    some = rules(maxretry=2, bantime_ms=SECOND, steps=steps, **KNOWING)
    found = decided(some, [OK, *tried(ALICE, 4, 1), *tried(ALICE, 4, 10)])
    assert [(each.count, each.step) for each in found if isinstance(each, Ban)] == [(4, 1), (8, 2)]


def test_a_network_is_known_by_any_of_its_addresses() -> None:
    """As it fails by any."""
    some = rules(ipv6_prefix=64, **KNOWING)
    assert not decided(some, [("succeeded", SIX, 0), *((k, "2001:db8::9", t) for k, _, t in tried("", 5, 1))])


@pytest.mark.parametrize("jail", [{"forgive": True}, {"halve": True}])
def test_a_success_during_a_ban_frees_nobody(jail: dict[str, object]) -> None:
    """Where a jail counts on meanwhile, it takes back what was counted since; the ban ends when it would."""
    some = rules(maxretry=2, bantime_ms=MINUTE, prolong=True, **jail)
    decider = Decider(some, tracking=True)
    fold(decider, [failed(ALICE, each) for each in (0, 1, 2)])
    fold(decider, [failed(ALICE, 3, "succeeded"), failed(ALICE, 4)])
    state = decider.jails["sshd"]
    assert state.held_by(ALICE) is not None
    assert state.banned == 1
    (unban,) = tick(decider, T0 + 61 * SECOND)
    assert isinstance(unban, Unban)
    assert (state.banned, state.failing) == (0, 1)


def test_what_is_known_is_bounded_and_what_is_dropped_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tenth that succeeded least recently goes, through a restart too."""
    monkeypatch.setattr(knowing, "MOST_KNOWN", 20)
    decider, checkpoint = Decider(rules(**KNOWING), tracking=True), dict[str, bytes]()
    for last in range(50):
        fold(decider, [failed(f"192.0.2.{last}", last, "succeeded")])
        if last == 30:
            decider = restarted(decider, checkpoint)
    decider = restarted(decider, checkpoint)
    jail = decider.jails["sshd"]
    assert isinstance(jail, KnowingJail)
    assert len(jail.good) <= 20
    assert jail.dropped == 50 - len(jail.good)
    assert {f"192.0.2.{last}" for last in range(35, 50)} <= set(jail.good)


def test_what_is_too_old_is_forgotten_and_what_a_wrong_clock_said() -> None:
    """Half a day later nothing is left; a success of the future never was."""
    decider = Decider(rules(**KNOWING), tracking=True)
    fold(decider, [failed(ALICE, 0, "succeeded"), failed(BOB, 600, "succeeded")])
    jail = decider.jails["sshd"]
    assert isinstance(jail, KnowingJail)
    decider.step_back(T0 + SECOND, MINUTE)
    assert set(jail.good) == {ALICE}
    tick(decider, T0 + 12 * 3_600 * SECOND)
    assert not jail.good


@pytest.mark.parametrize(
    "jail",
    [{"window": "fail2ban"}, {"distinct": "user"}, {"kinds": ("request",)}, {"on": "bans", "filters": ()}],
)
def test_what_counts_otherwise_knows_nobody(jail: dict[str, object]) -> None:
    """Rules that say so are refused, wherever they come from."""
    with pytest.raises(InvalidMessage, match="known_good is for failures"):
        Rules.from_wire(rules(**KNOWING, **jail).to_wire())


def test_of_different_ones_there_is_no_half() -> None:
    """A jail that counts different users forgives all of them, or none."""
    with pytest.raises(InvalidMessage, match="no half is the older"):
        Rules.from_wire(rules(halve=True, distinct="user").to_wire())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["failed"] * 4 + ["succeeded"]),
            st.sampled_from([ALICE, BOB]),
            st.integers(0, 400),
        ),
        max_size=60,
    ),
    st.sampled_from(["ignore", "forgive", "halve"]),
    st.sampled_from([None, MINUTE, 60 * MINUTE]),
    st.integers(1, 4),
    st.frozensets(st.integers(0, 59), max_size=4),
)
def test_it_is_as_plain_lists_say(
    told: list[Act], weight: str, known_good_ms: int | None, maxretry: int, restarts: frozenset[int]
) -> None:
    """All failures of each address in a list, its last success beside it; through restarts."""
    at_s, acts = 0, list[Act]()
    for kind, ip, seconds in told:
        at_s += seconds
        acts.append((kind, ip, at_s))
    some = rules(
        maxretry=maxretry,
        forgive=weight == "forgive",
        halve=weight == "halve",
        known_good_ms=known_good_ms,
        bantime_ms=5 * MINUTE,
    )
    found = bans(decided(some, acts, restarts))
    assert [(ip, since_s) for ip, since_s, _ in found] == naive(acts, weight, known_good_ms, maxretry)


def naive(acts: list[Act], weight: str, known_good_ms: int | None, maxretry: int) -> list[tuple[str, int]]:
    """Whom plain lists ban, and when."""
    found, until = list[tuple[str, int]](), dict[str, int]()
    failures, good = dict[str, list[int]](), dict[str, int]()
    for kind, ip, at_s in acts:
        mine = failures.setdefault(ip, [])
        if kind == "succeeded":
            good[ip] = at_s
            if at_s >= until.get(ip, at_s) and weight != "ignore":
                failures[ip] = mine[(len(mine) + 1) // 2 :] if weight == "halve" else []
            continue
        if at_s < until.get(ip, at_s):
            continue
        mine.append(at_s)
        is_good = known_good_ms is not None and ip in good and (at_s - good[ip]) * SECOND <= known_good_ms
        recent = [each for each in mine if at_s - each <= 600]
        if len(recent) >= maxretry * (2 if is_good else 1):
            found.append((ip, at_s))
            until[ip] = at_s + 300
            failures[ip] = []
    return found


def test_a_jail_that_comes_to_know_goes_on() -> None:
    """Failures and bans stay where rules change, and what is known where they change back."""
    decider = Decider(rules(), tracking=True)
    fold(decider, tried_at(ALICE, 2))
    for known in (KNOWING, {}, KNOWING):
        decider.adopt(rules(**known))
    assert [each.prefix for each in fold(decider, [failed(ALICE, 3)])] == [ALICE]
    assert isinstance(decider.jails["sshd"].rules, Jail)


def tried_at(ip: str, times: int) -> list[tuple[str, int, str]]:
    """Failures, a second apart."""
    return [failed(ip, nth) for nth in range(times)]
