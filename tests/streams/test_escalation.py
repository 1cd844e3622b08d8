"""Networks: many banned addresses of one ban it, above their own bans, and never over somebody spared."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.prefixes import PrefixSet
from schemas.records import Ban, Decision
from schemas.rules import Escalation
from streams.decider import Decider
from streams.escalation import MOST_PARTS, parts_of
from tests.streams.folding import MINUTE, T0, bans, failed, fold, restarted, rules, tick, unbans
from tests.streams.test_networks import command

NET = "192.0.2.0/24"
HOUR = 60 * MINUTE
ESCALATE = Escalation(addresses=3, findtime_ms=HOUR, bantime_ms=10 * HOUR)
PARTS = replace(ESCALATE, spared="parts")
LAST_HALF = ["128/26", "192/27", "224/28", "240/29", "248/30", "252/31"]


def decider(**jail: object) -> Decider:
    """One whose jail bans for each failure, and a network for three addresses within an hour for ten."""
    return Decider(rules(**{"maxretry": 1, "bantime_ms": 30 * MINUTE, "escalate": ESCALATE, **jail}))


def four(last: int, net: int = 2) -> str:
    """An address of a /24."""
    return f"192.0.{net}.{last}"


def networks(decisions: list[Decision]) -> list[tuple[str, int]]:
    """The networks banned, and when in seconds after T0."""
    return [(prefix, at_s) for prefix, at_s, _ in bans(decisions) if "/" in prefix]


def test_the_third_address_bans_the_network() -> None:
    """After its own ban, at the same instant; for the escalation's bantime, with all three as evidence."""
    decisions = fold(decider(), [failed(four(last), last) for last in range(1, 4)])
    assert [each.prefix for each in decisions] == [four(1), four(2), four(3), NET]
    single, network = decisions[-2:]
    assert isinstance(single, Ban)
    assert isinstance(network, Ban)
    assert (network.at_ms, network.until_ms) == (single.at_ms, single.at_ms + 10 * HOUR)
    assert (network.count, network.counted, network.findtime_ms) == (3, "addresses", HOUR)
    assert network.evidence == tuple(each.evidence[-1] for each in decisions[:3] if isinstance(each, Ban))
    assert (single.counted, network.lines) == ("failures", single.lines)


def test_the_same_address_again_and_neighbours_do_not_fill_it() -> None:
    """Different ones count, of one network, within findtime."""
    again = [failed(four(1), at_s) for at_s in (0, 1_900, 3_800)]
    apart = [failed(four(last), last * 1_801) for last in range(1, 4)]
    others = [failed(four(1, net), net) for net in range(3)]
    for events in (again, apart, others):
        assert networks(fold(decider(), events)) == []
    near = [failed(four(last), last * 1_800) for last in range(1, 4)]
    assert networks(fold(decider(), near)) == [(NET, 5_400)]


def test_inside_a_banned_network_nobody_is_banned_again() -> None:
    """What fails there is counted apart, in the ban of the network; a failing one is forgotten."""
    made = decider(maxretry=2)
    fold(made, [failed(four(9), 0)])
    fold(made, [failed(four(last), 1 + last) for last in range(1, 4) for _ in range(2)])
    assert bans(fold(made, [failed(four(9), 10), failed(four(8), 11), failed(four(8), 12)])) == []
    held = made.jails["sshd"].held_by(NET)
    assert held is not None
    assert held.while_banned == 4
    assert made.jails["sshd"].failing == 0


def test_a_network_that_is_let_go_early_leaves_the_bans_beneath() -> None:
    """A second word lets them go, too; a word about one of the addresses lets both go."""
    made = decider()
    fold(made, [failed(four(last), last) for last in range(1, 4)])
    assert unbans(command(made, "unban", NET)) == [(NET, 3, "operator")]
    assert made.jails["sshd"].banned == 3
    assert [whom for whom, _, _ in unbans(command(made, "unban", NET))] == [four(1), four(2), four(3)]
    other = decider()
    fold(other, [failed(four(last), last) for last in range(1, 4)])
    assert [whom for whom, _, _ in unbans(command(other, "unban", four(2)))] == [NET, four(2)]
    assert other.jails["sshd"].banned == 2


def test_never_over_somebody_spared_and_it_is_said() -> None:
    """An ignored or allowed address keeps its network from being banned; the single ban says so."""
    made = decider(ignoreip=(four(200),))
    *_, last = fold(made, [failed(four(last), last) for last in range(1, 4)])
    assert isinstance(last, Ban)
    assert (last.prefix, last.why) == (
        four(3),
        f"its network {NET} is full, and not banned: {four(200)} is never banned",
    )
    later = decider()
    fold(later, [failed(four(last), last) for last in range(1, 4)])
    assert unbans(command(later, "allow", four(77))) == [(NET, 3, "allowed")]


@pytest.mark.parametrize(
    ("spared", "banned"),
    [
        ((), [NET]),
        ((four(200),), ["0/25", "128/26", "192/29", "202/31", "204/30", "208/28", "224/27"]),
        ((f"{four(128)}/25",), ["0/25"]),
        ((four(0), four(255)), [*(["2/31", "4/30", "8/29", "16/28", "32/27", "64/26"]), *LAST_HALF]),
        (tuple(four(last) for last in range(0, 256, 4)), []),
    ],
)
def test_all_of_a_network_but_whom_is_spared(spared: tuple[str, ...], banned: list[str]) -> None:
    """The fewest prefixes, wider than an address; nothing where they would be too many."""
    made = decider(ignoreip=spared, escalate=PARTS)
    decisions = fold(made, [failed(four(last), last) for last in (9, 11, 13)])
    wanted = sorted(each if "." in each else four(0)[:-1] + each for each in banned)
    assert sorted(prefix for prefix, _ in networks(decisions)) == wanted
    *_, last = decisions
    assert isinstance(last, Ban)
    if spared and wanted:
        assert last.why == f"of its network {NET} all but {spared[0]}, who is never banned"
    elif spared:
        assert last.prefix == four(13)
        assert "is full, and not banned" in str(last.why)


def test_parts_are_one_word_and_who_is_in_one_is_beneath_it() -> None:
    """Failures inside a part count for it; a word about the network lets its parts go, not the addresses."""
    made = decider(ignoreip=(four(200),), escalate=PARTS)
    fold(made, [failed(four(last), last) for last in range(1, 4)])
    assert fold(made, [failed(four(77), 5), failed(four(200), 6)]) == []
    part = made.jails["sshd"].held_by("192.0.2.0/25")
    assert part is not None
    assert part.while_banned == 1
    (single,) = bans(fold(made, [failed(four(201), 7)]))
    assert single[0] == four(201), "beside the one who is spared"
    made = restarted(made)
    freed = [whom for whom, _, _ in unbans(command(made, "unban", NET))]
    assert len(freed) == 7
    assert all("/" in whom for whom in freed)
    assert [whom for whom, _, _ in unbans(command(made, "unban", NET))] == [
        four(1),
        four(2),
        four(201),
        four(3),
    ]


def test_six_leaves_out_a_64() -> None:
    """Of a /48 with somebody spared all other /64 but the one beside his."""
    made = decider(ignoreip=("2001:db8:1:ff::7",), ipv6_prefix=64, escalate=PARTS)
    decisions = fold(made, [failed(f"2001:db8:1:{net:x}::{net:x}", net) for net in range(1, 4)])
    found = {prefix for prefix, _ in networks(decisions) if not prefix.endswith("/64")}
    assert len(found) == 15
    assert sum(1 << 64 - int(prefix.partition("/")[2]) for prefix in found) == (1 << 16) - 2


@given(st.sets(st.integers(0, 255), max_size=12), st.integers(24, 31))
def test_parts_hold_all_but_whom_is_spared(spared: set[int], finest: int) -> None:
    """Against the addresses one by one: nobody spared, everybody else but who is beside, none twice."""
    found = parts_of(NET, finest, PrefixSet(four(last) for last in spared))
    held = [int(ip) & 255 for part in found for ip in ip_network(part)]
    size = 1 << 32 - finest
    left_out = {last // size * size + each for last in spared for each in range(size)}
    if found or len(left_out) == 256:
        assert sorted(held) == sorted(set(range(256)) - left_out)
        assert len(found) <= MOST_PARTS
    else:
        assert len(spared) > 4


def test_an_allow_of_the_network_lets_all_inside_go() -> None:
    """Whoever is allowed is not banned: an operator's word about the network is about its addresses."""
    made = decider()
    fold(made, [failed(four(last), last) for last in range(1, 4)])
    freed = {whom for whom, _, _ in unbans(command(made, "allow", NET))}
    assert freed == {NET, four(1), four(2), four(3)}
    assert made.jails["sshd"].banned == 0


def test_its_end_and_its_next_ban() -> None:
    """It ends by itself, and needs as many addresses again."""
    made = decider(bantime_ms=MINUTE)
    fold(made, [failed(four(last), last) for last in range(1, 4)])
    ended = unbans(tick(made, T0 + 11 * HOUR))
    assert (NET, 36_003, "expired") in ended
    assert networks(fold(made, [failed(four(last), 40_000 + last) for last in (1, 2)])) == []
    decisions = fold(made, [failed(four(3), 40_003)])
    assert networks(decisions) == [(NET, 40_003)]
    assert [each.ban_count for each in decisions if isinstance(each, Ban)] == [2, 2]


def test_six_by_its_own_length() -> None:
    """What is counted by /64 fills a /48."""
    made = decider(ipv6_prefix=64)
    decisions = fold(made, [failed(f"2001:db8:1:{net:x}::{net:x}", net) for net in range(1, 4)])
    assert networks(decisions)[-1] == ("2001:db8:1::/48", 3)


@given(
    st.lists(
        st.tuples(st.integers(0, 4 * 3_600), st.integers(1, 6), st.integers(1, 2)), max_size=60, unique=True
    ),
    st.integers(2, 4),
    st.integers(1, 120),
    st.integers(1, 9),
    st.integers(0, 60),
)
def test_it_bans_as_one_who_reads_the_bans_would(
    failures: list[tuple[int, int, int]], addresses: int, minutes: int, frame: int, cut: int
) -> None:
    """However the events are cut, saved and loaded between; addresses outside a ban are judged as without."""
    events = sorted((failed(four(last, net), at_s) for at_s, last, net in failures), key=lambda each: each[1])
    escalate = replace(ESCALATE, addresses=addresses, findtime_ms=minutes * MINUTE, bantime_ms=HOUR)
    some = rules(maxretry=1, bantime_ms=10 * MINUTE, escalate=escalate)
    made = Decider(some, tracking=True)
    decisions = fold(made, events[:cut], frame=frame)
    decisions += fold(restarted(made), events[cut:], frame=frame)
    assert [each[:2] for each in bans(decisions)] == oracle(events, escalate)


def oracle(events: list[tuple[str, int, str]], escalate: Escalation) -> list[tuple[str, int]]:
    """Whom the jail has to ban, and when, counted the plain way."""
    told: list[tuple[str, int]] = []
    free_ms: dict[str, int] = {}
    filling: dict[str, dict[str, int]] = {}
    for _, at_ms, ip in events:
        network = f"{ip.rpartition('.')[0]}.0/24"
        if at_ms < free_ms.get(ip, 0) or at_ms < free_ms.get(network, 0):
            continue
        told.append((ip, (at_ms - T0) // 1_000))
        free_ms[ip] = at_ms + 10 * MINUTE
        known = filling.setdefault(network, {})
        known[ip] = at_ms
        near = [each for each in known.values() if at_ms - each <= escalate.findtime_ms]
        if len(near) >= escalate.addresses:
            told.append((network, (at_ms - T0) // 1_000))
            free_ms[network] = at_ms + (escalate.bantime_ms or 0)
            filling[network] = {}
    return told


def test_who_goes_on_beneath_his_network_keeps_his_own_ban() -> None:
    """Where the jail prolongs, too: his failures count in the network's ban, and his own ends in time."""
    state = decider(prolong=True)
    fold(state, [failed(four(last), last) for last in range(1, 4)])
    assert fold(state, [failed(four(1), 10), failed(four(1), 11)]) == []
    jail = state.jails["sshd"]
    assert jail.held_by(four(1)) is not None
    assert jail.banned == sum(1 for _ in jail.held()) == 4
    ended = [prefix for prefix, *_ in unbans(tick(state, T0 + HOUR))]
    assert ended == [four(1), four(2), four(3)]
