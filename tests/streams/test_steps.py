"""Several thresholds in one jail, and longer bans for who goes on: what counts, and what is used up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidMessage
from schemas.records import Ban, Decision, Prolong, Unban
from schemas.rules import Rules, Threshold
from streams.decider import Decider
from tests.streams.folding import (
    ALICE,
    BOB,
    MINUTE,
    SECOND,
    T0,
    bans,
    failed,
    fold,
    restarted,
    rules,
    tick,
    unbans,
)
from tests.streams.test_networks import command

HOUR = 60 * MINUTE
STEPS = (
    Threshold(findtime_ms=HOUR, maxretry=6, bantime_ms=5 * HOUR),
    Threshold(findtime_ms=24 * HOUR, maxretry=9, bantime_ms=None),
)


def stepped(**jail: object) -> Rules:
    """3 within 10 minutes ban for 20, 6 within an hour for 5 hours, 9 within a day for ever."""
    return rules(**{"steps": STEPS, **jail})


def attack(at_s: float, ip: str = ALICE) -> list[tuple[str, int, str]]:
    """Three failures within two seconds."""
    return [failed(ip, at_s + each) for each in range(3)]


def told(decisions: list[Decision]) -> list[tuple[int | None, int, int]]:
    """Of each ban its step, how many failures decided it, and the instant in seconds after T0."""
    return [
        (each.step, each.count, (each.at_ms - T0) // SECOND) for each in decisions if isinstance(each, Ban)
    ]


@pytest.mark.parametrize("restarts", [False, True])
def test_each_step_counts_what_it_has_not_used_up(*, restarts: bool) -> None:
    """The first step's bans leave the failures to the others; a ban names its step and all its failures."""
    decider = Decider(stepped(), tracking=True)
    found: list[Decision] = []
    for at_s in (0, 1_800, 30_000):
        found += fold(decider, attack(at_s))
        decider = restarted(decider) if restarts else decider
    assert told(found) == [(1, 3, 2), (2, 6, 1_802), (3, 9, 30_002)]
    assert [len(set(each.evidence)) for each in found if isinstance(each, Ban)] == [3, 6, 9]
    assert bans(found)[-1][2] is None


def test_the_severest_that_is_filled_decides() -> None:
    """One failure may fill several."""
    decider = Decider(
        stepped(steps=(Threshold(findtime_ms=HOUR, maxretry=4, bantime_ms=None),), findtime_ms=2_000)
    )
    slow = [failed(ALICE, at_s * 600) for at_s in range(4)]
    assert told(fold(decider, slow)) == [(2, 4, 1_800)]


def test_what_a_step_used_up_it_does_not_count_again() -> None:
    """After its ban two more failures are two, however many there are for the next step."""
    decider = Decider(stepped(findtime_ms=HOUR))
    fold(decider, attack(0))
    assert bans(fold(decider, [failed(ALICE, 1_300), failed(ALICE, 1_301)])) == []
    assert told(fold(decider, [failed(ALICE, 1_302)])) == [(2, 6, 1_302)]


def test_the_last_step_uses_up_all() -> None:
    """Nothing is left of whom it banned."""
    decider = Decider(stepped(steps=STEPS[:1]))
    fold(decider, attack(0) + attack(1_800))
    assert tick(decider, T0 + 10 * HOUR)
    assert decider.jails["sshd"].subjects == {}
    assert told(fold(decider, attack(36_100))) == [(1, 3, 36_102)]


def test_who_is_let_go_or_forgiven_begins_anew() -> None:
    """An operator's unban forgets what other steps have counted; so does forgiving."""
    for verb in ("unban", "forgive"):
        decider = Decider(stepped())
        fold(decider, attack(0))
        if verb == "forgive":
            tick(decider, T0 + 25 * MINUTE)
        command(decider, verb, ALICE)
        assert told(fold(decider, attack(1_800))) == [(1, 3, 1_802)]


def test_jails_with_one_threshold_name_no_step() -> None:
    """And their rules travel as before."""
    (ban,) = fold(Decider(rules()), attack(0))
    assert isinstance(ban, Ban)
    assert ban.step is None
    assert not {"steps", "prolong"} & rules().to_wire()["jails"][0].keys()
    assert Rules.from_wire(stepped().to_wire()) == stepped()


@pytest.mark.parametrize("maxretry", [2, 3])
def test_a_step_of_no_more_failures_is_refused(maxretry: int) -> None:
    """Whoever wrote the rules."""
    with pytest.raises(InvalidMessage, match="not above"):
        Rules.from_wire(stepped(steps=(replace(STEPS[0], maxretry=maxretry),)).to_wire())


@given(
    st.lists(st.tuples(st.integers(0, 5_000), st.sampled_from([ALICE, BOB])), max_size=80, unique=True),
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 3), st.integers(1, 40)), min_size=2, max_size=4),
    st.integers(1, 9),
    st.integers(0, 80),
)
def test_it_bans_as_a_plain_oracle(
    failures: list[tuple[int, str]], some: list[tuple[int, int, int]], frame: int, cut: int
) -> None:
    """In order of time, however the events are cut, saved and loaded between."""
    events = [failed(ip, at_s) for at_s, ip in sorted(failures)]
    steps: list[Threshold] = []
    for minutes, more, lasting in some:
        maxretry = more + (steps[-1].maxretry if steps else 0)
        steps.append(Threshold(findtime_ms=minutes * MINUTE, maxretry=maxretry, bantime_ms=lasting * MINUTE))
    first, *further = steps
    made = Decider(
        rules(
            maxretry=first.maxretry,
            findtime_ms=first.findtime_ms,
            bantime_ms=first.bantime_ms,
            steps=tuple(further),
        ),
        tracking=True,
    )
    decisions = fold(made, events[:cut], frame=frame)
    decisions += fold(restarted(made), events[cut:], frame=frame)
    assert told(decisions) == oracle(events, steps)


def oracle(events: list[tuple[str, int, str]], steps: list[Threshold]) -> list[tuple[int, int, int]]:
    """By which step the jail has to ban, and when, counted the plain way."""
    banned: list[tuple[int, int, int]] = []
    free_ms: dict[str, int] = {}
    known: dict[str, list[list[int]]] = {}
    for _, at_ms, ip in events:
        if at_ms < free_ms.get(ip, 0):
            continue
        unused = known.setdefault(ip, [[] for _ in steps])
        for each in unused:
            each.append(at_ms)
        for number in reversed(range(len(steps))):
            step = steps[number]
            near = [each for each in unused[number] if at_ms - each <= step.findtime_ms]
            if len(near) >= step.maxretry:
                banned.append((number + 1, step.maxretry, (at_ms - T0) // SECOND))
                free_ms[ip] = at_ms + (step.bantime_ms or 0)
                unused[: number + 1] = [[] for _ in range(number + 1)]
                break
    return banned


def ends(decisions: list[Decision]) -> list[int | None]:
    """The ends that prolongations set, in seconds after T0."""
    return [
        each.until_ms and (each.until_ms - T0) // SECOND for each in decisions if isinstance(each, Prolong)
    ]


def test_who_goes_on_during_a_ban_is_banned_for_longer() -> None:
    """Where the jail prolongs: each full window during the ban lets its time begin anew."""
    decider = Decider(rules(prolong=True))
    fold(decider, attack(0))
    assert ends(fold(decider, attack(600)[:2])) == []
    assert ends(fold(decider, [failed(ALICE, 602)])) == [1_802]
    assert ends(fold(decider, attack(1_200))) == [2_402]
    assert unbans(tick(decider, T0 + 2_402 * SECOND)) == [(ALICE, 2_402, "expired")]
    plain = Decider(rules())
    fold(plain, attack(0))
    assert fold(plain, attack(600)) == []


def test_what_did_not_fill_a_window_counts_after_the_ban() -> None:
    """The counting goes on; in a jail that does not prolong it belongs to the ban."""
    for prolong, expected in ((True, [(ALICE, 1_205)]), (False, [])):
        decider = Decider(rules(prolong=prolong), tracking=True)
        fold(decider, attack(0))
        fold(decider, [failed(ALICE, 1_190), failed(ALICE, 1_195)])
        decider = restarted(decider)
        decisions = fold(decider, [failed(ALICE, 1_205)])
        assert [each.while_banned for each in decisions if isinstance(each, Unban)] == [2]
        assert [each[:2] for each in bans(decisions)] == expected


def test_a_ban_for_ever_is_never_prolonged() -> None:
    """There is nothing longer."""
    decider = Decider(rules(prolong=True, bantime_ms=None))
    fold(decider, attack(0))
    assert fold(decider, attack(600) + attack(1_200)) == []
