"""Jails on bans: whom other jails ban again and again is banned for longer, in the same fold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Ban, Command, Decision
from schemas.rules import Jail, Rules
from streams.decider import Decider
from streams.state import dump_buckets, dump_whole, load_bucket, load_whole
from tests.streams.folding import ALICE, BOB, MINUTE, SECOND, T0, failed, fold, rules, tick

DAY = 24 * 60 * MINUTE
RECIDIVE = Jail(name="recidive", filters=(), on="bans", maxretry=3, findtime_ms=DAY, bantime_ms=7 * DAY)


def with_recidive(plain: Rules, *others: Jail, **changes: object) -> Rules:
    """Rules with a jail on bans as well; `changes` are put over its fields."""
    return replace(plain, jails=(*plain.jails, *others, replace(RECIDIVE, **changes)))  # type: ignore[arg-type]


def bans(decisions: list[Decision], jail: str | None = None) -> list[Ban]:
    """The bans among decisions, of a jail if one is named."""
    return [each for each in decisions if isinstance(each, Ban) and jail in {None, each.jail}]


def attacks(at_s: float, ip: str = ALICE) -> list[tuple[str, int, str]]:
    """Three failures within a second."""
    return [failed(ip, at_s + each / 10) for each in range(3)]


def test_the_maxretry_th_ban_within_findtime_bans() -> None:
    """At the instant of that ban, for its own bantime; its evidence are the events that decided the bans."""
    decider = Decider(with_recidive(rules()))
    found = [bans(fold(decider, attacks(hour * 3_600))) for hour in range(3)]
    assert [[each.jail for each in part] for part in found] == [["sshd"], ["sshd"], ["sshd", "recidive"]]
    ban = found[2][1]
    assert (ban.prefix, ban.count, ban.at_ms, ban.until_ms) == (
        ALICE,
        3,
        found[2][0].at_ms,
        found[2][0].at_ms + 7 * DAY,
    )
    assert ban.evidence == tuple(part[0].evidence[-1] for part in found)
    assert len({each.id for each in found[2]}) == 2
    standing = decider.standing(ALICE, ban)
    assert standing is not None
    assert [hold.jail for hold in standing.holds] == ["recidive", "sshd"]


def test_bans_further_apart_and_of_others_do_not_count() -> None:
    """Nor those by hand: an operator's word is no attack."""
    decider = Decider(with_recidive(rules(), findtime_ms=2 * 3_600 * SECOND))
    decisions = fold(decider, attacks(0) + attacks(1, BOB) + attacks(3_600) + attacks(7_201))
    word = Command(id="1", verb="ban", at_ms=T0 + 8_000 * SECOND, who="root", prefix=BOB)
    decisions += decider.apply(10 << 20, word)
    assert bans(decisions, "recidive") == []
    assert [each.jail for each in bans(fold(decider, attacks(9_000)))] == ["sshd", "recidive"]


def test_bans_of_jails_on_bans_count_nowhere() -> None:
    """Two of them do not ban each other's, and none its own."""
    decider = Decider(with_recidive(rules(), replace(RECIDIVE, name="twice", maxretry=1), maxretry=2))
    first, second = (bans(fold(decider, attacks(at))) for at in (0, 3_600))
    assert [each.jail for each in first] == ["sshd", "twice"]
    assert [each.jail for each in second] == ["sshd", "recidive"]


def test_it_has_an_ignoreip_of_its_own() -> None:
    """Whom it ignores other jails ban."""
    decider = Decider(with_recidive(rules(), maxretry=1, ignoreip=(ALICE,)))
    assert [each.jail for each in bans(fold(decider, attacks(0)))] == ["sshd"]
    assert [each.jail for each in bans(fold(decider, attacks(0, BOB)))] == ["sshd", "recidive"]


def test_what_it_counts_is_saved() -> None:
    """After a restart the third ban is the third."""
    decider = Decider(with_recidive(rules()))
    fold(decider, attacks(0) + attacks(3_600))
    loaded, _, _ = load_whole(dump_whole(decider, {}, {}), 0)
    for bucket in dump_buckets(decider, [ALICE]).values():
        load_bucket(loaded, bucket)
    loaded.resume()
    assert [each.jail for each in bans(fold(loaded, attacks(7_200)))] == ["sshd", "recidive"]
    tick(loaded, T0 + 8 * DAY)
    assert loaded.jails["recidive"].banned == 0


def test_rules_without_one_have_the_version_they_had() -> None:
    """And those with one travel whole."""
    assert "on" not in rules().to_wire()["jails"][0]
    both = with_recidive(rules())
    assert Rules.from_wire(both.to_wire()) == both


def oracle(plain: list[Ban], jail: Jail) -> list[tuple[str, int]]:
    """Whom a jail on bans has to ban, and when, counted the plain way."""
    told: list[tuple[str, int]] = []
    seen: dict[str, list[int]] = {}
    free_ms: dict[str, int] = {}
    for ban in plain:
        if ban.at_ms < free_ms.get(ban.prefix, 0):
            continue
        times = seen.setdefault(ban.prefix, [])
        times.append(ban.at_ms)
        last = times[-jail.maxretry :]
        if len(last) == jail.maxretry and last[-1] - last[0] <= jail.findtime_ms:
            told.append((ban.prefix, ban.at_ms))
            free_ms[ban.prefix] = ban.at_ms + (jail.bantime_ms or 0)
            times.clear()
    return told


@given(
    gaps=st.lists(st.tuples(st.integers(1, 40), st.sampled_from([ALICE, BOB])), max_size=60),
    maxretry=st.integers(1, 4),
    hours=st.integers(1, 6),
    frame=st.integers(1, 9),
)
@pytest.mark.parametrize("on_jail", [2, 3])
def test_it_bans_as_one_who_reads_the_bans_would(
    on_jail: int, gaps: list[tuple[int, str]], maxretry: int, hours: int, frame: int
) -> None:
    """However events are cut into frames; and it changes nothing of what the other jails decide."""
    jail = replace(RECIDIVE, maxretry=maxretry, findtime_ms=hours * 3_600 * SECOND, bantime_ms=90 * MINUTE)
    at_s, events = 0, []
    for minutes, ip in gaps:
        at_s += minutes * 60
        events.append(failed(ip, at_s))
    plain = rules(maxretry=on_jail, findtime_ms=60 * MINUTE)
    alone = fold(Decider(plain), events, frame=frame)
    both = fold(Decider(replace(plain, jails=(*plain.jails, jail))), events, frame=frame)
    assert [(each.prefix, each.at_ms) for each in bans(both, "recidive")] == oracle(bans(alone), jail)
    others = [(each.prefix, each.at_ms, each.until_ms) for each in bans(both, "sshd")]
    assert others == [(each.prefix, each.at_ms, each.until_ms) for each in bans(alone)]
