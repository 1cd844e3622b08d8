"""Keeping lists in a firewall: whatever comes, what it holds in the end is what the log says. Pure parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcers.contract import Changed, Side
from enforcers.list_keeping import ListKeeping
from enforcers.listed import NOBODY, ListsInForce
from enforcers.null import NullBackend
from eventlog.contract import Append
from eventlog.memory import MemoryLog
from schemas.addresses import format_prefix
from schemas.codec import encode
from schemas.errors import EnforcementFailed
from schemas.lists import PrefixTable, parts_of, too_much
from schemas.prefixes import network_of_number
from schemas.records import Command, RulesChanged
from schemas.rules import Jail, Rules
from schemas.topics import COMMANDS

Key = tuple[int, int]


class Sets(NullBackend):
    """A firewall that holds lists in memory."""

    def __init__(self, holder: Holder) -> None:
        super().__init__()
        self._holder = holder

    def lists(self) -> Holder:
        """What holds them."""
        return self._holder


class Holder:
    """Holds lists in memory; it fails when it is told to."""

    chunk = 3

    def __init__(self) -> None:
        self.in_force: tuple[str, set[tuple[Side, Key, int]]] = ("", set())
        self.coming: set[tuple[Side, Key, int]] | None = None
        self.calls = self.fails_at = 0

    def holds(self, digest: str, keys: Iterable[tuple[Side, Key]]) -> bool:
        """By the digest."""
        self._called()
        return self.in_force[0] == digest and {each[:2] for each in self.in_force[1]} <= set(keys)

    def begin(self) -> None:
        """Beside it."""
        self._called()
        self.coming = set()

    def unmark(self, digest: str) -> None:
        """Its digest is gone."""
        self._called()
        assert self.in_force[0] == digest
        self.in_force = "", self.in_force[1]
        self.coming = None

    def add(self, side: Side, key: Key, heads: Sequence[int]) -> None:
        """To what is coming, or in force."""
        self._called()
        assert len(heads) <= self.chunk
        self._now().update((side, key, head) for head in heads)

    def remove(self, side: Side, key: Key, heads: Sequence[int]) -> None:
        """As a firewall: what is not there is a failure."""
        self._called()
        gone = {(side, key, head) for head in heads}
        assert gone <= self._now()
        self._now().difference_update(gone)

    def finish(self, digest: str) -> None:
        """In force."""
        self._called()
        self.in_force = digest, set(self._now())
        self.coming = None

    def drop(self) -> None:
        """Nothing."""
        self._called()
        self.in_force, self.coming = ("", set()), None

    def changed(self) -> Changed:
        """Never."""
        return "no"

    def held(self, side: Side) -> set[str]:
        """What is in force, as prefixes."""
        return {
            format_prefix(network_of_number(key[0], head << (32 if key[0] == 4 else 128) - key[1], key[1]))
            for where, key, head in self.in_force[1]
            if where == side
        }

    def _now(self) -> set[tuple[Side, Key, int]]:
        return self.in_force[1] if self.coming is None else self.coming

    def _called(self) -> None:
        self.calls += 1
        if self.calls == self.fails_at:
            raise EnforcementFailed("told to")


prefixes = st.one_of(
    st.tuples(st.integers(0, 7), st.integers(29, 32)).map(
        lambda each: format_prefix(ip_network((0xCB007100 | each[0], each[1]), strict=False))
    ),
    st.integers(1, 4).map(lambda last: f"2001:db8::{last:x}"),
)
lists = st.dictionaries(
    st.sampled_from(["ban:a", "ban:b", "list:c", "list:d"]), st.sets(prefixes, max_size=9)
)


def tell(log: MemoryLog, name: str, listed: Iterable[str], at_ms: int) -> None:
    """Append a list."""
    log.append([Append(COMMANDS.name, encode(part)) for part in parts_of(name, sorted(listed), at_ms)])


def settled(keeping: ListKeeping, now_ms: int) -> None:
    """Let it do all that there is to do, and try again what failed."""
    for nth in range(40):
        while keeping.poll(frozenset(["203.0.113.6"]), now_ms + nth * 70_000):
            pass


@given(
    st.lists(lists, max_size=5), st.lists(st.integers(0, 25), min_size=5, max_size=5), st.lists(st.booleans())
)
def test_what_is_held_is_what_the_log_says(
    changes: list[dict[str, set[str]]], failing: list[int], restarts: list[bool]
) -> None:
    """The union of all lists of whom to ban, and of all that spares; through failures and restarts."""
    log, sets = MemoryLog(), Holder()
    rules = Rules(jails=(Jail(name="sshd", filters=("sshd",), lists=("list:c",), ignoreip=("203.0.113.7",)),))
    log.append([Append(COMMANDS.name, encode(RulesChanged(version="x", at_ms=0, rules=rules.to_wire())))])
    keeping = ListKeeping(log, Sets(sets), observing=False)
    held: dict[str, set[str]] = {}
    for nth, change in enumerate(changes):
        for name, listed in change.items():
            tell(log, name, listed, nth)
            held[name] = listed
        sets.fails_at = sets.calls + failing[nth] if failing[nth] else 0
        if nth < len(restarts) and restarts[nth]:
            keeping = ListKeeping(log, Sets(sets), observing=False)
        settled(keeping, nth)
        listed = held.get("ban:a", set()) | held.get("ban:b", set())
        assert sets.held("listed") == listed
        if listed:
            assert sets.held("spared") == {"203.0.113.6", "203.0.113.7"} | held.get("list:c", set())
        assert keeping.status().settled
        assert keeping.status().prefixes == len(listed)


def test_a_change_costs_what_has_changed_and_a_restart_nothing() -> None:
    """One address more of a hundred is one call; who is held already is only looked at."""
    log, sets = MemoryLog(), Holder()
    tell(log, "ban:a", {f"203.0.113.{last}" for last in range(100, 200)}, 0)
    settled(ListKeeping(log, Sets(sets), observing=False), 0)
    before = sets.calls
    keeping = ListKeeping(log, Sets(sets), observing=False)
    settled(keeping, 0)
    assert sets.calls == before + 1
    tell(log, "ban:a", {f"203.0.113.{last}" for last in range(100, 201)}, 1)
    settled(keeping, 1)
    assert sets.calls == before + 4, "unmark, add, finish"


def test_an_operators_allow_ends_by_itself() -> None:
    """Whom it holds passes until then."""
    log, sets = MemoryLog(), Holder()
    tell(log, "ban:a", ["203.0.113.0/24"], 0)
    word = Command(
        id="1", verb="allow", at_ms=0, who="root", why="", prefix="203.0.113.9", duration_ms=10_000
    )
    log.append([Append(COMMANDS.name, encode(word))])
    keeping = ListKeeping(log, Sets(sets), observing=False)
    never = frozenset(["203.0.113.1"])
    while keeping.poll(never, 5_000):
        pass
    assert sets.held("spared") == {"203.0.113.1", "203.0.113.9"}
    while keeping.poll(never, 10_000):
        pass
    assert sets.held("spared") == {"203.0.113.1"}


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        (["0.0.0.0/0"], "a list bans nothing wider than a /8"),
        (["10.0.0.0/7"], "a list bans nothing wider than a /8"),
        (["2000::/15"], "a list bans nothing wider than a /16"),
        ([f"{nth}.0.0.0/8" for nth in range(33)], "it holds more than a /3 of all IPv4 addresses"),
        ([f"{nth:x}::/16" for nth in range(0x2000, 0x2011)], "it holds more than a /12 of all IPv6"),
    ],
)
def test_a_list_that_bans_too_much_is_refused(listed: list[str], why: str) -> None:
    """Whoever wrote it; what was in force stays, and it is said."""
    log, sets = MemoryLog(), Holder()
    keeping = ListKeeping(log, Sets(sets), observing=False)
    tell(log, "ban:a", ["203.0.113.9"], 0)
    tell(log, "ban:a", listed, 1)
    settled(keeping, 0)
    assert sets.held("listed") == {"203.0.113.9"}
    (said,) = keeping.status().problems
    assert said.startswith("list a: refused: ")
    assert why in said
    assert too_much(PrefixTable([f"{nth}.0.0.0/8" for nth in range(32)])) is None


@pytest.mark.parametrize("torn", [[1], [0, 2], [1, 0], [0, 0, 1]])
def test_a_list_whose_parts_are_not_all_there_is_not_in_force(torn: list[int]) -> None:
    """Nor one with another's parts."""
    log = MemoryLog()
    parts = parts_of("ban:a", [f"10.{nth >> 8}.{nth & 255}.0/24" for nth in range(20_000)], 0)
    log.append([Append(COMMANDS.name, encode(parts[nth])) for nth in torn])
    lists_in_force = ListsInForce(log)
    lists_in_force.follow()
    assert lists_in_force.names() == []


def test_without_a_list_of_whom_to_ban_nothing_is_kept() -> None:
    """Lists that spare, however long, cost an enforcer nothing."""
    log = MemoryLog()
    tell(log, "list:c", [f"10.{nth >> 8}.{nth & 255}.0/24" for nth in range(20_000)], 0)
    lists_in_force = ListsInForce(log)
    assert not lists_in_force.follow()
    assert lists_in_force.targets(["203.0.113.1"], 0) == NOBODY
