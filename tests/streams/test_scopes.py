"""Jails and thresholds that count only what is from somewhere: `where` and `unless`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.contract import Message
from schemas.codec import encode_frame
from schemas.deciding import Verdict
from schemas.records import AuthEvent, Ban
from schemas.rules import Escalation, Jail, Rules, Threshold
from schemas.whereabouts import Region, Scope
from streams.decider import Decider
from streams.fold import Fold
from streams.window import reference
from tests.streams.folding import (
    ALICE,
    BOB,
    MINUTE,
    SECOND,
    SIX,
    T0,
    Oracle,
    failed,
    failure,
    fold,
    restarted,
    rules,
)

XA = Scope(where=Region(country=("XA",)))
NOT_XA = Scope(unless=Region(country=("XA",)))
OF_7 = Scope(where=Region(asn=(7,)))


def events(*told: tuple[str, str | None, int | None]) -> list[AuthEvent]:
    """Failures, a second apart: the address, its country, its system."""
    return [
        failure(ip, T0 + nth * SECOND, nth, country=country, asn=asn, as_name=asn and f"Net {asn}")
        for nth, (ip, country, asn) in enumerate(told)
    ]


def decided(some: Rules, found: list[AuthEvent], frame: int = 100) -> list[Ban]:
    """The bans that rules decide, of messages of so many events."""
    fold, bans = Fold(Decider(some, tracking=True)), list[Ban]()
    for offset, start in enumerate(range(0, len(found), frame)):
        part = found[start : start + frame]
        message = Message(0, offset, None, encode_frame(part), part[-1].at_ms)
        bans += [each for each in fold.take(message)[0] if isinstance(each, Ban)]
    return bans


@pytest.mark.parametrize(
    ("scope", "whom"),
    [
        (None, [ALICE, BOB, SIX]),
        (XA, [ALICE]),
        (NOT_XA, [BOB, SIX]),
        (OF_7, [BOB]),
        (Scope(), [ALICE, BOB, SIX]),
    ],
)
@pytest.mark.parametrize("frame", [1, 4, 100])
def test_a_jail_counts_what_is_from_its_scope(scope: Scope | None, whom: list[str], frame: int) -> None:
    """However events come together in messages; the ban says from where its event was."""
    found = events(*[(ALICE, "XA", 9), (BOB, "XB", 7), (SIX, None, None)] * 3)
    bans = decided(rules(scope=scope), found, frame)
    assert [each.prefix for each in bans] == whom
    known = {ALICE: ("XA", 9, "Net 9"), BOB: ("XB", 7, "Net 7"), SIX: (None, None, None)}
    assert all((each.country, each.asn, each.as_name) == known[each.prefix] for each in bans)


def test_a_threshold_is_for_those_from_its_scope() -> None:
    """A first one of two failures for one country, then five for all: of another nobody is banned at two."""
    strict = rules(
        maxretry=2,
        first_scope=XA,
        steps=(Threshold(maxretry=5, findtime_ms=10 * MINUTE, bantime_ms=None),),
    )
    bans = decided(strict, events(*[(ALICE, "XA", None), (BOB, "XB", None)] * 5))
    assert [(each.prefix, each.count, each.step) for each in bans] == [(ALICE, 2, 1), (BOB, 5, 2)]


def test_a_lone_threshold_may_have_a_scope() -> None:
    """It bans as a jail of that scope does."""
    found = events(*[(ALICE, "XA", None), (BOB, "XB", None)] * 3)
    assert [each.prefix for each in decided(rules(first_scope=XA), found)] == [ALICE]


def test_a_jail_on_bans_counts_those_from_its_scope() -> None:
    """By the event that decided the ban; and a network's ban says from where its last one was."""
    again = Jail(name="again", filters=(), on="bans", maxretry=1, scope=XA)
    (sshd,) = rules(maxretry=1, escalate=Escalation(addresses=2, findtime_ms=MINUTE, bantime_ms=MINUTE)).jails
    bans = decided(Rules(jails=(sshd, again)), events((ALICE, "XA", 7), (BOB, "XB", None)))
    assert [(each.jail, each.prefix, each.country, each.asn) for each in bans] == [
        ("sshd", ALICE, "XA", 7),
        ("again", ALICE, "XA", 7),
        ("sshd", BOB, "XB", None),
        ("sshd", "192.0.2.0/24", "XB", None),
    ]


def test_one_that_asks_for_no_place_is_told_of_it_all_the_same() -> None:
    """So that `bans` needs no file: the plain jail's ban has where its event was from."""
    (ban,) = decided(rules(maxretry=1), events((ALICE, "XA", 7)))
    assert (ban.country, ban.asn, ban.as_name) == ("XA", 7, "Net 7")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([ALICE, BOB, SIX]), st.sampled_from(["XA", "XB", None]), st.integers(0, 200)
        ),
        max_size=60,
    ),
    st.sampled_from(
        [None, XA, NOT_XA, Scope(where=Region(country=("XA", "XB")), unless=Region(country=("XB",)))]
    ),
    st.integers(1, 4),
    st.integers(1, 9),
)
def test_a_scope_is_a_sieve_before_the_count(
    told: list[tuple[str, str | None, int]], scope: Scope | None, maxretry: int, frame: int
) -> None:
    """A jail with a scope bans as one without that is shown nothing from elsewhere."""
    at_s, found = 0, list[AuthEvent]()
    for nth, (ip, country, seconds) in enumerate(told):
        at_s += seconds
        found.append(failure(ip, T0 + at_s * SECOND, nth, country=country))
    oracle = Oracle(maxretry, 10 * MINUTE, 20 * MINUTE)
    sieved = [
        (each.kind, each.at_ms, each.ip) for each in found if scope is None or scope.has(each.country, None)
    ]
    bans = decided(rules(maxretry=maxretry, scope=scope), found, frame)
    assert [(each.prefix, each.at_ms) for each in bans] == oracle.bans(sieved)


def test_rules_that_come_to_ask_for_places_are_followed_from_the_next_event_on() -> None:
    """Routes are as wide as the rules in force need them."""
    decider = Decider(rules(maxretry=1))
    fold = Fold(decider)
    first, second, third = events((ALICE, "XB", None), (BOB, "XB", None), (SIX, "XA", None))
    assert fold.take(Message(0, 0, None, encode_frame([first]), T0))[0]
    (jail,) = rules(maxretry=1).jails
    decider.adopt(Rules(jails=(replace(jail, scope=XA),)))
    assert not fold.take(Message(0, 1, None, encode_frame([second]), T0))[0]
    assert fold.take(Message(0, 2, None, encode_frame([third]), T0))[0]


def test_a_ban_for_a_user_says_where_its_own_address_is_or_nothing() -> None:
    """The event that fills the window is of one address; of the others' countries it says nothing."""
    (users,) = rules(count="user").jails
    again = Jail(name="again", filters=(), on="bans", maxretry=1, scope=XA)
    found = events((ALICE, "XB", None), (BOB, None, None), (SIX, "XA", None))
    told = decided(Rules(jails=(users, again)), [replace(each, user="root") for each in found])
    assert sorted((each.jail, each.prefix, each.country) for each in told) == [
        ("again", SIX, "XA"),
        ("sshd", ALICE, None),
        ("sshd", BOB, None),
        ("sshd", SIX, "XA"),
    ]


@pytest.mark.parametrize("restart", [False, True])
def test_a_ban_for_what_was_counted_elsewhere_is_from_where_nobody_knows(*, restart: bool) -> None:
    """A jail on bans does not take it for one from where the event before it was; restarted or not."""
    users = Jail(name="users", filters=("sshd",), count="user", maxretry=1)
    again = Jail(name="again", filters=(), on="bans", maxretry=1, first_scope=XA)
    decider = Decider(Rules(jails=(users, again)), tracking=True)
    fold(decider, [failed(ALICE, 1, "succeeded")], country="XA")
    if restart:
        decider = restarted(decider)
    told = Verdict(jail="users", user="root", failed_ms=(T0,), evidence=("0-3-0",), prefixes=(BOB,))
    assert [(each.jail, each.prefix) for each in decider.apply(reference(9), told)] == [("users", BOB)]
