"""Jails whose window is a leaky bucket: one failure leaks every leakspeed, the one too many bans."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidMessage
from schemas.records import Ban
from schemas.rules import Rules, Threshold
from streams.decider import Decider
from streams.leaky import LeakyJail
from streams.window import reference
from tests.streams.folding import ALICE, BOB, MINUTE, SECOND, T0, bans, failed, fold, restarted, rules
from tests.streams.test_networks import command

FIVE = {"window": "leaky", "maxretry": 6, "findtime_ms": 50 * SECOND}
"""A bucket that holds 5, of which one leaks every 10 s."""


@pytest.mark.parametrize(
    ("at_s", "banned_at_s"),
    [
        ([0, 0, 0, 0, 0, 0], 0),
        ([0, 0, 0, 0, 0], None),
        ([0, 1, 2, 3, 4, 5], 5),
        ([nth * 9.999 for nth in range(200)], None),
        ([0, 0, 0, 0, 0, 10], None),
        ([0, 0, 0, 0, 0, 9.999], 9.999),
        ([0, 0, 0, 0, 0, 10, 20, 30, 39.999], 39.999),
        ([nth * 10 for nth in range(100)], None),
        ([nth * 8 for nth in range(30)], 168),
        ([0, 0, 0, 0, 0, 50, 50, 50, 50, 50], None),
        ([20, 20, 20, 0, 0, 0], 20),
    ],
    ids=str,
)
def test_the_one_too_many_bans(at_s: list[float], banned_at_s: float | None) -> None:
    """Not before; a steady trickle below the leak never does, one above it does in the end."""
    decisions = fold(Decider(rules(**FIVE)), [failed(ALICE, each) for each in at_s])
    found = [each for each in decisions if isinstance(each, Ban)]
    assert [each.at_ms for each in found] == (
        [] if banned_at_s is None else [T0 + round(banned_at_s * 1_000)]
    )
    for ban in found:
        assert (ban.count, ban.findtime_ms, len(ban.evidence)) == (6, 50 * SECOND, 6)


def test_a_ban_empties_the_bucket_and_addresses_are_apart() -> None:
    """What fails during it is counted in it; after it as many are needed again."""
    decider = Decider(rules(**FIVE, bantime_ms=MINUTE))
    events = [failed(ALICE, 0) for _ in range(6)] + [failed(BOB, 0) for _ in range(5)]
    events += [failed(ALICE, 30)] * 9 + [failed(ALICE, 61)] * 5
    assert [each[:2] for each in bans(fold(decider, events))] == [(ALICE, 0)]
    assert [each[:2] for each in bans(fold(decider, [failed(ALICE, 62)]))] == [(ALICE, 62)]


def test_a_word_forgives_and_a_success_does() -> None:
    """The bucket is empty then."""
    decider = Decider(rules(**FIVE, forgive=True))
    fold(decider, [failed(ALICE, 0) for _ in range(5)])
    command(decider, "forgive", ALICE)
    assert fold(decider, [failed(ALICE, 1) for _ in range(5)]) == []
    assert fold(decider, [failed(ALICE, 2, "succeeded"), *([failed(ALICE, 3)] * 5)]) == []
    assert len(fold(decider, [failed(ALICE, 3)])) == 1


def test_other_rules_pour_what_was_counted_into_another_bucket() -> None:
    """From a plain jail and back; a smaller bucket tells with the next failure."""
    decider = Decider(rules(maxretry=9, findtime_ms=MINUTE))
    fold(decider, [failed(ALICE, 0)] * 4)
    decider.adopt(rules(**FIVE))
    assert fold(decider, [failed(ALICE, 0)]) == []
    decider.adopt(rules(**{**FIVE, "maxretry": 4, "findtime_ms": 30 * SECOND}))
    assert len(fold(decider, [failed(ALICE, 1)])) == 1


def test_what_is_in_it_so_far() -> None:
    """As `explain` says it: what has not leaked out, and when the last is gone."""
    decider = Decider(rules(**FIVE))
    fold(decider, [failed(ALICE, 0) for _ in range(3)])
    jail = decider.jails["sshd"]
    assert isinstance(jail, LeakyJail)
    assert jail.so_far(ALICE, T0) == (3, T0 + 30 * SECOND)
    assert jail.so_far(ALICE, T0 + 10 * SECOND) == (2, T0 + 30 * SECOND)
    assert jail.so_far(ALICE, T0 + 30 * SECOND) == jail.so_far(BOB, T0) == (0, None)


def test_a_bucket_goes_with_neither_steps_nor_prolong() -> None:
    """Rules that say both are refused, whoever wrote them."""
    step = Threshold(maxretry=9, findtime_ms=MINUTE, bantime_ms=MINUTE)
    for fields in ({"prolong": True}, {"steps": (step,)}):
        with pytest.raises(InvalidMessage):
            Rules.from_wire(rules(**FIVE, **fields).to_wire())


@given(
    st.lists(st.tuples(st.integers(0, 400_000), st.sampled_from([ALICE, BOB])), max_size=120),
    st.integers(1, 5),
    st.integers(1, 20_000),
    st.tuples(st.integers(1, 9), st.integers(0, 60), st.booleans()),
)
def test_it_bans_as_water_would(
    failures: list[tuple[int, str]], capacity: int, leakspeed_ms: int, cuts: tuple[int, int, bool]
) -> None:
    """Levels as fractions, one bucket an address; however the events are cut, saved and loaded."""
    frame, cut, late = cuts
    events = [failed(ip, at_ms / 1_000) for at_ms, ip in (failures if late else sorted(failures))]
    some = rules(window="leaky", maxretry=capacity + 1, findtime_ms=capacity * leakspeed_ms, bantime_ms=None)
    made = Decider(some, tracking=True)
    decisions = fold(made, events[:cut], frame=frame)
    decisions += fold(restarted(made), events[cut:], frame=frame)
    wanted, levels = list[str](), dict[str, tuple[Fraction, int]]()
    for _, at_ms, ip in events:
        if ip in wanted:
            continue
        level, last_ms = levels.get(ip, (Fraction(0), at_ms))
        level = max(Fraction(0), level - Fraction(max(0, at_ms - last_ms), leakspeed_ms)) + 1
        levels[ip] = level, max(last_ms, at_ms)
        if level > capacity:
            wanted.append(ip)
    found = [each for each in decisions if isinstance(each, Ban)]
    assert [each.prefix for each in found] == wanted
    for ban in found:
        assert len(ban.evidence) == ban.count == capacity + 1


def test_a_restart_after_a_change_of_the_window() -> None:
    """What was saved in another shape is saved anew: it can be read, and nothing of it is lost."""
    for before in ({"distinct": "address"}, {"kinds": ("request",)}, {"window": "fail2ban"}, {}):
        decider, checkpoint = Decider(rules(**before), tracking=True), dict[str, bytes]()
        fold(
            decider, [failed(ALICE, 0, *before.get("kinds", ())), failed(ALICE, 1, *before.get("kinds", ()))]
        )
        restarted(decider, checkpoint)
        decider.touched.clear()
        decider.apply(reference(5), rules(window="leaky"))
        again = restarted(decider, checkpoint)
        assert again.jails["sshd"].failures_of(ALICE) == decider.jails["sshd"].failures_of(ALICE)
