"""Rules in a record are checked field by field, as those of a file are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.bounds import LONGEST_MS, MOST_LABELS, MOST_RETRY, MOST_SUBJECTS, NAME_CHARACTERS
from schemas.errors import InvalidMessage
from schemas.rules import Jail, Rules

RULES = Rules(
    jails=(
        Jail(name="sshd", filters=("sshd",), ports=(22,), labels={"site": "fra"}, ignoreip=("::1",)),
        Jail(name="web", filters=("nginx", "apache"), bantime_ms=None, forgive=True, hosts=("a",)),
    ),
    max_subjects=5_000,
)


def wire() -> Any:
    """The rules as JSON gives them."""
    return json.loads(json.dumps(RULES.to_wire()))


def test_rules_that_were_written_are_read_back() -> None:
    """Every field, through JSON; what a newer version knows besides is passed over."""
    read = wire()
    read["new"] = read["jails"][0]["new"] = 1
    assert Rules.from_wire(read) == RULES
    assert Rules.from_wire(read).version == RULES.version


def test_a_jail_of_before_has_the_defaults_of_what_is_new() -> None:
    """Only its name and its filters were always there."""
    read = wire() | {"jails": [{"name": "sshd", "filters": ["sshd"]}]}
    assert Rules.from_wire(read).jails == (Jail(name="sshd", filters=("sshd",)),)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None),
        ("filters", None),
        ("filters", "sshd"),
        ("filters", [1]),
        ("findtime_ms", -1),
        ("findtime_ms", 1.5),
        ("maxretry", "5"),
        ("maxretry", 0),
        ("maxretry", True),
        ("maxretry", 2**70),
        ("maxretry", MOST_RETRY + 1),
        ("findtime_ms", LONGEST_MS + 1),
        ("bantime_ms", LONGEST_MS + 1),
        ("name", "x" * (NAME_CHARACTERS + 1)),
        ("labels", {str(number): "" for number in range(MOST_LABELS + 1)}),
        ("bantime_ms", "1h"),
        ("ignoreip", ["nobody"]),
        ("ignoreip", ["192.0.2.1/24"]),
        ("labels", {"site": 1}),
        ("labels", []),
        ("ports", [0]),
        ("ports", [65_536]),
        ("forgive", 1),
        ("window", "open"),
        ("window", "x" * 100_000),
    ],
)
def test_a_wrong_field_of_a_jail_is_refused_and_named(field: str, value: Any) -> None:
    """A number that is text, a list that is null, a port that is none: no such rules come into force."""
    read = wire()
    read["jails"][1][field] = value
    with pytest.raises(InvalidMessage) as refused:
        Rules.from_wire(read)
    assert (refused.value.field or "").startswith(f"rules.jails[1].{field}")
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("field", ["jails", "lateness_ms", "max_subjects"])
@pytest.mark.parametrize("value", [None, "1", [None], -1, LONGEST_MS + 1, ...])
def test_a_wrong_field_of_the_rules_is_refused_and_named(field: str, value: Any) -> None:
    """Or one that is missing."""
    read = wire()
    read[field] = value
    if value is ...:
        del read[field]
    with pytest.raises(InvalidMessage) as refused:
        Rules.from_wire(read)
    assert field in str(refused.value)


def test_a_missing_name_is_refused() -> None:
    """A jail has a name and filters."""
    with pytest.raises(InvalidMessage, match="name"):
        Rules.from_wire(wire() | {"jails": [{"filters": []}]})


def test_rules_of_a_state_are_read_whatever_their_bounds_were() -> None:
    """An earlier version took more: a worker that loads its state goes on with the most there is now."""
    read = wire() | {"lateness_ms": 2**62, "max_subjects": 2**62}
    labels = {str(number): "" for number in range(MOST_LABELS + 1)}
    read["jails"][0] |= {"findtime_ms": 2**62, "maxretry": 2**62, "bantime_ms": 2**62, "labels": labels}
    cut = Rules.from_state(read)
    assert (cut.lateness_ms, cut.max_subjects) == (LONGEST_MS, MOST_SUBJECTS)
    first, second = cut.jails
    assert (first.findtime_ms, first.maxretry, first.bantime_ms) == (LONGEST_MS, MOST_RETRY, LONGEST_MS)
    assert len(first.labels) == MOST_LABELS
    assert second == RULES.jails[1]
    assert Rules.from_state(wire()) == RULES
