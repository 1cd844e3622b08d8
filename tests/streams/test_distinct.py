"""Jails that count how many different users, addresses or ports there were, and not how often it failed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidMessage
from schemas.records import Ban, Decision
from schemas.rules import Rules
from streams.decider import Decider
from streams.runs import Columns, Run
from streams.window import reference
from tests.streams.folding import ALICE, BOB, MINUTE, SECOND, T0, bans, failed, restarted, rules
from tests.streams.folding import fold as fold_plain
from tests.streams.test_networks import command

Attempt = tuple[float, str, str | None, int | None]
"""When in seconds after T0, from where, as whom, and from which port."""


def fold(decider: Decider, attempts: list[Attempt], *, first: int = 0, frame: int = 7) -> list[Decision]:
    """Fold failed attempts in frames from an offset on; the decisions."""
    decisions: list[Decision] = []
    for offset, start in enumerate(range(0, len(attempts), frame), first):
        part = attempts[start : start + frame]
        rows = Columns(
            ["failed"] * len(part),
            [T0 + int(at_s * SECOND) for at_s, *_ in part],
            [ip for _, ip, _, _ in part],
            range(len(part)),
            ([user for *_, user, _ in part], [port for *_, port in part]),
        )
        decisions += decider.fold(Run(reference(offset), "sshd", rows), lambda index: f"line {index}")
    return decisions


def tried(at_s: float, user: str | None, ip: str = ALICE, port: int | None = 1) -> Attempt:
    """A failed attempt."""
    return at_s, ip, user, port


def test_different_users_ban_and_the_same_one_again_does_not() -> None:
    """The newest failure of each is the evidence, and the ban says what was counted."""
    decider = Decider(rules(distinct="user"))
    assert fold(decider, [tried(at_s, "root") for at_s in range(9)]) == []
    (ban,) = fold(decider, [tried(20, "ann"), tried(21, "root"), tried(22, "bob")], first=2)
    assert isinstance(ban, Ban)
    assert (ban.count, ban.counted, ban.evidence) == (3, "different users", ("0-2-0", "0-2-1", "0-2-2"))


def test_they_count_within_findtime_and_for_each_address_alone() -> None:
    """Users of others, users of long ago and attempts without one are none."""
    decider = Decider(rules(distinct="user"))
    apart = [tried(at_s * 400, name) for at_s, name in enumerate("abcdef")]
    both = [tried(4_000 + nth, f"{nth}", ip) for nth in range(2) for ip in (ALICE, BOB)]
    nameless = [tried(4_010 + nth, None) for nth in range(5)]
    assert fold(decider, apart + both + nameless) == []
    assert bans(fold(decider, [tried(4_020, "c", BOB)], first=9)) == [(BOB, 4_020, 5_220)]


@pytest.mark.parametrize(("distinct", "banned"), [("address", [4]), ("port", [3]), (None, [2, 5])])
def test_addresses_of_a_network_and_ports(distinct: str | None, banned: list[int]) -> None:
    """Whatever a jail asks for, in its own unit."""
    attempts = [
        tried(nth, "root", f"192.0.2.{host}", port)
        for nth, (host, port) in enumerate([(1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (3, 3)])
    ]
    decisions = fold(Decider(rules(distinct=distinct, ipv4_prefix=24, bantime_ms=SECOND)), attempts)
    assert [at_s for _, at_s, _ in bans(decisions)] == banned


def test_a_word_about_an_address_reaches_it() -> None:
    """Forgive forgets its users; who is banned is counted apart."""
    decider = Decider(rules(distinct="user"))
    fold(decider, [tried(0, "a"), tried(1, "b")])
    command(decider, "forgive", ALICE)
    assert fold(decider, [tried(2, "c"), tried(3, "d")], first=5) == []
    assert len(fold(decider, [tried(4, "e"), tried(5, "f")], first=7)) == 1
    held = decider.jails["sshd"].held_by(ALICE)
    assert held is not None
    assert held.while_banned == 1
    assert decider.jails["sshd"].failing == 0


def test_other_rules_keep_the_bans() -> None:
    """Failures of before have no user that is known, so it begins anew; a plain jail goes on with them."""
    decider = Decider(rules())
    fold_plain(decider, [failed(ALICE, 0), failed(ALICE, 1)])
    decider.adopt(rules(distinct="user"))
    assert fold(decider, [tried(2, "a"), tried(3, "b")], first=9) == []
    decider.adopt(rules(distinct="port"))
    assert fold(decider, [tried(4, "c", port=1), tried(5, "d", port=2)], first=19) == []
    decider.adopt(rules())
    assert bans(fold(decider, [tried(6, "x")], first=29)) == [(ALICE, 6, 1_206)]


def test_what_is_left_of_a_ban_that_was_over_is_nobody_elses() -> None:
    """Late attempts decide a ban that has ended; one user's attempts after it are still one user's."""
    decider = Decider(rules(distinct="user", bantime_ms=SECOND, findtime_ms=5 * SECOND, maxretry=2))
    late = [tried(500, "z", BOB), tried(100, "y"), tried(3, "a"), tried(0, "b")]
    assert [each[:2] for each in bans(fold(decider, late))] == [(ALICE, 3)]
    assert fold(decider, [tried(102, "y")], first=9) == []


@pytest.mark.parametrize("fields", [{"prolong": True}, {"window": "fail2ban"}, {"on": "bans", "filters": ()}])
def test_it_goes_with_nothing_that_counts_failures(fields: dict[str, Any]) -> None:
    """Rules that say both are refused, whoever wrote them."""
    with pytest.raises(InvalidMessage, match="different ones"):
        Rules.from_wire(rules(distinct="user", **fields).to_wire())
    assert Rules.from_wire(rules(distinct="user").to_wire()).jails[0].distinct == "user"


@given(
    st.lists(
        st.tuples(st.integers(0, 3_000), st.sampled_from([ALICE, BOB]), st.sampled_from([None, *"abcdefgh"])),
        max_size=80,
    ),
    st.integers(1, 5),
    st.integers(1, 9),
    st.integers(0, 80),
)
def test_it_bans_as_a_plain_oracle(
    failures: list[tuple[int, str, str | None]], maxretry: int, frame: int, cut: int
) -> None:
    """In order of time, however the events are cut, saved and loaded between."""
    attempts = [tried(at_s, user, ip) for at_s, ip, user in sorted(failures, key=lambda each: each[0])]
    decider = Decider(rules(distinct="user", maxretry=maxretry, bantime_ms=5 * MINUTE), tracking=True)
    decisions = fold(decider, attempts[:cut], frame=frame)
    decisions += fold(restarted(decider), attempts[cut:], first=100, frame=frame)
    assert [each[:2] for each in bans(decisions)] == oracle(attempts, maxretry)


def oracle(attempts: list[Attempt], maxretry: int) -> list[tuple[str, int]]:
    """Whom the jail has to ban, and when, counted the plain way."""
    banned: list[tuple[str, int]] = []
    free_s: dict[str, float] = {}
    seen: dict[str, list[tuple[float, str]]] = {}
    for at_s, ip, user, _ in attempts:
        if user is None or at_s < free_s.get(ip, 0):
            continue
        mine = seen.setdefault(ip, [])
        mine.append((at_s, user))
        if len({name for each_s, name in mine if at_s - each_s <= 600}) >= maxretry:
            banned.append((ip, int(at_s)))
            free_s[ip] = at_s + 300
            mine.clear()
    return banned
