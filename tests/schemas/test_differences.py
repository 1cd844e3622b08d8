"""What other rules change: a sentence for everything, and none for nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.differences import differences
from schemas.rules import Increment, Jail, Rules, Threshold

SSHD = Jail(name="sshd", filters=("sshd",))
MANY = tuple(f"192.0.2.{number}" for number in range(30))

JAILS = st.builds(
    Jail,
    name=st.sampled_from("abc"),
    filters=st.lists(st.sampled_from(["sshd", "dovecot", "postfix"]), max_size=3, unique=True).map(tuple),
    maxretry=st.integers(1, 3),
    bantime_ms=st.sampled_from([None, 600_000, 600_001]),
    ports=st.sampled_from([(), (22,), (22, 80)]),
    labels=st.sampled_from([{}, {"site": "fra"}]),
    increment=st.none() | st.builds(Increment, factor=st.sampled_from([1.0, 2.5])),
    on=st.sampled_from(["events", "bans"]),
)
RULES = st.builds(
    Rules,
    jails=st.lists(JAILS, max_size=3, unique_by=lambda jail: jail.name).map(tuple),
    require_enrolled=st.booleans(),
)


def changed(**changes: Any) -> list[str]:
    """What a change of one jail is said to be."""
    return differences(Rules(jails=(SSHD,)), Rules(jails=(dataclasses.replace(SSHD, **changes),)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"maxretry": 3}, ["maxretry = 3, was 5"]),
        ({"findtime_ms": 5_400_000}, ["findtime = 1h30m, was 10m"]),
        ({"findtime_ms": 600_001}, ["findtime = 600001 ms, was 10m"]),
        ({"bantime_ms": None}, ["bantime = for ever, was 10m"]),
        ({"forgive": True}, ["forgive = True, was False"]),
        ({"labels": {"site": "fra", "tier": "edge"}}, ["labels = site=fra, tier=edge, was none"]),
        ({"ports": (22, 2222)}, ["ports = 22, 2222, was none"]),
        ({"filters": ("dovecot",)}, ["filters = dovecot, was sshd"]),
        ({"filters": ("sshd", "dovecot")}, ["filters gains dovecot"]),
        (
            {"ignoreip": MANY},
            ["ignoreip = " + ", ".join(MANY[:10]) + " and 20 more, was none"],
        ),
        (
            {"increment": Increment(maxtime_ms=604_800_000)},
            ["increment = { factor = 1, maxtime = 7d, forget = 30d }, was none"],
        ),
    ],
)
def test_a_change_is_said_in_the_words_of_the_configuration(changes: dict[str, Any], said: list[str]) -> None:
    """Durations as durations, lists by what came and went."""
    assert changed(**changes) == [f"jail sshd: {each}" for each in said]


def test_a_nested_table_is_said_key_by_key() -> None:
    """Not as a whole."""
    one, other = Increment(maxtime_ms=604_800_000), Increment(factor=2, multipliers=(1, 5))
    old, new = (Rules(jails=(dataclasses.replace(SSHD, increment=each),)) for each in (one, other))
    assert differences(old, new) == [
        "jail sshd: increment.factor = 2, was 1",
        "jail sshd: increment.multipliers = 1, 5, was none",
        "jail sshd: increment.maxtime = none, was 7d",
    ]


def test_thresholds_are_said_one_by_one() -> None:
    """Where there are as many; else all of them."""
    day = Threshold(findtime_ms=86_400_000, maxretry=20, bantime_ms=None)
    old, new = (
        Rules(jails=(dataclasses.replace(SSHD, steps=each),))
        for each in ((day,), (dataclasses.replace(day, maxretry=30),))
    )
    assert differences(old, new) == ["jail sshd: steps.1.maxretry = 30, was 20"]
    (said,) = differences(Rules(jails=(SSHD,)), old)
    assert said == "jail sshd: steps = { findtime = 1d, maxretry = 20, bantime = for ever }, was none"


def test_lists_say_what_came_and_went() -> None:
    """Also where only their order is another."""
    one = dataclasses.replace(SSHD, ignoreip=MANY)
    other = dataclasses.replace(SSHD, ignoreip=(*MANY[1:], "::1"))
    assert differences(Rules(jails=(one,)), Rules(jails=(other,))) == [
        "jail sshd: ignoreip gains ::1, and loses 192.0.2.0"
    ]
    back = dataclasses.replace(SSHD, ignoreip=MANY[1::-1])
    assert differences(
        Rules(jails=(dataclasses.replace(SSHD, ignoreip=MANY[:2]),)), Rules(jails=(back,))
    ) == ["jail sshd: ignoreip stand in another order: 192.0.2.1, 192.0.2.0"]


def test_jails_come_in_the_order_of_their_names() -> None:
    """Whatever the order of the files; that is said by itself."""
    a, b, c, d = (Jail(name=name, filters=("sshd",)) for name in "abcd")
    changes = (dataclasses.replace(b, maxretry=1), dataclasses.replace(a, maxretry=1))
    assert differences(Rules(jails=(a, b, c)), Rules(jails=(d, *changes))) == [
        "jail a: maxretry = 1, was 5",
        "jail b: maxretry = 1, was 5",
        "jail c is gone; its bans stay until their end",
        "jail d is new",
    ]
    assert differences(Rules(jails=(a, b)), Rules(jails=(b, a))) == [
        "jails stand in another order, and decide in it: b, a"
    ]


@given(RULES, RULES)
def test_rules_differ_where_something_is_said(one: Rules, other: Rules) -> None:
    """And only there: of any two."""
    assert (differences(one, other) == []) is (one.version == other.version)
    assert differences(one, one) == []
