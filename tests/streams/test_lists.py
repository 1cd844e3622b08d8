"""Lists in the decider: whom they keep from being counted, and when they come into force."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.contract import Append, Message
from eventlog.memory import MemoryLog
from schemas.codec import encode, encode_frame
from schemas.errors import InvalidMessage, LogError
from schemas.lists import parts_of
from schemas.records import Ban, Command, Decision, ListChanged, RulesChanged, Unban, Verb
from schemas.rules import SELF, Jail, Rules
from schemas.topics import COMMANDS, DEADLETTERS, DECISIONS, EVENTS
from streams import lists
from streams.decider import Decider
from streams.partition import Partition
from tests.streams.folding import ALICE, BOB, MINUTE, SIX, T0, bans, failed, failure, fold, rules, unbans

OFFICE = "office"


def listed(*prefixes: str, name: str = OFFICE, at_ms: int = T0) -> ListChanged:
    """A list of few prefixes, in its one part."""
    (part,) = parts_of(name, sorted(prefixes), at_ms)
    return part


def in_two(*prefixes: str, name: str = OFFICE) -> tuple[ListChanged, ListChanged]:
    """A list in two parts."""
    whole = listed(*prefixes, name=name)
    return (
        replace(whole, parts=2, prefixes=whole.prefixes[:1]),
        replace(whole, parts=2, part=1, prefixes=whole.prefixes[1:]),
    )


def change(decider: Decider, part: ListChanged, place: int = 1 << 30) -> list[Decision]:
    """Take a part of a list; the decisions."""
    return decider.apply(place, part)


def naming(**jail: object) -> Decider:
    """A decider whose jail names the list OFFICE."""
    return Decider(rules(lists=(OFFICE,), **jail), tracking=True)


def banned(decider: Decider, *ips: str) -> set[str]:
    """Whom three failures each ban."""
    return {each[0] for each in bans(fold(decider, [failed(ip, at) for ip in ips for at in (0, 1, 2)]))}


def test_a_list_keeps_its_prefixes_from_being_counted() -> None:
    """From the record on that brings its last part: addresses, networks, of both families."""
    decider = naming()
    change(decider, listed(ALICE, "2001:db8::/32"))
    assert banned(decider, ALICE, BOB, SIX) == {BOB}
    assert decider.jails["sshd"].counts()["ignored"] == 6


@pytest.mark.parametrize(
    ("jail", "spared"),
    [({}, False), ({"lists": (OFFICE,)}, True), ({"lists": ("other",)}, False)],
    ids=["names none", "names it", "names another"],
)
def test_a_list_counts_for_the_jails_that_name_it(jail: dict[str, Any], *, spared: bool) -> None:
    """And for no other."""
    decider = Decider(rules(**jail))
    change(decider, listed(ALICE))
    assert (banned(decider, ALICE) == set()) == spared


@pytest.mark.parametrize("ignoreself", [True, False])
def test_own_addresses_are_a_list_that_every_jail_names_unless_it_says_otherwise(*, ignoreself: bool) -> None:
    """`ignoreself`: fail2ban's word and default."""
    decider = Decider(rules(ignoreself=ignoreself))
    change(decider, listed(ALICE, name=SELF))
    assert (banned(decider, ALICE) == set()) == ignoreself


def test_rules_that_say_nothing_new_have_the_version_they_had() -> None:
    """A jail that names no list is written as before there were any."""
    wire = Rules(jails=(Jail(name="sshd", filters=("sshd",)),)).to_wire()
    assert {"lists", "ignoreself"}.isdisjoint(wire["jails"][0])
    assert Rules.from_wire(wire).jails[0].spared_by == (SELF,)


def test_whom_a_list_newly_holds_is_let_go() -> None:
    """Failures are forgotten, bans end with a word; of others, and of whom it held, nothing changes."""
    decider = naming()
    change(decider, listed("192.0.2.200"))
    fold(decider, [*(failed(ALICE, at) for at in (0, 1, 2)), failed(BOB, 3), failed(SIX, 3)])
    ended = change(decider, listed(ALICE, BOB, "192.0.2.200", at_ms=T0 + 5_000))
    assert unbans(ended) == [(ALICE, 5, "allowed")]
    assert isinstance(ended[0], Unban)
    assert ended[0].why == "in the list office"
    assert set(decider.jails["sshd"].subjects) == {SIX}
    assert {ALICE, BOB} <= decider.touched


def test_a_jail_that_estimates_forgets_whom_a_list_holds() -> None:
    """His failures so far are no part of the next ban."""
    decider = naming(window="fail2ban")
    fold(decider, [failed(ALICE, 0), failed(ALICE, 1)])
    change(decider, listed(ALICE))
    assert decider.jails["sshd"].failures_of(ALICE) == []
    change(decider, listed())
    assert bans(fold(decider, [failed(ALICE, 2), failed(ALICE, 3)])) == []


def test_a_network_is_let_go_with_whom_a_list_holds_in_it() -> None:
    """And from then on it is counted by its addresses: no ban may reach him."""
    decider = naming(ipv6_prefix=64)
    whom = [failed(f"2001:db8::{host:x}", host) for host in range(1, 4)]
    assert [each[0] for each in bans(fold(decider, whom))] == ["2001:db8::/64"]
    assert [each[0] for each in unbans(change(decider, listed("2001:db8::7", at_ms=T0 + 9_000)))] == [
        "2001:db8::/64"
    ]
    again = [failed(f"2001:db8::{host:x}", 20 + host) for host in range(1, 9)]
    assert bans(fold(decider, again)) == []


def test_an_operators_ban_of_somebody_in_a_list_outlives_the_lists_next_version() -> None:
    """A list ends bans of whom it newly holds alone."""
    decider = naming()
    change(decider, listed(ALICE))
    order = Command(id="1", verb="ban", at_ms=T0, who="ann", prefix=ALICE, jail="sshd")
    assert [type(each) for each in decider.apply(2 << 30, order)] == [Ban]
    assert change(decider, listed(ALICE, BOB)) == []


def test_rules_that_name_a_list_let_go_whom_it_holds() -> None:
    """The list was there before."""
    decider = Decider(rules())
    change(decider, listed(ALICE))
    assert banned(decider, ALICE) == {ALICE}
    assert [each[::2] for each in unbans(decider.apply(5 << 30, rules(lists=(OFFICE,))))] == [
        (ALICE, "allowed")
    ]


def test_a_list_comes_into_force_whole_or_not_at_all() -> None:
    """While parts are missing the list of before holds."""
    decider = naming()
    change(decider, listed(BOB))
    first, last = in_two(ALICE, SIX)
    change(decider, first)
    assert banned(decider, ALICE, BOB) == {ALICE}
    change(decider, last)
    assert banned(decider, SIX, BOB) == {BOB}


@pytest.mark.parametrize(
    "parts",
    [
        in_two(ALICE, BOB)[1:],
        [in_two(ALICE, BOB)[0], in_two(ALICE, SIX)[1]],
        [replace(listed(ALICE), digest=listed(BOB).digest)],
        [in_two(ALICE, BOB)[0], replace(in_two(ALICE, BOB)[1], parts=3, part=2)],
        [*in_two(ALICE, BOB)[:1] * 2, listed(SIX), in_two(ALICE, BOB)[1]],
    ],
    ids=["no first part", "of another list", "another digest", "another count", "begun anew by another"],
)
def test_parts_that_do_not_belong_together_are_refused(parts: list[ListChanged]) -> None:
    """With a reason, and the list in force stays."""
    decider = naming()
    with pytest.raises(InvalidMessage, match="list office: "):
        list(map(decider.lists.take, parts))
    assert not any(ALICE in each for each in decider.lists.tables([OFFICE]))


def test_a_list_of_none_is_gone() -> None:
    """It takes no room, here and in the state."""
    decider = naming()
    change(decider, listed(ALICE))
    change(decider, listed())
    assert not decider.lists.in_force
    assert {value for _, value in decider.lists.unsaved()} == {b""}
    assert banned(decider, ALICE) == {ALICE}


def test_lists_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In number, and in what they hold together; a list that begins and never ends gives way."""
    monkeypatch.setattr(lists, "MOST_LISTS", 2)
    monkeypatch.setattr(lists, "MOST_HELD", 3)
    monkeypatch.setattr(lists, "MOST_COMING", 1)
    held = lists.Lists()
    assert held.take(listed(ALICE, name="a"))
    assert held.take(listed(BOB, name="b"))
    with pytest.raises(InvalidMessage, match="2 lists"):
        held.take(listed(SIX, name="c"))
    with pytest.raises(InvalidMessage, match="3 prefixes at most"):
        held.take(listed(ALICE, BOB, SIX, name="a"))
    assert held.in_force["a"].digest == listed(ALICE, name="a").digest
    held.take(in_two(ALICE, SIX, name="a")[0])
    held.take(in_two(BOB, SIX, name="b")[0])
    with pytest.raises(InvalidMessage, match="does not follow"):
        held.take(in_two(ALICE, SIX, name="a")[1])


def test_a_checkpoint_writes_a_part_once_and_takes_it_back() -> None:
    """Under a key of its own, and an empty value for it once another list is in force."""
    log = MemoryLog(now_ms=lambda: T0)
    partition = Partition.load(log)
    order(log, partition, RulesChanged(version="v", at_ms=T0, rules=rules(lists=(OFFICE,)).to_wire()))
    order(log, partition, listed(ALICE))
    key = lists.key_of(OFFICE, listed(ALICE).digest, 0)
    assert [each.key for each in partition.checkpoint()] == [key, "decider"]
    order(log, partition, listed(BOB))
    assert {each.key: bool(each.value) for each in partition.checkpoint()} == {
        key: False,
        lists.key_of(OFFICE, listed(BOB).digest, 0): True,
        "decider": True,
    }


def test_a_state_that_lacks_a_part_is_not_taken() -> None:
    """LogError: who decides by half a list bans whom he must not."""
    log = MemoryLog(now_ms=lambda: T0)
    partition = Partition.load(log)
    order(log, partition, listed(ALICE))
    kept = [each for each in partition.checkpoint() if each.key == "decider"]
    log.writer("decider").commit(kept, {})
    with pytest.raises(LogError, match="lacks part 0 of the list office"):
        Partition.load(log)


def order(log: MemoryLog, partition: Partition, record: RulesChanged | ListChanged | Command) -> list[Append]:
    """Append to the commands, and fold; what follows."""
    (offset,) = log.append([Append(COMMANDS.name, encode(record))])
    return partition.obey(COMMANDS.name, log.read(COMMANDS.name, 0, offset))


def test_a_part_that_is_refused_is_in_the_dead_letters() -> None:
    """Where it stood, and why; what comes after it counts."""
    log = MemoryLog(now_ms=lambda: T0)
    partition = Partition.load(log)
    (letter,) = order(log, partition, in_two(ALICE, BOB)[1])
    assert letter.topic == DEADLETTERS.name
    assert b"does not follow what came before" in letter.value
    order(log, partition, listed(ALICE))
    assert OFFICE in partition.decider.lists.in_force


POOL = ("192.0.2.1", "192.0.2.2", "192.0.2.129", "198.51.100.7", "2001:db8::1", "2001:db8:0:1::1")
NETWORKS = (*POOL, "192.0.2.0/25", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/64", "2001:db8::/32")
NAMES = ("a", "b", SELF)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fail"), st.sampled_from(POOL)),
        st.tuples(st.just("list"), st.sampled_from(NAMES), st.sets(st.sampled_from(NETWORKS), max_size=4)),
        st.tuples(
            st.just("half"),
            st.sampled_from(NAMES),
            st.sets(st.sampled_from(NETWORKS), min_size=2, max_size=4),
        ),
        st.tuples(st.just("rest"), st.sampled_from(NAMES)),
        st.tuples(st.sampled_from(["allow", "disallow", "unban"]), st.sampled_from(NETWORKS)),
        st.tuples(st.just("rules"), st.sets(st.sampled_from(NAMES[:2])), st.booleans()),
        st.tuples(st.just("save")),
    ),
    max_size=40,
)


@dataclass
class Naive:
    """Who is banned, told the plain way: every failure bans for ever, unless somebody spares the address."""

    lists: dict[str, set[str]] = field(default_factory=dict)
    halves: dict[str, set[str]] = field(default_factory=dict)
    allowed: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=lambda: {SELF})
    banned: set[str] = field(default_factory=set)

    def take(self, what: str, *facts: Any) -> None:  # noqa: C901 - a case for each kind of step
        """Do one step."""
        match what, *facts:
            case "fail", ip:
                spared = self.allowed.union(*(self.lists.get(name, set()) for name in self.names))
                if not holds(spared, ip):
                    self.banned.add(ip)
            case "list", name, prefixes:
                self.halves.pop(name, None)
                self.put(name, prefixes)
            case "half", name, prefixes:
                if self.lists.get(name) != prefixes:
                    self.halves[name] = prefixes
            case "rest", name:
                if name in self.halves:
                    self.put(name, self.halves.pop(name))
            case "allow", prefix:
                self.allowed.add(prefix)
                self.banned -= {ip for ip in self.banned if holds({prefix}, ip)}
            case "disallow", prefix:
                self.allowed.discard(prefix)
            case "unban", prefix:
                self.banned -= {ip for ip in self.banned if holds({prefix}, ip)}
            case "rules", names, ignoreself:
                wanted = set(names) | ({SELF} if ignoreself else set())
                for name in wanted - self.names:
                    self.banned -= {ip for ip in self.banned if holds(self.lists.get(name, set()), ip)}
                self.names = wanted

    def put(self, name: str, prefixes: set[str]) -> None:
        """A list is in force."""
        old, self.lists[name] = self.lists.get(name, set()), set(prefixes)
        if name in self.names:
            self.banned -= {ip for ip in self.banned if holds(prefixes, ip) and not holds(old, ip)}


def holds(prefixes: set[str], ip: str) -> bool:
    """Whether one of these networks holds an address."""
    return any(ip_address(ip) in ip_network(each) for each in prefixes)


class Real:
    """The same through a partition on a log, with its state saved and loaded at times."""

    def __init__(self) -> None:
        self.log = MemoryLog(now_ms=lambda: T0 + 10 * MINUTE)
        self.partition = Partition.load(self.log)
        self.writer = self.log.writer("decider")
        self.halves: dict[str, ListChanged] = {}
        self.position = 0
        self.take("rules", set(), "ignoreself")

    def take(self, what: str, *facts: Any) -> None:  # noqa: C901 - a case for each kind of step
        """Do one step, and commit what follows."""
        match what, *facts:
            case "fail", ip:
                self.position += 1
                value = encode_frame([failure(ip, T0 + self.position, self.position)])
                (offset,) = self.log.append([Append(EVENTS.name, value)])
                self.commit(self.partition.decide(self.log.read(EVENTS.name, 0, offset)))
            case "list", name, prefixes:
                self.halves.pop(name, None)
                self.order(listed(*prefixes, name=name))
            case "half", name, prefixes:
                first, self.halves[name] = in_two(*prefixes, name=name)
                self.order(first)
            case "rest", name:
                if name in self.halves:
                    self.order(self.halves.pop(name))
            case "rules", names, ignoreself:
                wanted = rules(
                    maxretry=1, bantime_ms=None, lists=tuple(sorted(names)), ignoreself=bool(ignoreself)
                )
                self.order(RulesChanged(version=wanted.version, at_ms=T0, rules=wanted.to_wire()))
            case ("save",):
                self.commit(self.partition.checkpoint())
                self.partition = Partition.load(self.log)
            case verb, prefix:
                self.order(Command(id="c", verb=cast("Verb", verb), at_ms=T0, who="ann", prefix=prefix))

    def order(self, record: RulesChanged | ListChanged | Command) -> None:
        """Append to the commands, fold, and commit."""
        (offset,) = self.log.append([Append(COMMANDS.name, encode(record))])
        self.commit(self.partition.obey(COMMANDS.name, self.log.read(COMMANDS.name, 0, offset)))

    def commit(self, appends: list[Append]) -> None:
        """As a host does."""
        told = [*self.partition.tell(), *appends]
        offsets = self.writer.commit(told, self.partition.position())
        for append, offset in zip(told, offsets, strict=True):
            if append.topic == DECISIONS.name:
                self.partition.told(offset)

    def banned(self) -> set[str]:
        """Who is banned."""
        return {prefix for prefix, _ in self.partition.decider.jails["sshd"].held()}


@settings(deadline=None)
@given(STEPS)
def test_whom_lists_spare_is_what_a_naive_model_says(steps: list[tuple[Any, ...]]) -> None:
    """Whatever lists, halves of lists, rules, words of operators, failures and restarts follow each other.

    And who folds all of it again from the log alone has the same.
    """
    naive, real = Naive(), Real()
    for step in steps:
        naive.take(*step)
        real.take(*step)
        assert real.banned() == naive.banned, step
    again = Partition.load(real.log)
    assert {prefix for prefix, _ in again.decider.jails["sshd"].held()} == naive.banned


def test_messages_are_of_a_partition() -> None:
    """A message of the commands with several lists in one frame is taken in order."""
    partition = Partition.load(MemoryLog(now_ms=lambda: T0))
    frame = encode_frame([listed(ALICE), listed(BOB)])
    partition.obey(COMMANDS.name, [Message(0, 0, None, frame, T0)])
    assert [ip in partition.decider.lists.tables([OFFICE])[0] for ip in (ALICE, BOB)] == [False, True]
