"""Jails that only observe: they decide as any, and nothing else goes by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Ban, Decision, Unban
from schemas.rules import Escalation, Increment, Jail, Rules
from streams.decider import Decider
from streams.state import dump_buckets, dump_whole, load_bucket, load_whole
from tests.streams.folding import ALICE, BOB, T0, failed, fold, rules
from tests.streams.test_recidive import attacks, bans, with_recidive

SHADOW: dict[str, Any] = {"name": "strict", "maxretry": 2, "mode": "observe"}


def shadowed(plain: Rules, **changes: Any) -> Rules:
    """Rules with a stricter jail beside the first that only observes."""
    first = plain.jails[0]
    return replace(plain, jails=(*plain.jails, replace(first, **{**SHADOW, **changes})))


def live(decisions: list[Decision]) -> list[dict[str, Any]]:
    """What is in force of decisions, but for their places among those of one cause."""
    return [
        {name: getattr(each, name, None) for name in ("TYPE", "prefix", "jail", "at_ms", "until_ms")}
        for each in decisions
        if not each.shadow
    ]


def test_a_shadow_and_a_live_jail_ban_the_same_address() -> None:
    """Each by its own count; the standing knows the live one alone, and ends with it."""
    decider = Decider(shadowed(rules()))
    first = fold(decider, [failed(ALICE, 0), failed(ALICE, 1)])
    assert [(each.jail, each.shadow) for each in bans(first)] == [("strict", True)]
    assert decider.standing(ALICE, first[0]) is None
    second = fold(decider, [failed(ALICE, 2)])
    assert [(each.jail, each.shadow) for each in bans(second)] == [("sshd", False)]
    standing = decider.standing(ALICE, second[0])
    assert standing is not None
    assert [hold.jail for hold in standing.holds] == ["sshd"]


failures = st.lists(
    st.tuples(st.integers(0, 4_000), st.integers(1, 6)).map(lambda each: (each[0], f"192.0.2.{each[1]}")),
    max_size=120,
)


@given(failures)
def test_nothing_that_bans_feeds_on_a_shadow(events: list[tuple[int, str]]) -> None:
    """Jails on bans, escalations and growth over all jails decide what they decide without it."""
    first = replace(
        rules().jails[0],
        escalate=Escalation(addresses=2),
        increment=Increment(overalljails=True),
    )
    plain = with_recidive(replace(rules(), jails=(first,)), maxretry=2)
    beside = shadowed(plain, increment=Increment(), escalate=Escalation(addresses=2))
    rows = [failed(ip, at_s) for at_s, ip in sorted(events)]
    assert live(fold(Decider(beside), rows)) == live(fold(Decider(plain), rows))


def saved(decider: Decider) -> Decider:
    """The same after a restart."""
    loaded, _, _ = load_whole(dump_whole(decider, {}, {}), 0)
    known = {name for jail in decider.jails.values() for name in (*jail.subjects, *jail.history)}
    for value in dump_buckets(decider, known).values():
        if value:
            load_bucket(loaded, value)
    loaded.resume()
    return loaded


@pytest.mark.parametrize("restarts", [False, True])
def test_a_change_of_mode_ends_what_was_decided_in_the_other(*, restarts: bool) -> None:
    """From observing to banning nobody is banned by what was observed, no ban is his second; and back."""
    plain = rules()
    observing = replace(plain, jails=(replace(plain.jails[0], mode="observe", increment=Increment()),))
    banning = replace(plain, jails=(replace(observing.jails[0], mode="ban"),))
    decider = Decider(observing, tracking=True)
    assert [each.shadow for each in bans(fold(decider, attacks(0)))] == [True]
    decider = saved(decider) if restarts else decider
    (unban,) = decider.apply(9 << 20, banning)
    assert isinstance(unban, Unban)
    assert (unban.shadow, unban.why) == (True, 'mode = "ban"')
    assert decider.standing(ALICE, unban) is None
    (ban,) = bans(fold(decider, attacks(10)))
    assert (ban.shadow, ban.ban_count) == (False, 1)
    decider = saved(decider) if restarts else decider
    (unban,) = decider.apply(10 << 20, observing)
    assert isinstance(unban, Unban)
    assert (unban.shadow, unban.reason) == (False, "operator")
    assert decider.standing(ALICE, unban) is None
    assert [each.shadow for each in bans(fold(decider, attacks(20, BOB)))] == [True]


def test_a_shadow_that_is_gone_from_the_rules_holds_nobody() -> None:
    """Though the bans of a jail that is gone stay: after a restart nobody would know these were none."""
    decider = Decider(shadowed(rules()), tracking=True)
    fold(decider, [failed(ALICE, 0), failed(ALICE, 1)])
    (unban,) = decider.apply(9 << 20, rules())
    assert isinstance(unban, Unban)
    assert unban.shadow
    assert saved(decider).standing(ALICE, unban) is None


def test_rules_without_a_mode_keep_their_version() -> None:
    """And what is observed is said in the rules as they travel."""
    jail = Jail(name="sshd", filters=("sshd",))
    assert "mode" not in Rules(jails=(jail,)).to_wire()["jails"][0]
    observing = Rules(jails=(replace(jail, mode="observe"),))
    assert Rules.from_wire(observing.to_wire()) == observing
    assert isinstance(fold(Decider(shadowed(rules())), attacks(T0 % 7))[0], Ban)
