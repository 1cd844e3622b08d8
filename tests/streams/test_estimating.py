"""fail2ban's window: what its own code bans, from when, until when; and that nothing of it is lost."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.errors import InvalidMessage
from schemas.records import Ban, Decision, Prolong
from schemas.rules import Increment, Rules, Threshold
from streams.decider import Decider
from streams.window import reference
from tests.producers.filters.fail2ban.oracle import PYTHON
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

DRIVER = Path(__file__).with_name("fail2bans_window.py")
INCREMENTS: list[tuple[Increment | None, dict[str, str]]] = [
    (None, {}),
    (Increment(), {"increment": "true"}),
    (Increment(factor=3, maxtime_ms=90 * MINUTE), {"increment": "true", "factor": "3", "maxtime": "90m"}),
    (Increment(multipliers=(1, 2, 9)), {"increment": "true", "multipliers": "1 2 9"}),
    (
        Increment(formula="ban.Time * ban.Count * banFactor", factor=2),
        {"increment": "true", "formula": "ban.Time * ban.Count * banFactor", "factor": "2"},
    ),
]


def estimating(**jail: object) -> Rules:
    """Rules whose jail has fail2ban's window."""
    return rules(**{"window": "fail2ban", "maxretry": 5, **jail})


def trace(chance: random.Random, findtime_s: int, bantime_s: int) -> list[tuple[int, str]]:
    """Bursts, slow attacks, failures at findtime and at the ban's end to the second, some out of order."""
    failures: list[tuple[int, str]] = []
    for ip in (ALICE, BOB, "192.0.2.3", "2001:db8::1"):
        at_s = chance.randrange(100)
        for _ in range(chance.randrange(10, 60)):
            at_s += chance.choice(
                [
                    *(0, 0, 1, 1, 2, findtime_s // 5, findtime_s // 4, findtime_s // 3),
                    *(
                        findtime_s - 1,
                        findtime_s,
                        findtime_s + 1,
                        bantime_s - 1,
                        bantime_s + 1,
                        7 * bantime_s,
                    ),
                ]
            )
            failures.append((at_s, ip))
    failures.sort(key=lambda each: each[0])
    for _ in range(chance.choice([0, 0, 8])):
        place = chance.randrange(len(failures) - 1)
        failures[place], failures[place + 1] = failures[place + 1], failures[place]
    return failures


def case(seed: int) -> tuple[Rules, dict[str, str], list[tuple[int, str]]]:
    """A jail, its bantime's options in fail2ban's words, and failures."""
    chance = random.Random(seed)
    increment, extra = INCREMENTS[seed % len(INCREMENTS)]
    findtime_s, bantime_s = chance.choice([(600, 600), (600, 60), (60, 600), (7, 1_001)])
    some = estimating(
        findtime_ms=findtime_s * SECOND,
        bantime_ms=bantime_s * SECOND,
        maxretry=chance.choice([1, 2, 3, 5, 8]),
        increment=increment,
    )
    return some, extra, trace(chance, findtime_s, bantime_s)


@pytest.mark.real("fail2ban")
def test_its_bans_are_fail2bans() -> None:
    """Of 100 jails, address by address and second by second, with a restart in the middle."""
    cases = [case(seed) for seed in range(100)]
    asked = [
        {
            "failures": failures,
            "findtime": some.jails[0].findtime_ms // SECOND,
            "maxretry": some.jails[0].maxretry,
            "bantime": (some.jails[0].bantime_ms or 0) // SECOND,
            "extra": extra,
        }
        for some, extra, failures in cases
    ]
    told = subprocess.run(
        [PYTHON, str(DRIVER)],
        input="\n".join(map(json.dumps, asked)),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    answers = [json.loads(line) for line in told.stdout.splitlines()]
    for (some, _, failures), (banned, longer) in zip(cases, answers, strict=True):
        events = [failed(ip, at_s) for at_s, ip in failures]
        decider = Decider(some, tracking=True)
        decisions = fold(decider, events[: len(events) // 2])
        decisions += fold(restarted(decider), events[len(events) // 2 :])
        ends = [
            [each.prefix, (each.until_ms - T0) // SECOND]
            for each in decisions
            if isinstance(each, Prolong) and each.until_ms is not None
        ]
        assert ([list(each) for each in bans(decisions)], ends) == (banned, longer)
    assert min(sum(len(part[place]) for part in answers) for place in (0, 1)) > 100


def test_a_rate_bans_that_no_window_holds() -> None:
    """One failure every 160 s is banned at the fifth, for its rate; an exact window never sees five."""
    slow = [failed(ALICE, at_s) for at_s in range(0, 641, 160)]
    assert bans(fold(Decider(estimating()), slow)) == [(ALICE, 640, 640 + 1_200)]
    assert bans(fold(Decider(rules(maxretry=5)), slow)) == []


def test_a_word_about_an_address_reaches_its_estimate() -> None:
    """`forgive` and `allow` forget it; what is ignored has none."""
    decider = Decider(estimating(ignoreip=(BOB,)))
    fold(decider, [failed(ip, at_s) for at_s in range(4) for ip in (ALICE, BOB)])
    assert decider.jails["sshd"].counts() == {
        "failing": 1,
        "banned": 0,
        "failures": 8,
        "bans": 0,
        "ignored": 4,
        "dropped": 0,
    }
    command(decider, "forgive", "192.0.2.0/24")
    assert bans(fold(decider, [failed(ALICE, 5)])) == []
    assert decider.jails["sshd"].failing == 1


def test_other_rules_take_what_was_counted_along() -> None:
    """From one window to the other and back; bans and their past, too."""
    decider = Decider(rules(maxretry=5))
    fold(decider, [failed(ALICE, at_s) for at_s in range(4)])
    decider.adopt(estimating())
    assert bans(fold(decider, [failed(ALICE, 4)])) == [(ALICE, 4, 1_204)]
    fold(decider, [failed(BOB, 10 + at_s) for at_s in range(4)])
    decider.adopt(rules(maxretry=5))
    assert bans(fold(decider, [failed(BOB, 20), failed(ALICE, 20)])) == [(BOB, 20, 1_220)]
    assert decider.jails["sshd"].counts()["bans"] == 2


def test_beyond_the_limit_the_least_recent_are_dropped() -> None:
    """As in every jail; and the old are forgotten by and by."""
    decider = Decider(Rules(jails=estimating().jails, max_subjects=10))
    fold(decider, [failed(f"192.0.2.{last}", last) for last in range(12)])
    assert decider.jails["sshd"].failing <= 10
    assert decider.jails["sshd"].dropped >= 2
    fold(decider, [failed(ALICE, 3 * 24 * 3_600)])
    assert decider.jails["sshd"].failing == 1


@settings(deadline=None)
@example([(0, ALICE), (600, BOB), (0, BOB), (540, ALICE)], 2, 1, 3)
@given(
    st.lists(st.tuples(st.integers(0, 3_000), st.sampled_from([ALICE, BOB])), max_size=60),
    st.integers(1, 6),
    st.integers(1, 9),
    st.integers(0, 60),
)
def test_frames_and_restarts_change_nothing(
    failures: list[tuple[int, str]], maxretry: int, frame: int, cut: int
) -> None:
    """However the events are cut, saved and loaded between."""
    events = [failed(ip, at_s) for at_s, ip in failures]
    some = estimating(maxretry=maxretry, bantime_ms=MINUTE, increment=Increment())

    def told(decisions: list[Decision]) -> list[tuple[str, str, int, int | None]]:
        return [(each.TYPE, each.prefix, each.at_ms, getattr(each, "until_ms", None)) for each in decisions]

    whole = told(fold(Decider(some), events))
    decider = Decider(some, tracking=True)
    parts = fold(decider, events[:cut], frame=frame)
    parts += fold(restarted(decider), events[cut:], frame=frame)
    assert told(parts) == whole


def test_several_thresholds_need_the_exact_window() -> None:
    """There is one estimate."""
    step = Threshold(findtime_ms=MINUTE, maxretry=9, bantime_ms=None)
    with pytest.raises(InvalidMessage, match="need the window exact"):
        Rules.from_wire(estimating(steps=(step,)).to_wire())


def test_a_ban_has_the_failures_that_filled_it() -> None:
    """The newest, as many as it needs."""
    (ban,) = fold(Decider(estimating()), [failed(ALICE, at_s) for at_s in range(0, 641, 160)], frame=1)
    assert isinstance(ban, Ban)
    assert ban.evidence == tuple(f"0-{offset}-0" for offset in range(5))


def test_a_ban_ends_though_the_jail_counts_in_another_way_by_then() -> None:
    """fail2ban's window lets a ban last up to its last instant, others do not: it ends under those too."""
    decider = Decider(rules(window="fail2ban", maxretry=1, bantime_ms=MINUTE), tracking=True)
    fold(decider, [failed(ALICE, 0)])
    decider.apply(reference(1), rules(maxretry=1, bantime_ms=MINUTE))
    assert unbans(tick(decider, T0 + 2 * MINUTE)) == [(ALICE, 60, "expired")]
