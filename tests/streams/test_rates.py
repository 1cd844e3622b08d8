"""Jails over requests: how many of a subject lie within findtime, and paths that nobody asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.contract import Message
from schemas.codec import encode_frame
from schemas.errors import InvalidMessage
from schemas.records import AuthEvent, Ban, Decision, Unban
from schemas.rules import Jail, Rules, Threshold
from streams.decider import Decider
from streams.fold import Fold
from streams.rates import STRETCHES
from streams.window import reference
from tests.streams.folding import ALICE, BOB, MINUTE, SECOND, T0, failure, restarted, rules, tick

REQUESTS = ("request",)


def rated(**jail: object) -> Rules:
    """Rules of a jail that bans at 100 requests a minute."""
    return rules(**{"kinds": REQUESTS, "maxretry": 100, "findtime_ms": MINUTE, **jail})


def asks(*told: tuple[str, float, int, str]) -> list[AuthEvent]:
    """Requests: who, when in seconds after T0, how many the event stands for, the path."""
    return [
        failure(ip, T0 + int(at_s * SECOND), nth, kind="request", times=times, path=path)
        for nth, (ip, at_s, times, path) in enumerate(told)
    ]


def decided(some: Rules, events: list[AuthEvent], frame: int = 10) -> list[Decision]:
    """The decisions about events, in messages of so many."""
    fold, decisions = Fold(Decider(some, tracking=True)), list[Decision]()
    for offset, start in enumerate(range(0, len(events), frame)):
        part = events[start : start + frame]
        message = Message(0, offset, None, encode_frame(part), max(each.at_ms for each in part))
        decisions += fold.take(message)[0]
    return decisions


def test_so_many_requests_within_findtime_ban() -> None:
    """The ban says how many there were, with the newest event of each stretch as evidence."""
    (ban,) = decided(rated(), asks((ALICE, 0, 40, "/"), (BOB, 0, 90, "/"), (ALICE, 59, 60, "/x")))
    assert isinstance(ban, Ban)
    assert (ban.prefix, ban.at_ms, ban.count, ban.counted) == (ALICE, T0 + 59 * SECOND, 100, "requests")
    assert ban.evidence == ("0-0-0", "0-0-2")
    assert len(ban.lines) == 1


@pytest.mark.parametrize(
    "told",
    [
        [(ALICE, 0, 99, "/")],
        [(ALICE, 0, 50, "/"), (ALICE, 60, 50, "/")],
        [(ALICE, 0, 60, "/"), (BOB, 0, 60, "/")],
        [(ALICE, 30, 60, "/"), (ALICE, 91, 60, "/"), (ALICE, 152, 60, "/")],
    ],
)
def test_fewer_do_not(told: list[tuple[str, float, int, str]]) -> None:
    """Nor so many of two, or in a longer time."""
    assert not decided(rated(), asks(*told))


def test_requests_that_come_late_lie_where_they_belong() -> None:
    """One source behind another: the window that they fill is found."""
    (ban,) = decided(rated(), asks((ALICE, 100, 60, "/"), (ALICE, 50, 39, "/"), (ALICE, 60, 1, "/")))
    assert isinstance(ban, Ban)
    assert (ban.count, ban.at_ms) == (100, T0 + 100 * SECOND)


def test_requests_during_a_ban_are_counted_apart() -> None:
    """Each that an event stands for."""
    fold = Fold(Decider(rated(), tracking=True))
    part = asks((ALICE, 0, 100, "/"), (ALICE, 1, 70, "/"), (ALICE, 2, 7, "/"))
    fold.take(Message(0, 0, None, encode_frame(part), T0))
    (unban,) = tick(fold.decider, T0 + 3_600 * SECOND)
    assert isinstance(unban, Unban)
    assert unban.while_banned == 77
    assert fold.decider.jails["sshd"].failures == 177


def test_a_subject_takes_no_more_memory_for_more_requests() -> None:
    """As many stretches as findtime has, whatever comes for how long."""
    decider = Fold(Decider(rated(maxretry=10_000), tracking=True))
    for second, event in enumerate(asks(*((ALICE, second, 1, "/") for second in range(1_000)))):
        decider.take(Message(0, second, None, encode_frame([event]), event.at_ms))
    jail = decider.decider.jails["sshd"]
    assert jail.failures == 1_000
    assert len(jail.failures_of(ALICE)) <= 2 * STRETCHES
    again = restarted(decider.decider).jails["sshd"]
    assert again.failures_of(ALICE) == jail.failures_of(ALICE)


def test_a_decoy_bans_at_once() -> None:
    """Whatever the thresholds say, with or without a rate; the ban says which decoy, and shows the line."""
    for jail in ({"kinds": ()}, {}, {"kinds": ("failed",)}):
        some = rated(decoy_paths=("/wp-login.php", "/.env*"), **jail)
        told = asks((ALICE, 0, 1, "/.env.bak"), (BOB, 1, 1, "/env"), (ALICE, 2, 1, "/.env"))
        (ban,) = decided(some, told)
        assert isinstance(ban, Ban)
        assert (ban.prefix, ban.count, ban.why) == (ALICE, 1, 'decoy path "/.env*"')
        assert ban.lines


def test_where_only_decoys_ban_nothing_else_counts() -> None:
    """Not a million requests."""
    some = rated(decoy_paths=("/.env",), kinds=(), maxretry=1)
    assert not decided(some, asks((ALICE, 0, 1_000_000, "/")))


def test_an_ignored_address_is_not_banned() -> None:
    """Neither for a decoy nor for a rate."""
    some = rated(decoy_paths=("/.env",), ignoreip=(ALICE,))
    assert not decided(some, asks((ALICE, 0, 1, "/.env"), (ALICE, 0, 1_000, "/")))


def test_requests_are_no_failures() -> None:
    """A jail that counts failures counts none of them, beside one that counts requests."""
    (plain,) = rules(maxretry=1).jails
    (rate,) = rated().jails
    both = Rules(jails=(Jail(name="plain", filters=plain.filters, maxretry=1), rate))
    told = asks((ALICE, 0, 50, "/"), (ALICE, 1, 50, "/"))
    mixed = [told[0], failure(BOB, T0, 7), told[1]]
    assert [(each.jail, each.prefix) for each in decided(both, mixed)] == [("sshd", ALICE), ("plain", BOB)]


@pytest.mark.parametrize(
    "jail",
    [
        {"kinds": ("request", "failed")},
        {"window": "fail2ban"},
        {"distinct": "user"},
        {"prolong": True},
        {"steps": (Threshold(maxretry=200, findtime_ms=MINUTE, bantime_ms=None),)},
    ],
)
def test_what_is_of_failures_alone_does_not_go_with_requests(jail: dict[str, object]) -> None:
    """Rules that say so are refused, wherever they come from."""
    with pytest.raises(InvalidMessage, match="requests are counted alone"):
        Rules.from_wire(rated(**jail).to_wire())


@given(
    st.lists(st.tuples(st.sampled_from([ALICE, BOB]), st.integers(0, 40), st.integers(1, 60)), max_size=40),
    st.integers(1, 150),
    st.sets(st.integers(0, 39), max_size=4),
)
def test_a_rate_is_as_a_list_of_requests_says(
    told: list[tuple[str, int, int]], maxretry: int, restarts: set[int]
) -> None:
    """One entry a request, all of findtime looked through at each event; through restarts."""
    at_s, events = 0, list[tuple[str, float, int, str]]()
    for ip, seconds, times in told:
        at_s += seconds
        events.append((ip, at_s, times, "/"))
    some = rated(maxretry=maxretry, bantime_ms=5 * MINUTE)
    fold, decisions = Fold(Decider(some, tracking=True)), list[Decision]()
    checkpoint: dict[str, bytes] = {}
    for number, event in enumerate(asks(*events)):
        if number in restarts:
            fold.decider = restarted(fold.decider, checkpoint)
        decisions += fold.take(Message(0, number, None, encode_frame([event]), event.at_ms))[0]
    bans = [
        (each.prefix, (each.at_ms - T0) // SECOND, each.count) for each in decisions if isinstance(each, Ban)
    ]
    assert bans == naive(events, maxretry)


def naive(events: list[tuple[str, float, int, str]], maxretry: int) -> list[tuple[str, int, int]]:
    """Whom a plain list bans, when, and for how many."""
    bans, until, seen = list[tuple[str, int, int]](), dict[str, float](), dict[str, list[float]]()
    for ip, at_s, times, _ in events:
        if at_s < until.get(ip, at_s):
            continue
        seen.setdefault(ip, []).extend([at_s] * times)
        recent = [each for each in seen[ip] if each > at_s - 60]
        if len(recent) >= maxretry:
            bans.append((ip, int(at_s), len(recent)))
            until[ip] = at_s + 300
            seen[ip] = []
    return bans


def test_requests_are_no_failures_of_a_jail_that_counts_those_now() -> None:
    """Under other rules the jail begins anew: what somebody asked for was no attempt to log in."""
    decider = Decider(rated(), tracking=True)
    fold = Fold(decider)
    for nth, event in enumerate(asks(*((ALICE, 20 * nth, 1, "/") for nth in range(3)))):
        fold.take(Message(0, nth, None, encode_frame([event]), event.at_ms))
    decider.apply(reference(4), rules(maxretry=3))
    one = failure(ALICE, T0 + 60 * SECOND, 9)
    assert not fold.take(Message(0, 5, None, encode_frame([one]), one.at_ms))[0]
