"""Jails that count users, wherever they are tried from: in one partition, in several, after a restart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banstream.migration import Migration
from banstream.reading import at, cause_of, records
from banstream.trial import ReplayCounts, over_log
from eventlog.contract import Append
from eventlog.memory import MemoryLog
from schemas.codec import encode
from schemas.deciding import Obeyed, OrderStep, Verdict
from schemas.errors import InvalidMessage
from schemas.lists import parts_of
from schemas.records import AuthEvent, Ban, Command, Decision, Prolong, RulesChanged, Unban, Verb
from schemas.rules import Rules
from schemas.topics import COMMANDS, DECISIONS, EVENTS, SUBJECTS, VERDICTS, partition_of, partition_of_user
from streams.decider import Decider
from streams.embedded import EmbeddedDecider
from streams.fold import Fold
from streams.partition import Partition
from tests.streams.folding import (
    ALICE,
    BOB,
    MINUTE,
    SECOND,
    SIX,
    T0,
    bans,
    failure,
    folded_in_order,
    restarted,
    rules,
)
from tests.streams.test_distinct import Attempt, fold, tried
from tests.streams.test_networks import command

CAROL = "198.51.100.7"
EVERYBODY = [ALICE, BOB, CAROL, SIX]
USERS = ["root", "ann", "", "żółw", "192.0.2.1"]


def counting(**jail: object) -> Rules:
    """Rules with one jail that counts users: 3 failures of one ban all who took part."""
    return rules(**{"count": "user", **jail})


def test_all_who_took_part_are_banned_together() -> None:
    """From the last failure on, each with the whole window as its evidence and the user it was about."""
    decider = Decider(counting())
    attempts = [tried(0, "root", ALICE), tried(1, "ann", BOB), tried(2, "root", BOB), tried(9, "root", ALICE)]
    decisions = fold(decider, attempts)
    assert bans(decisions) == [(ALICE, 9, 1_209), (BOB, 9, 1_209)]
    for ban in decisions:
        assert isinstance(ban, Ban)
        assert (ban.count, ban.counted, ban.user) == (3, "failures", "root")
        assert ban.evidence == ("0-0-0", "0-0-2", "0-0-3")
    assert len({each.id for each in decisions}) == 2


def test_spraying_from_ten_thousand_addresses_at_one_user_is_seen() -> None:
    """Each fails once; all are banned, though no address, network or pace would be told from a mistake."""
    decider = Decider(counting(distinct="address", maxretry=10, findtime_ms=60 * MINUTE))
    spray = [tried(nth * 0.3, "root", f"10.{nth // 200}.{nth % 200}.1") for nth in range(10_000)]
    banned = bans(fold(decider, spray, frame=200))
    assert len({ip for ip, *_ in banned}) == len(banned) == 10_000
    assert decider.jails["sshd"].failing == 0


def test_different_addresses_count_once_each() -> None:
    """One address that goes on and on pushes no other out of the count, and does not fill it."""
    decider = Decider(counting(distinct="address"))
    stubborn = [tried(nth, "root", ALICE) for nth in range(1, 90)]
    assert fold(decider, [tried(0, "root", BOB), *stubborn]) == []
    assert {ip for ip, *_ in bans(fold(decider, [tried(100, "root", CAROL)], first=99))} == {
        ALICE,
        BOB,
        CAROL,
    }


def test_who_is_spared_takes_no_part() -> None:
    """What an ignored or allowed address fails counts for nothing."""
    decider = Decider(counting(ignoreip=(ALICE,)))
    assert fold(decider, [tried(nth, "root", ALICE) for nth in range(9)]) == []
    command(decider, "allow", BOB)
    assert fold(decider, [tried(20 + nth, "root", BOB) for nth in range(9)], first=50) == []
    assert [ip for ip, *_ in bans(fold(decider, [tried(50, "root", CAROL)] * 1, first=90))] == []


def test_who_is_banned_is_counted_apart() -> None:
    """Within his ban he adds to nobody's window; after it he begins anew."""
    decider = Decider(counting())
    fold(decider, [tried(nth, "root", ALICE) for nth in range(3)])
    assert fold(decider, [tried(10 + nth, "root", ALICE) for nth in range(5)], first=9) == []
    held = decider.jails["sshd"].held_by(ALICE)
    assert held is not None
    assert held.while_banned == 5
    assert fold(decider, [tried(20, "root", BOB), tried(21, "root", BOB)], first=29) == []


@pytest.mark.parametrize("verb", ["forgive", "allow"])
def test_a_word_about_an_address_takes_its_part_back(verb: Verb) -> None:
    """What others failed as the same user stays."""
    decider = Decider(counting())
    fold(decider, [tried(0, "root", ALICE), tried(1, "root", BOB)])
    command(decider, verb, ALICE)
    assert fold(decider, [tried(2, "root", BOB)], first=9) == []
    assert bans(fold(decider, [tried(3, "root", BOB)], first=19)) == [(BOB, 3, 1_203)]


def test_a_word_about_a_network_takes_the_parts_of_all_in_it_back() -> None:
    """In the partition that counts it, as every failure of theirs stands there."""
    decider = Decider(counting())
    fold(decider, [tried(0, "root", ALICE), tried(1, "root", BOB)])
    command(decider, "forgive", "192.0.2.0/24")
    assert fold(decider, [tried(2, "root", CAROL), tried(3, "root", CAROL)], first=9) == []


def test_other_rules_keep_the_bans() -> None:
    """Of who failed before under rules that count otherwise nothing is known: it begins anew."""
    decider = Decider(counting())
    fold(decider, [tried(0, "root", ALICE), tried(1, "root", BOB)])
    decider.adopt(rules())
    assert fold(decider, [tried(2, "root", ALICE), tried(3, "root", ALICE)], first=9) == []
    decider.adopt(counting())
    assert fold(decider, [tried(4, "root", BOB), tried(5, "root", BOB)], first=19) == []
    decider.adopt(counting(distinct="address"))
    assert fold(decider, [tried(6, "root", CAROL), tried(7, "root", BOB)], first=29) == []
    assert len(fold(decider, [tried(8, "root", ALICE)], first=39)) == 3


def test_whom_a_list_comes_to_hold_takes_no_part_any_more() -> None:
    """What he failed before counts for nothing, and names that look like addresses harm nobody."""
    decider = Decider(counting(lists=("office",)))
    fold(decider, [tried(0, "root", ALICE), tried(1, "root", BOB), tried(1, "192.0.2.1", BOB)])
    for part in parts_of("office", [ALICE], at_ms=T0):
        decider.apply(99, part, kind="c")
    assert fold(decider, [tried(2, "root", CAROL)], first=100) == []
    assert [ip for ip, *_ in bans(fold(decider, [tried(3, "root", CAROL)], first=110))] == [BOB, CAROL]


def test_networks_are_banned_where_they_are_counted() -> None:
    """IPv6 by its /64, which then escalates and comes to a jail on bans like any other ban."""
    decider = Decider(counting(ipv6_prefix=64, maxretry=2))
    (ban,) = fold(decider, [tried(0, "root", "2001:db8::1"), tried(1, "root", "2001:db8::2")])
    assert ban.prefix == "2001:db8::/64"


def test_too_many_users_push_out_who_was_tried_longest_ago() -> None:
    """However many names are made up, memory stays within max_subjects, and it is counted."""
    decider = Decider(Rules(jails=counting().jails, max_subjects=100))
    fold(decider, [tried(nth, f"user{nth}", ALICE) for nth in range(1_000)])
    jail = decider.jails["sshd"]
    assert jail.failing <= 100
    assert jail.failing + jail.dropped == 1_000


@pytest.mark.parametrize("count", ["user", "address and user"])
def test_names_that_are_long_are_told_apart_and_kept_short(count: str) -> None:
    """However long an attacker makes them, so that a million of them are no gigabyte."""
    decider = Decider(rules(count=count))
    long = "a" * 1_000
    assert fold(decider, [tried(nth, f"{long}{nth}", ALICE) for nth in range(3)]) == []
    decisions = fold(decider, [tried(10 + nth, f"{long}x", ALICE) for nth in range(3)], first=9)
    (ban,) = decisions
    assert isinstance(ban, Ban)
    assert ban.user is not None
    assert ban.user.startswith("a" * 64 + "...")
    assert len(ban.user) < 100


def test_users_who_were_tried_long_ago_are_forgotten() -> None:
    """With the sweep, as addresses are."""
    decider = Decider(counting())
    fold(decider, [tried(0, "root", ALICE)])
    fold(decider, [tried(9_000, "ann", BOB)], first=9)
    assert decider.jails["sshd"].failing == 1


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"prolong": True}, "users are counted"),
        ({"window": "fail2ban"}, "users are counted"),
        ({"on": "bans", "filters": ()}, "users are counted"),
        ({"distinct": "port"}, "no different ports"),
        ({"forgive": True}, "no forgive"),
        ({"maxretry": 257}, "maxretry 256 at most"),
        ({"count": "address and user", "distinct": "address"}, "no different address"),
    ],
)
def test_what_it_does_not_go_with_is_refused(fields: dict[str, Any], why: str) -> None:
    """Whoever wrote the rules; what is right comes back as it was."""
    with pytest.raises(InvalidMessage, match=why):
        Rules.from_wire(counting(**fields).to_wire())
    assert Rules.from_wire(counting().to_wire()).jails[0].count == "user"
    assert "count" not in rules().to_wire()["jails"][0], "rules of before keep their version"


def test_an_address_with_one_user() -> None:
    """Many users once each ban nobody, and neither do two addresses with one; the ban names the user."""
    decider = Decider(rules(count="address and user"))
    assert fold(decider, [tried(nth, f"user{nth % 9}") for nth in range(18)]) == []
    assert fold(decider, [tried(20, "root", BOB), tried(21, "root"), tried(22, "root")], first=9) == []
    (ban,) = fold(decider, [tried(23, "root")], first=19)
    assert isinstance(ban, Ban)
    assert (ban.prefix, ban.user, ban.count, ban.evidence) == (ALICE, "root", 3, ("0-9-1", "0-9-2", "0-19-0"))


def test_an_address_with_many_users_keeps_the_last_of_them() -> None:
    """Names that are made up push out those that were tried longest ago, and no more than that is kept."""
    decider = Decider(rules(count="address and user"))
    fold(decider, [tried(nth * 0.01, f"user{nth}") for nth in range(5_000)], frame=500)
    state = decider.jails["sshd"].tally
    assert state is not None
    assert len(state.dumped(ALICE)) == 64


FAILURES = st.lists(
    st.tuples(st.integers(0, 3_000), st.sampled_from(EVERYBODY), st.sampled_from([None, *USERS])), max_size=60
)


@settings(deadline=None)
@given(FAILURES, st.integers(1, 4), st.integers(1, 9), st.integers(0, 60), st.sampled_from([None, "address"]))
def test_it_bans_as_a_plain_oracle(
    failures: list[tuple[int, str, str | None]], maxretry: int, frame: int, cut: int, distinct: str | None
) -> None:
    """In order of time, however the events are cut, saved and loaded between."""
    attempts = [tried(at_s, user, ip) for at_s, ip, user in sorted(failures, key=lambda each: each[0])]
    some = counting(distinct=distinct, maxretry=maxretry, bantime_ms=5 * MINUTE)
    decider = Decider(some, tracking=True)
    decisions = fold(decider, attempts[:cut], frame=frame)
    decisions += fold(restarted(decider), attempts[cut:], first=100, frame=frame)
    assert sorted(each[:2] for each in bans(decisions)) == sorted(oracle(attempts, maxretry, distinct))


def oracle(attempts: list[Attempt], maxretry: int, distinct: str | None) -> list[tuple[str, int]]:
    """Whom the jail has to ban, and when, counted the plain way."""
    banned: list[tuple[str, int]] = []
    free_s: dict[str, float] = {}
    seen: dict[str, list[tuple[float, str]]] = {}
    for at_s, ip, user, _ in attempts:
        if user is None or at_s < free_s.get(ip, 0):
            continue
        mine = seen.setdefault(user, [])
        mine.append((at_s, ip))
        near = [each for each in mine if at_s - each[0] <= 600]
        if (len({ip for _, ip in near}) if distinct else len(near)) >= maxretry:
            for each, own_s in {ip: own_s for own_s, ip in (near if distinct else near[-maxretry:])}.items():
                if own_s >= free_s.get(each, 0):  # else that failure belongs to a ban of before
                    banned.append((each, int(at_s)))
                    free_s[each] = at_s + 300
            mine.clear()
    return banned


@settings(deadline=None)
@given(FAILURES, st.integers(1, 4), st.integers(0, 60))
def test_an_address_and_a_user_are_banned_as_a_plain_oracle_says(
    failures: list[tuple[int, str, str | None]], maxretry: int, cut: int
) -> None:
    """As if each user of an address were an address, but that a ban is the address's."""
    attempts = [tried(at_s, user, ip) for at_s, ip, user in sorted(failures, key=lambda each: each[0])]
    some = rules(count="address and user", maxretry=maxretry, bantime_ms=5 * MINUTE)
    decider = Decider(some, tracking=True)
    decisions = fold(decider, attempts[:cut]) + fold(restarted(decider), attempts[cut:], first=100)
    banned: list[tuple[str, int]] = []
    free_s: dict[str, float] = {}
    seen: dict[str, dict[str, list[float]]] = {}
    for at_s, ip, user, _ in attempts:
        if user is None or at_s < free_s.get(ip, 0):
            continue
        mine = seen.setdefault(ip, {}).setdefault(user, [])
        mine.append(at_s)
        if len(mine) >= maxretry and at_s - mine[-maxretry] <= 600:
            banned.append((ip, int(at_s)))
            free_s[ip] = at_s + 300
            seen[ip] = {}
    assert [each[:2] for each in bans(decisions)] == banned


class Machine:
    """A log of several partitions and the decider on it, whose clock is set by hand."""

    def __init__(self, partitions: int, some: Rules) -> None:
        self.now_ms = T0
        self.log = MemoryLog(partitions, now_ms=lambda: self.now_ms)
        self._open()
        self._given = 0
        record = RulesChanged(version=some.version, at_ms=T0, rules=some.to_wire())
        self.log.append([Append(COMMANDS.name, encode(record), partition=each) for each in range(partitions)])

    def _open(self) -> None:
        self.decider = EmbeddedDecider(self.log, now_ms=lambda: self.now_ms)

    def happen(self, what: str, ip: str, user: str, seconds: int) -> None:
        """One thing happens."""
        self._given += 1
        home = partition_of(ip, self.log.partitions)
        match what:
            case "fail":
                event = failure(ip, self.now_ms, self._given, user=user)
                self.log.append([Append(EVENTS.name, encode(event), partition=home)])
            case "time":
                self.now_ms += seconds * SECOND
                self.decider.tick()
            case "poll":
                self.decider.poll()
            case "crash":
                if seconds > 30:
                    self.decider.checkpoint()
                self._open()
            case _:
                said = Command(id=str(self._given), verb=what, at_ms=self.now_ms, who="root", prefix=ip)  # type: ignore[arg-type]
                self.log.append([Append(COMMANDS.name, encode(said), partition=home)])

    def decisions(self, number: int) -> list[Decision]:
        """Every decision of a partition."""
        found = [each.record for each in records(self.log, DECISIONS.name) if each.partition == number]
        return [each for each in found if isinstance(each, Ban | Unban | Prolong)]

    def told(self, number: int) -> list[OrderStep]:
        """Every step of a partition."""
        found = [each.record for each in records(self.log, DECISIONS.name) if each.partition == number]
        return [step for each in found if isinstance(each, Obeyed) for step in each.steps]

    def oracle(self, number: int) -> list[Decision]:
        """What a plain fold of a partition's inputs in the order told decides."""
        read = {topic.name: self.log.read(topic.name, number, 0) for topic in (EVENTS, COMMANDS)}
        others = {topic.name: self.log.read(topic.name, number, 0) for topic in (SUBJECTS, VERDICTS)}
        fold = Partition(number, partitions=self.log.partitions).fold
        return folded_in_order(fold, self.told(number), read[EVENTS.name], read[COMMANDS.name], others)


HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(["fail"] * 6 + ["poll"] * 3 + ["time", "crash", "unban", "forgive", "allow", "ban"]),
        st.sampled_from(EVERYBODY),
        st.sampled_from(USERS),
        st.integers(0, 60),
    ),
    max_size=50,
)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 4), HAPPENINGS)
def test_over_partitions_each_decides_what_its_inputs_in_their_order_say(
    partitions: int, happenings: list[tuple[str, str, str, int]]
) -> None:
    """Through crashes anywhere: none missing, none twice, to the byte."""
    machine = Machine(partitions, counting(maxretry=2, bantime_ms=30 * SECOND))
    for each in happenings:
        machine.happen(*each)
    machine.decider.catch_up()
    for number in range(partitions):
        made, expected = machine.decisions(number), machine.oracle(number)
        assert [encode(each) for each in made] == [encode(each) for each in expected]


@settings(max_examples=60, deadline=None)
@given(HAPPENINGS)
def test_several_partitions_ban_whom_one_bans(happenings: list[tuple[str, str, str, int]]) -> None:
    """Where each thing is decided before the next: the same addresses, at the same instants, for the same."""
    kept = [each for each in happenings if each[0] in {"fail", "time", "unban", "forgive", "allow"}]
    found = []
    for partitions in (1, 4):
        machine = Machine(partitions, counting(maxretry=2, bantime_ms=30 * SECOND))
        machine.decider.catch_up()
        for each in kept:
            machine.happen(*each)
            machine.decider.catch_up()
        made = [each for number in range(partitions) for each in machine.decisions(number)]
        found.append(sorted((each.TYPE, each.prefix, each.at_ms) for each in made))
    assert found[0] == found[1]


def fleet() -> tuple[Machine, int, str, str]:
    """A machine of two partitions, that of `root`, and an address of it and of the other."""
    machine = Machine(2, counting(maxretry=2))
    home = partition_of_user("root", 2)
    near, far = (
        next(f"10.0.{net}.1" for net in range(99) if partition_of(f"10.0.{net}.1", 2) == number)
        for number in (home, 1 - home)
    )
    machine.decider.catch_up()
    return machine, home, near, far


def test_what_one_partition_tells_another_is_in_the_log() -> None:
    """A sighting goes there, a verdict comes back, and each causes the ban that is its."""
    machine, home, near, far = fleet()
    for ip in (near, far):
        machine.happen("fail", ip, "root", 0)
        machine.decider.catch_up()
    assert len(machine.log.read(SUBJECTS.name, home, 0)) == 1
    assert len(machine.log.read(VERDICTS.name, 1 - home, 0)) == 1
    ((one,), (other,)) = machine.decisions(home), machine.decisions(1 - home)
    assert (one.id, other.id) == (f"{home}-s0-0-0", f"{1 - home}-v0-0-0")
    assert isinstance(other, Ban)
    for place in other.evidence:
        event = at(machine.log, EVENTS.name, place)
        assert isinstance(event, AuthEvent)
        assert event.user == "root"
    verdict = cause_of(machine.log, other.id)
    assert isinstance(verdict, Verdict)
    assert set(verdict.prefixes) == {near, far}


def test_nobody_tells_himself_anything() -> None:
    """In one partition all is counted at once: nothing of it takes a message."""
    machine = Machine(1, counting(maxretry=2))
    machine.decider.catch_up()
    for ip in (ALICE, BOB):
        machine.happen("fail", ip, "root", 0)
    machine.decider.catch_up()
    assert len(machine.decisions(0)) == 2
    assert machine.log.end(SUBJECTS.name, 0) == machine.log.end(VERDICTS.name, 0) == 0


def test_a_word_about_an_address_reaches_who_counts_elsewhere() -> None:
    """What it failed is taken out of the user's window, in whichever partition that is."""
    machine, _, near, far = fleet()
    for what in (("fail", far), ("forgive", far), ("fail", near)):
        machine.happen(*what, "root", 0)
        machine.decider.catch_up()
    assert [each for number in range(2) for each in machine.decisions(number)] == []
    machine.happen("fail", near, "root", 0)
    machine.decider.catch_up()
    assert [each.prefix for number in range(2) for each in machine.decisions(number)] == [near]


def test_a_verdict_that_was_under_way_bans_nobody_who_was_forgiven() -> None:
    """What stands in it he failed before that; who fails after it is banned by the next."""
    decider = Decider(counting(), partitions=2, partition=partition_of(ALICE, 2))
    decider.advance(T0)
    command(decider, "forgive", ALICE)
    for failed_ms, banned in ((T0 - 1, []), (T0, [ALICE])):
        verdict = Verdict(
            jail="sshd", user="root", failed_ms=(failed_ms,), evidence=("0-1-1",), prefixes=(ALICE,)
        )
        assert [each.prefix for each in decider.apply(9, verdict, kind="v")] == banned


def test_a_replay_of_several_partitions_tells_them_anew() -> None:
    """Under rules that did not hold then: as they would have been told."""
    machine, _, near, far = fleet()
    for ip in (near, far, far):
        machine.happen("fail", ip, "ann", 0)
        machine.decider.catch_up()
    for maxretry in (2, 3, 4):
        some = counting(maxretry=maxretry)
        found = [
            each.prefix
            for (decided,) in over_log([some], machine.log, 0, 2**60, ReplayCounts())
            for each in decided
        ]
        assert sorted(found) == ([] if maxretry == 4 else sorted([near, far]))


def test_a_log_that_is_laid_over_partitions_goes_on_counting() -> None:
    """What users have failed goes to the partitions of theirs, with its evidence where that is now."""
    machine = Machine(1, counting(maxretry=3))
    addresses = [f"10.0.{net}.1" for net in range(6)]
    for ip in addresses[:2]:
        for user in USERS:
            machine.happen("fail", ip, user, 0)
    machine.decider.catch_up()
    machine.decider.checkpoint()
    target = MemoryLog(4, now_ms=lambda: machine.now_ms)
    Migration(machine.log, target).run()
    machine.log = target
    machine._open()  # noqa: SLF001 - the program of after
    machine.happen("fail", addresses[2], "root", 0)
    machine.decider.catch_up()
    found = [each for number in range(4) for each in machine.decisions(number)]
    assert sorted(each.prefix for each in found) == sorted(addresses[:3])
    for ban in found:
        assert isinstance(ban, Ban)
        events = [at(target, EVENTS.name, place) for place in ban.evidence]
        assert [each.ip for each in events if isinstance(each, AuthEvent)] == addresses[:3]


def test_a_jail_that_is_gone_or_counts_otherwise_takes_no_verdict() -> None:
    """Whatever is still under way between partitions."""
    for other in (rules(), Rules(jails=())):
        fold = Fold(Decider(other), partitions=2)
        verdict = Verdict(jail="sshd", user="root", failed_ms=(T0,), evidence=("0-1-1",), prefixes=(ALICE,))
        assert fold.decider.apply(1, verdict, kind="v") == []
