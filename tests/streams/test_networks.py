"""What is counted: an address, or its network of the jail's length; what is counted is what is banned."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidMessage
from schemas.records import Ban, Command, Decision
from schemas.rules import Jail, Rules
from schemas.topics import partition_of
from streams.decider import Decider
from tests.streams.folding import ALICE, MINUTE, T0, Oracle, bans, failed, fold, restarted, rules, unbans

NET = "2001:db8:1:2::/64"
WIDE = {"ipv6_prefix": 64}


def six(last: int, net: int = 2) -> str:
    """An address of a /64 of one /48."""
    return f"2001:db8:1:{net:x}::{last:x}"


def command(decider: Decider, verb: str, prefix: str, jail: str | None = None) -> list[Decision]:
    """What a command leads to, after all that was folded before."""
    word = Command(id=verb, verb=verb, at_ms=decider.now_ms, who="root", prefix=prefix, jail=jail)  # type: ignore[arg-type]
    return decider.apply(decider._reference + 1, word)  # noqa: SLF001 - the next place


def test_addresses_of_one_64_are_one_attacker() -> None:
    """Each failed once; the ban is of the network, with all of their failures as its evidence."""
    decisions = fold(Decider(rules(**WIDE)), [failed(six(last), last) for last in range(1, 4)])
    (ban,) = decisions
    assert isinstance(ban, Ban)
    assert (ban.prefix, ban.count, len(set(ban.evidence)), ban.lines) == (NET, 3, 3, ("line 2",))


@pytest.mark.parametrize(
    ("fields", "addresses", "banned"),
    [
        ({}, [six(1), six(2), six(3)], []),
        (WIDE, [six(1), six(2, net=3), six(3, net=4)], []),
        ({"ipv6_prefix": 48}, [six(1), six(2, net=3), six(3, net=4)], ["2001:db8:1::/48"]),
        (WIDE, ["192.0.2.1", "192.0.2.2", "192.0.2.3"], []),
        ({"ipv4_prefix": 24}, ["192.0.2.1", "192.0.2.2", "192.0.2.3"], ["192.0.2.0/24"]),
        ({"ipv4_prefix": 30}, ["192.0.2.1", "192.0.2.2", "192.0.2.4", "192.0.2.3"], ["192.0.2.0/30"]),
        (WIDE, [ALICE] * 3, [ALICE]),
    ],
)
def test_a_jail_counts_by_its_lengths(
    fields: dict[str, object], addresses: list[str], banned: list[str]
) -> None:
    """Neighbours within the length are one, others are not, and one length says nothing of the other."""
    events = [failed(ip, at_s) for at_s, ip in enumerate(addresses)]
    assert [ban[0] for ban in bans(fold(Decider(rules(**fields)), events))] == banned


@pytest.mark.parametrize("fields", [{"ipv4_prefix": 23}, {"ipv6_prefix": 47}, {"ipv6_prefix": 129}])
def test_no_subject_is_wider_than_a_partition(fields: dict[str, object]) -> None:
    """Rules that say so are refused, whoever wrote them."""
    with pytest.raises(InvalidMessage):
        Rules.from_wire(rules(**fields).to_wire())


def test_a_spared_neighbour_is_never_banned() -> None:
    """Where somebody in the network is ignored or allowed, the others are counted alone; he is not."""
    decider = Decider(rules(**WIDE, ignoreip=(six(1),)))
    decisions = fold(decider, [failed(six(1 + at_s % 3), at_s) for at_s in range(9)])
    assert [ban[0] for ban in bans(decisions)] == [six(2), six(3)]
    assert (decider.jails["sshd"].ignored, decider.jails["sshd"].failures) == (3, 9)


def test_an_ignored_address_of_a_network_that_is_known_does_not_count() -> None:
    """An allow that comes later counts at once, and lets the network go that held it."""
    decider = Decider(rules(**WIDE))
    fold(decider, [failed(six(1), 0), failed(six(2), 1)])
    command(decider, "allow", six(3))
    assert bans(fold(decider, [failed(six(3), 2), failed(six(3), 3), failed(six(3), 4)])) == []
    assert bans(fold(decider, [failed(six(4), 5 + last) for last in range(3)])) == [(six(4), 7, 1207)]
    other = Decider(rules(**WIDE))
    fold(other, [failed(six(1), last) for last in range(3)])
    assert unbans(command(other, "allow", six(9))) == [(NET, 2, "allowed")]


@pytest.mark.parametrize("asked", [six(7), NET, "2001:db8:1:2::/96", "2001:db8::/32"])
def test_a_word_about_an_address_finds_what_it_is_counted_as(asked: str) -> None:
    """`unban` lets its network go, `forgive` forgets its network's failures; a wider prefix does both."""
    decider = Decider(rules(**WIDE))
    fold(decider, [failed(six(last), last) for last in range(1, 4)])
    assert unbans(command(decider, "unban", asked)) == [(NET, 3, "operator")]
    fold(decider, [failed(six(1), 10), failed(six(2), 11)])
    command(decider, "forgive", asked)
    assert bans(fold(decider, [failed(six(3), 12)])) == []


def test_a_word_about_an_address_leaves_other_networks_alone() -> None:
    """And a jail that counts addresses has nothing to do with the network."""
    decider = Decider(rules(**WIDE))
    fold(decider, [failed(six(last), last) for last in range(1, 4)])
    assert unbans(command(decider, "unban", six(1, net=3))) == []


def test_failures_during_the_ban_of_a_network_are_counted_apart() -> None:
    """Of whatever address in it."""
    decider = Decider(rules(**WIDE))
    decisions = fold(decider, [failed(six(last), last) for last in range(1, 9)])
    assert len(bans(decisions)) == 1
    held = decider.jails["sshd"].held_by(NET)
    assert held is not None
    assert held.while_banned == 5


def test_a_success_forgives_the_network() -> None:
    """Where the jail forgives: its addresses are one."""
    events = [failed(six(1), 0), failed(six(2), 1), failed(six(3), 2, "succeeded"), failed(six(4), 3)]
    assert bans(fold(Decider(rules(**WIDE, forgive=True)), events)) == []
    assert len(bans(fold(Decider(rules(**WIDE)), events))) == 1


def test_jails_on_bans_count_by_their_own_length() -> None:
    """Bans of three addresses of a network are three of it."""
    recidive = Jail(name="recidive", filters=(), on="bans", maxretry=3, findtime_ms=60 * MINUTE, **WIDE)  # type: ignore[arg-type]
    decider = Decider(Rules(jails=(*rules(maxretry=1).jails, recidive)))
    decisions = fold(decider, [failed(six(last), last) for last in range(1, 4)])
    assert [ban[0] for ban in bans(decisions)] == [six(1), six(2), six(3), NET]


def test_whom_a_replay_counts_it_does_not_note_for_a_checkpoint() -> None:
    """Nobody saves its state: what it would have to save is not kept either, however many networks come."""
    decider = Decider(rules(**WIDE))
    fold(decider, [failed(six(1, net), net) for net in range(1, 50)])
    assert decider.touched == set()


def test_rules_of_before_count_addresses() -> None:
    """What was not said then means what it meant, and changes no version."""
    assert not {"ipv4_prefix", "ipv6_prefix"} & rules().to_wire()["jails"][0].keys()
    assert rules(**WIDE).to_wire()["jails"][0]["ipv6_prefix"] == 64
    assert rules(**WIDE).version != rules().version


@given(
    st.lists(st.tuples(st.integers(0, 30 * 60), st.integers(0, 3), st.integers(0, 3)), max_size=60),
    st.sampled_from([48, 56, 62, 64, 96, 126, 128]),
    st.integers(1, 5),
    st.integers(1, 9),
    st.integers(0, 60),
)
def test_it_bans_as_a_plain_oracle_that_is_told_networks(
    failures: list[tuple[int, int, int]], length: int, maxretry: int, frame: int, cut: int
) -> None:
    """However the events are cut into frames, and saved and loaded anywhere between."""
    events = sorted(
        (failed(six(last + 1, net + 1), at_s) for at_s, net, last in failures), key=lambda each: each[1]
    )
    some = rules(ipv6_prefix=length, maxretry=maxretry)
    masked = [
        (kind, at_ms, str(ip_network(f"{ip}/{length}", strict=False)).removesuffix("/128"))
        for kind, at_ms, ip in events
    ]
    jail = some.jails[0]
    expected = Oracle(maxretry, jail.findtime_ms, jail.bantime_ms or 0).bans(masked)
    decider = Decider(some, tracking=True)
    decisions = fold(decider, events[:cut], frame=frame)
    decisions += fold(restarted(decider), events[cut:], frame=frame)
    assert [(ban.prefix, ban.at_ms) for ban in decisions if isinstance(ban, Ban)] == expected
    assert {partition_of(ban[0], 8) for ban in expected} <= {partition_of(six(1), 8)}
    assert all(at_ms >= T0 for _, at_ms in expected)
