"""A version is a hash of what is not as usual: an upgrade that adds a key with its default changes none."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from schemas.rules import Escalation, Increment, Jail, Rules, Threshold
from schemas.rules_added import ADDED, ADDED_TO_INCREMENT
from schemas.whereabouts import Scope

FIRST = {
    "name", "filters", "findtime_ms", "maxretry", "bantime_ms", "ignoreip", "kinds", "sources", "hosts",
    "labels", "ports", "forgive", "window",
}  # fmt: skip
"""What a jail could say when the first versions were made."""
OF_BEFORE = {
    "plain": (
        Jail(name="sshd", filters=("sshd",), ports=(22,), labels={"site": "fra"}, ignoreip=("::1",)),
        "be4f58ededf4",
    ),
    "bans that grow": (
        Jail(name="sshd", filters=("sshd",), increment=Increment(multipliers=(1.0, 5.0), maxtime_ms=1_000)),
        "129e3cd1cf16",
    ),
    "networks": (Jail(name="sshd", filters=("sshd",), ipv6_prefix=64, escalate=Escalation()), "e0618afaf5fd"),
    "thresholds": (
        Jail(
            name="sshd",
            filters=("sshd",),
            steps=(Threshold(findtime_ms=86_400_000, maxretry=20, bantime_ms=None),),
            prolong=True,
        ),
        "bd7eea3f01df",
    ),
    "on bans": (Jail(name="recidive", filters=(), on="bans"), "2f39d89cd3dc"),
}
"""Rules as they were put in force, and the version that they had then, and have in logs."""


TABLES: Mapping[str, object] = {
    "increment": Increment(),
    "escalate": Escalation(),
    "scope": Scope(),
    "first_scope": Scope(),
}
"""Of keys that are tables, one."""


def version(jail: Jail) -> str:
    """Of rules of this jail alone."""
    return Rules(jails=(jail,)).version


def of_kind(value: Any) -> Any:
    """Another value of a field of this kind than this one."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case tuple():
            return (*value, "x")
        case dict():
            return {**value, "x": "y"}
        case _:
            return 1


def test_what_is_new_to_a_jail_stands_in_added_with_its_default() -> None:
    """So that a jail that does not ask for it is written as it was before there was such a thing."""
    new = {each.name: each for each in dataclasses.fields(Jail) if each.name not in FIRST}
    assert new.keys() == ADDED.keys()
    usual = Jail(name="sshd", filters=("sshd",))
    assert {name: getattr(usual, name) for name in new} == dict(ADDED)
    (wire,) = Rules(jails=(usual,)).to_wire()["jails"]
    assert wire.keys() == FIRST


def test_what_is_new_to_how_bans_grow_stands_in_its_table() -> None:
    """As for jails."""
    first = {"factor", "multipliers", "maxtime_ms", "rndtime_ms", "forget_ms"}
    new = {each.name: each.default for each in dataclasses.fields(Increment) if each.name not in first}
    assert new == dict(ADDED_TO_INCREMENT)
    usual = Jail(name="sshd", filters=("sshd",), increment=Increment())
    (wire,) = Rules(jails=(usual,)).to_wire()["jails"]
    assert wire["increment"].keys() == first


@pytest.mark.parametrize("name", list(ADDED))
def test_a_new_key_changes_a_version_only_where_it_is_not_as_usual(name: str) -> None:
    """Rules that leave it out, as those of before did, have the version of rules that say its default."""
    usual = Jail(name="sshd", filters=("sshd",))
    said: Any = {name: ADDED[name]}
    rules = Rules(jails=(dataclasses.replace(usual, **said),))
    wire = rules.to_wire()
    assert name not in wire["jails"][0]
    assert Rules.from_wire(wire).version == rules.version == version(usual)
    other: Any = {name: TABLES.get(name) or of_kind(ADDED[name])}
    assert version(dataclasses.replace(usual, **other)) != version(usual)


@pytest.mark.parametrize("kind", OF_BEFORE)
def test_rules_of_before_have_the_version_they_had(kind: str) -> None:
    """Whatever a jail, or a table in it, can say since: a restart puts no equal rules in force."""
    jail, was = OF_BEFORE[kind]
    assert version(jail) == was


def test_what_is_new_to_rules_is_left_out_where_it_is_as_usual() -> None:
    """As for jails."""
    assert Rules(jails=()).to_wire().keys() == {"jails", "lateness_ms", "max_subjects"}
