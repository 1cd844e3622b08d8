"""What the decider decides, case by case."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.contract import Message
from schemas.bounds import LONGEST_MS, MOST_RETRY
from schemas.codec import encode_frame
from schemas.records import Ban, Command, Prolong, Unban, Verb
from schemas.rules import MANUAL, Jail, Rules
from streams.decider import Decider
from streams.fold import Fold
from streams.routes import route_to
from streams.runs import Run
from streams.state import dump_buckets, dump_whole, load_bucket, load_whole
from tests.streams.folding import (
    ALICE,
    BOB,
    MINUTE,
    SIX,
    T0,
    bans,
    failed,
    failure,
    fold,
    rules,
    tick,
    unbans,
)


def command(verb: Verb, prefix: str | None, at_s: int = 100, **facts: object) -> Command:
    """An operator's command, `at_s` seconds after T0."""
    return Command(id="c", verb=verb, prefix=prefix, at_ms=T0 + at_s * 1_000, who="ann", **facts)  # type: ignore[arg-type]


def give(decider: Decider, order: Command) -> list[Ban | Unban | Prolong]:
    """Let a decider obey; the decisions."""
    return decider.apply(decider._reference + 1, order)  # noqa: SLF001 - the next place


def test_the_maxretry_th_failure_within_findtime_bans_from_then_for_bantime() -> None:
    """Three failures within ten minutes ban from the third on, for twenty minutes."""
    decided = fold(Decider(rules()), [failed(ALICE, at) for at in (0, 100, 200)])
    assert bans(decided) == [(ALICE, 200, 1_400)]


def test_failures_first_to_last_exactly_findtime_apart_ban() -> None:
    """A failure exactly findtime old still counts, as in fail2ban; one a millisecond older does not."""
    assert bans(fold(Decider(rules()), [failed(SIX, at) for at in (0, 1, 600)]))
    assert not bans(fold(Decider(rules()), [failed(SIX, at) for at in (0, 1, 600.001)]))


def test_a_slow_attacker_is_not_banned_however_long_it_goes_on() -> None:
    """One failure every six minutes never fills a window of three in ten minutes."""
    assert fold(Decider(rules()), [failed(ALICE, 360 * at) for at in range(200)]) == []


def test_each_address_is_counted_for_itself() -> None:
    """Two failures each of two addresses ban nobody."""
    assert fold(Decider(rules()), [failed(ip, at) for at in (0, 1) for ip in (ALICE, BOB)]) == []


def test_a_ban_names_its_evidence_its_rules_and_the_deciding_line() -> None:
    """The record of a ban holds the places of all failures that decided it, and the last one's line."""
    decider = Decider(rules(ports=(22,)))
    (ban,) = fold(decider, [failed(ALICE, 0), failed(BOB, 0), failed(ALICE, 1), failed(ALICE, 2)], frame=2)
    assert isinstance(ban, Ban)
    assert (ban.id, ban.evidence) == ("0-1-1-0", ("0-0-0", "0-1-0", "0-1-1"))
    assert (ban.lines, ban.count, ban.ban_count, ban.ports) == (("line 1",), 3, 1, (22,))
    assert ban.rules == decider.rules.version


def test_a_ban_uses_its_failures_up() -> None:
    """After a ban has ended the count starts from nothing."""
    times = [0, 1, 2, 1_300, 1_301, 1_302]
    assert bans(fold(Decider(rules()), [failed(ALICE, at) for at in times])) == [
        (ALICE, 2, 1_202),
        (ALICE, 1_302, 2_502),
    ]


def test_failures_during_a_ban_are_counted_apart_and_reported_at_its_end() -> None:
    """They neither prolong the ban nor count towards the next one; the unban says how many there were."""
    times = [0, 1, 2, 600, 601, 602, 1_201, 1_202, 1_203]
    decided = fold(Decider(rules()), [failed(ALICE, at) for at in times])
    assert bans(decided) == [(ALICE, 2, 1_202)]
    (unban,) = (each for each in decided if isinstance(each, Unban))
    assert unban.while_banned == 4


def test_a_ban_ends_exactly_at_its_end_whoever_moves_time() -> None:
    """A tick, or any later event of anybody, ends it; the unban carries the end itself as its instant."""
    decider = Decider(rules())
    fold(decider, [failed(ALICE, at) for at in (0, 1, 2)])
    assert tick(decider, T0 + 1_201_999) == []
    assert unbans(fold(decider, [failed(BOB, 1_500)])) == [(ALICE, 1_202, "expired")]


def test_bans_end_in_the_order_of_their_ends() -> None:
    """One step of time over several ends releases the earliest first."""
    decider = Decider(rules(maxretry=1))
    fold(decider, [failed(ALICE, 50), failed(BOB, 10)])
    assert unbans(tick(decider, T0 + 10_000_000)) == [(BOB, 1_210, "expired"), (ALICE, 1_250, "expired")]


def test_a_permanent_ban_never_ends() -> None:
    """Without a bantime there is no end, however much time passes."""
    decider = Decider(rules(bantime_ms=None))
    assert bans(fold(decider, [failed(ALICE, at) for at in (0, 1, 2)])) == [(ALICE, 2, None)]
    assert tick(decider, T0 + 10**12) == []


def test_a_late_failure_is_put_where_it_belongs() -> None:
    """Whichever of the three arrives last, the address is banned from the latest of them."""
    for order in ((0, 100, 200), (200, 100, 0), (100, 0, 200), (200, 0, 100)):
        assert bans(fold(Decider(rules()), [failed(ALICE, at) for at in order])) == [(ALICE, 200, 1_400)]


def test_a_late_failure_does_not_join_two_windows() -> None:
    """A late failure counts only with those within findtime of it."""
    assert fold(Decider(rules()), [failed(ALICE, at) for at in (0, 1_000, 500)]) == []


def test_a_failure_older_than_the_end_of_the_last_ban_belongs_to_that_ban() -> None:
    """It arrives after the unban, and is not counted towards the next ban."""
    times = [0, 1, 2, 1_300, 1_100, 1_101, 1_102]
    assert bans(fold(Decider(rules()), [failed(ALICE, at) for at in times])) == [(ALICE, 2, 1_202)]


def test_a_ban_that_is_over_before_it_is_decided_is_recorded_as_expired() -> None:
    """A backlog an hour behind bans nobody now: ban and unban are both in the record."""
    decider = Decider(rules())
    decided = fold(decider, [failed(BOB, 3_000), *(failed(ALICE, at) for at in (0, 1, 2))])
    assert [type(each).__name__ for each in decided] == ["Ban", "Unban"]
    assert isinstance(decided[0], Ban)
    assert decided[0].expired
    assert decider.standing(ALICE, decided[1]) is None


def test_failures_after_an_expired_ban_are_counted_anew() -> None:
    """A late failure fills an old window; those after that ban's end were waiting, and ban again."""
    times = [0, 1, 3_000, 3_001, 3_002, 2]
    decided = fold(Decider(rules(maxretry=4, findtime_ms=3_600_000)), [failed(ALICE, at) for at in times])
    assert bans(decided)[0] == (ALICE, 3_001, 4_201)


@pytest.mark.parametrize("ignored", [ALICE, "192.0.2.0/24", "0.0.0.0/0"])
def test_an_ignored_address_is_never_banned(ignored: str) -> None:
    """Its failures are counted as ignored, nothing else."""
    decider = Decider(rules(ignoreip=("::1", ignored)))
    assert fold(decider, [failed(ALICE, at) for at in range(50)]) == []
    assert decider.jails["sshd"].ignored == 50


def test_only_the_kinds_a_jail_asks_for_count() -> None:
    """Probes are nothing to a jail of failures, and failures to one that asks for probes also count."""
    probes = [failed(ALICE, at, "probed") for at in range(9)]
    assert fold(Decider(rules()), probes) == []
    assert bans(fold(Decider(rules(kinds=("failed", "probed"))), probes)) == [(ALICE, 2, 1_202)]


def test_a_success_forgives_only_where_the_jail_says_so() -> None:
    """With `forgive` a success forgets the failures before it; without, it changes nothing."""
    events = [failed(ALICE, 0), failed(ALICE, 1), failed(ALICE, 2, "succeeded"), failed(ALICE, 3)]
    assert fold(Decider(rules(forgive=True)), events) == []
    assert bans(fold(Decider(rules()), events)) == [(ALICE, 3, 1_203)]


def test_two_jails_hold_a_prefix_until_the_last_lets_go() -> None:
    """The standing names both holds; after one has ended, the other is left."""
    jails = (
        Jail(name="a", filters=("sshd",), maxretry=1, bantime_ms=MINUTE),
        Jail(name="b", filters=("sshd",), maxretry=1, bantime_ms=5 * MINUTE),
    )
    decider = Decider(Rules(jails=jails))
    decided = fold(decider, [failed(ALICE, 0)])
    assert [(each.id, each.jail) for each in decided] == [("0-0-0-0", "a"), ("0-0-0-1", "b")]
    standing = decider.standing(ALICE, decided[-1])
    assert standing is not None
    assert [hold.jail for hold in standing.holds] == ["a", "b"]
    (unban,) = fold(decider, [failed(BOB, 61)])[:1]
    standing = decider.standing(ALICE, unban)
    assert standing is not None
    assert [hold.jail for hold in standing.holds] == ["b"]


def test_a_jail_selects_by_source_and_host() -> None:
    """Only events of the sources and hosts it names concern it."""
    jail = Jail(name="a", filters=("sshd",), maxretry=1, sources=("file:/var/log/*.log",), hosts=("web",))
    decider = Decider(Rules(jails=(jail,)))
    assert decider.routes.selective
    events = [
        ("192.0.2.1", "sshd", "file:/var/log/auth.log", "web"),
        ("192.0.2.2", "sshd", "file:/var/log/auth.log", "mail"),
        ("192.0.2.3", "sshd", "journald:x", "web"),
        ("192.0.2.4", "nginx", "file:/var/log/auth.log", "web"),
    ]
    decided = [
        decision.prefix
        for index, (ip, name, source, host) in enumerate(events)
        for decision in decider.fold(
            Run(0, route_to(name, source, host), [("failed", T0, ip, index)]), lambda _: None
        )
    ]
    assert decided == ["192.0.2.1"]


def test_a_jail_selects_by_label_and_its_bans_carry_its_labels() -> None:
    """Only events that have all of its labels concern it, whatever text is in them."""
    jail = Jail(name="a", filters=("sshd",), maxretry=1, labels={"site": "fra", "tier": "edge"})
    decider = Decider(Rules(jails=(jail,)))
    assert decider.routes.selective
    events: list[tuple[str, dict[str, str]]] = [
        ("192.0.2.1", {"tier": "edge", "site": "fra", "more": "x"}),
        ("192.0.2.2", {"site": "fra"}),
        ("192.0.2.3", {}),
        ("192.0.2.4", {"x": '\n{"site":"fra","tier":"edge"}'}),
    ]
    decided = [
        decision
        for index, (ip, labels) in enumerate(events)
        for decision in decider.fold(
            Run(0, route_to("sshd", "file:x", None, labels), [("failed", T0, ip, index)]), lambda _: None
        )
    ]
    assert [each.prefix for each in decided] == ["192.0.2.1"]
    standing = decider.standing("192.0.2.1", decided[0])
    assert standing is not None
    assert standing.holds[0].labels == jail.labels


@pytest.mark.parametrize(
    ("jail", "banned"),
    [
        ({}, {ALICE, BOB}),
        ({"sources": ("*",)}, {ALICE, BOB}),
        ({"hosts": ("web",)}, {BOB}),
        ({"labels": {"site": "fra"}}, {BOB}),
    ],
)
def test_a_name_that_holds_what_separates_names_is_a_name(jail: dict[str, object], banned: set[str]) -> None:
    """Whoever may write events may write anything into filter, source and host: nobody stops for it."""
    taking = Fold(Decider(rules(maxretry=1, **jail)))
    odd = "a\nb\nc\nd\n"
    events = [
        failure(ALICE, T0, 1, filter=odd, source="file:/a"),
        failure(ALICE, T0, 2, source=odd, host="x"),
        failure(ALICE, T0, 3, source='x\nweb\n{"site":"fra"}', host="\n\n"),
        failure(BOB, T0, 4, host="web", labels={"site": "fra"}),
    ]
    decided = taking.take(Message(0, 1, None, encode_frame(events), T0))[0]
    assert {each.prefix for each in decided} == banned


def test_an_operators_ban_holds_in_the_manual_jail() -> None:
    """It takes any prefix, names the operator, and a second one with another end prolongs it."""
    decider = Decider(rules())
    (ban,) = give(decider, command("ban", "192.0.2.0/24", duration_ms=MINUTE, why="abuse"))
    assert isinstance(ban, Ban)
    assert (ban.prefix, ban.jail, ban.who, ban.why) == ("192.0.2.0/24", MANUAL, "ann", "abuse")
    assert give(decider, command("ban", "192.0.2.0/24", duration_ms=MINUTE)) == []
    (prolong,) = give(decider, command("ban", "192.0.2.0/24", at_s=110))
    assert isinstance(prolong, Prolong)
    assert (prolong.until_ms, prolong.ban) == (None, ban.id)
    assert tick(decider, T0 + 10**10) == []


def test_an_unban_of_a_prefix_frees_all_inside_it_and_a_second_one_nothing() -> None:
    """A repeated command yields no decision."""
    decider = Decider(rules(maxretry=1))
    fold(decider, [failed(ALICE, 0), failed(BOB, 0), failed(SIX, 0)])
    assert unbans(give(decider, command("unban", "192.0.2.0/24"))) == [
        (ALICE, 100, "operator"),
        (BOB, 100, "operator"),
    ]
    assert give(decider, command("unban", "192.0.2.0/24")) == []
    assert unbans(give(decider, command("unban", None))) == [(SIX, 100, "operator")]


def test_forgive_forgets_failures_but_not_bans() -> None:
    """The failures before it no longer count; a ban in force stays."""
    decider = Decider(rules())
    fold(decider, [failed(ALICE, 0), failed(ALICE, 1), *(failed(BOB, at) for at in (1, 2, 3))])
    assert give(decider, command("forgive", "192.0.2.0/24")) == []
    assert bans(fold(decider, [failed(ALICE, 101)])) == []
    assert BOB in dict(decider.jails["sshd"].held())


def test_allow_frees_now_and_spares_until_it_ends() -> None:
    """An allowed prefix is unbanned, not counted, and counted again after the allowance has passed."""
    decider = Decider(rules(maxretry=1, bantime_ms=None))
    fold(decider, [failed(ALICE, 0)])
    freed = give(decider, command("allow", "192.0.2.0/24", duration_ms=MINUTE))
    assert unbans(freed) == [(ALICE, 100, "allowed")]
    assert fold(decider, [failed(ALICE, 101), failed(BOB, 159)]) == []
    assert bans(fold(decider, [failed(BOB, 161)])) == [(BOB, 161, None)]


def test_disallow_takes_an_allow_back() -> None:
    """After it, the prefix is counted again."""
    decider = Decider(rules(maxretry=1))
    give(decider, command("allow", ALICE))
    assert fold(decider, [failed(ALICE, 101)]) == []
    give(decider, command("disallow", ALICE, at_s=102))
    assert bans(fold(decider, [failed(ALICE, 103)])) == [(ALICE, 103, 1_303)]


def test_new_rules_keep_what_was_counted_and_a_jail_that_is_gone_keeps_its_bans() -> None:
    """Two failures before a reload and one after it ban; a removed jail's ban still ends by itself."""
    decider = Decider(rules())
    fold(decider, [failed(ALICE, 0), failed(ALICE, 1), *(failed(BOB, at) for at in (0, 1, 2))])
    decider.adopt(rules(bantime_ms=MINUTE))
    assert bans(fold(decider, [failed(ALICE, 3)])) == [(ALICE, 3, 63)]
    decider.adopt(rules(name="other"))
    assert unbans(fold(decider, [failed(SIX, 5_000)])) == [(ALICE, 63, "expired"), (BOB, 1_202, "expired")]


def test_subjects_beyond_the_limit_are_dropped_least_recent_first_and_counted() -> None:
    """A thousand and first address makes room by dropping the tenth that failed longest ago."""
    decider = Decider(Rules(jails=rules().jails, max_subjects=1_000))
    addresses = [f"198.51.{at // 250}.{at % 250}" for at in range(1_001)]
    fold(decider, [failed(ip, at / 10) for at, ip in enumerate(addresses)])
    jail = decider.jails["sshd"]
    assert (len(jail.subjects), jail.dropped) == (901, 100)
    assert addresses[99] not in jail.subjects
    assert addresses[100] in jail.subjects


def two_jails(max_subjects: int) -> Decider:
    """Two jails that count the same failures."""
    jails = tuple(Jail(name=name, filters=("sshd",), maxretry=3, findtime_ms=MINUTE) for name in "ab")
    return Decider(Rules(jails=jails, max_subjects=max_subjects))


def test_the_limit_of_subjects_is_over_all_jails() -> None:
    """Two jails together remember as many as the rules say, and drop the least recent of both."""
    decider = two_jails(10)
    fold(decider, [failed(f"198.51.100.{at}", at) for at in range(100)])
    assert sum(jail.failing for jail in decider.jails.values()) <= 10
    assert sum(jail.dropped for jail in decider.jails.values()) >= 190
    assert {"198.51.100.99"} <= decider.jails["a"].subjects.keys() & decider.jails["b"].subjects.keys()


@pytest.mark.parametrize("max_subjects", [1, 2, 5])
def test_bans_in_force_leave_room_for_two_who_take_turns(max_subjects: int) -> None:
    """However many are banned, the next two addresses are counted up to their own bans."""
    decider = Decider(Rules(jails=rules().jails, max_subjects=max_subjects))
    fold(decider, [failed(f"198.51.100.{at // 3}", at) for at in range(60)])
    turns = [failed(ip, at) for at in range(60, 63) for ip in (ALICE, BOB)]
    assert [ip for ip, *_ in bans(fold(decider, turns))] == [ALICE, BOB]


def test_what_is_spared_takes_no_room() -> None:
    """A flood of ignored addresses drops nobody who fails, and is not kept."""
    decider = Decider(Rules(jails=rules(ignoreip=("198.51.100.0/24",)).jails, max_subjects=10))
    fold(
        decider, [failed(ALICE, 0), *(failed(f"198.51.100.{at}", at) for at in range(250)), failed(BOB, 251)]
    )
    assert decider.jails["sshd"].subjects.keys() == {ALICE, BOB}
    assert decider.jails["sshd"].dropped == 0


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["failed", "failed", "succeeded", "ban", "unban", "forgive", "allow", "disallow"]
            ),
            st.sampled_from([ALICE, BOB, SIX, "192.0.2.0/24"]),
            st.integers(0, 5_000),
        ),
        max_size=60,
    )
)
def test_counts_are_what_counting_would_give(happened: list[tuple[str, str, int]]) -> None:
    """Whatever happens, saved and loaded too: failing and banned are those who fail and are banned."""
    decider = Decider(Rules(jails=rules(forgive=True, maxretry=2, bantime_ms=MINUTE).jails, max_subjects=2))
    for kind, prefix, at_s in happened:
        if kind not in {"failed", "succeeded"}:
            give(decider, command(kind, prefix, at_s, duration_ms=at_s * 1_000))  # type: ignore[arg-type]
        elif "/" not in prefix:
            fold(decider, [failed(prefix, at_s, kind)])
        for jail in (*decider.jails.values(), *loaded(decider).jails.values()):
            assert jail.counts()["banned"] == len(dict(jail.held()))
            assert jail.counts()["failing"] == sum(1 for _ in jail.newest())


def loaded(decider: Decider) -> Decider:
    """The decider that a saved state gives."""
    again, _, _ = load_whole(dump_whole(decider, {}, {}), 0)
    everybody = {name for jail in decider.jails.values() for name in jail.subjects}
    for value in dump_buckets(decider, everybody).values():
        if value:
            load_bucket(again, value)
    again.resume()
    return again


def test_a_state_of_before_is_loaded_whatever_its_rules_were() -> None:
    """An earlier version took any number; a worker that cannot load its state would decide nothing."""
    old = dump_whole(Decider(rules(maxretry=2**62, findtime_ms=2**62)), {}, {})
    again, _, _ = load_whole(old, 0)
    assert again.rules == rules(maxretry=MOST_RETRY, findtime_ms=LONGEST_MS)


def test_what_is_too_old_to_matter_is_forgotten() -> None:
    """Memory is bounded in time too: an hour and findtime after its last failure an address is gone."""
    decider = Decider(rules())
    fold(decider, [failed(ALICE, 0), failed(BOB, 3_000), failed(BOB, 8_000)])
    assert ALICE not in decider.jails["sshd"].subjects
