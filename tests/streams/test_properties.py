"""What holds for the decider whatever the events: order, repetition, interruption, company."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.contract import Append, Message
from eventlog.memory import MemoryLog
from schemas.codec import encode, encode_frame
from schemas.records import RulesChanged
from schemas.topics import COMMANDS, EVENTS, STATE
from streams.decider import Decider
from streams.partition import Partition
from tests.streams.folding import MINUTE, T0, Oracle, bans, failed, failure, fold, rules

ADDRESSES = [f"192.0.2.{last}" for last in range(1, 5)] + ["2001:db8::1", "2001:db8::2"]
EVENTS_OF_SOME = st.lists(
    st.tuples(
        st.sampled_from(["failed", "failed", "failed", "probed", "succeeded"]),
        st.integers(T0, T0 + 120 * MINUTE),
        st.sampled_from(ADDRESSES),
    ),
    max_size=120,
)
SOME_RULES = st.builds(
    rules,
    maxretry=st.integers(1, 5),
    findtime_ms=st.integers(1, 40 * MINUTE),
    bantime_ms=st.integers(1, 40 * MINUTE),
)


@given(EVENTS_OF_SOME, SOME_RULES)
def test_in_order_the_decider_agrees_with_the_plain_oracle(
    events: list[tuple[str, int, str]], some: object
) -> None:
    """Events in order of time give exactly the bans that counting with plain lists gives."""
    decider = Decider(some)  # type: ignore[arg-type]
    jail = decider.jails["sshd"].rules
    events.sort(key=lambda each: each[1])
    assert jail.bantime_ms is not None
    oracle = Oracle(jail.maxretry, jail.findtime_ms, jail.bantime_ms)
    expected = [(ip, (at_ms - T0) // 1_000) for ip, at_ms in oracle.bans(events)]
    assert [each[:2] for each in bans(fold(decider, events))] == expected


@given(EVENTS_OF_SOME, SOME_RULES, st.integers(1, 50), st.integers(1, 50))
def test_the_size_of_frames_changes_no_decision(
    events: list[tuple[str, int, str]], some: object, one: int, other: int
) -> None:
    """However events are cut into frames: same whom, when, until, in the same order."""
    decided = [fold(Decider(some), events, frame=size) for size in (one, other)]  # type: ignore[arg-type]
    facts = [[(each.TYPE, each.prefix, each.at_ms) for each in each_way] for each_way in decided]
    assert facts[0] == facts[1]


@given(EVENTS_OF_SOME, SOME_RULES, st.randoms(use_true_random=False))
def test_whom_it_bans_does_not_depend_on_the_order_of_arrival(
    events: list[tuple[str, int, str]], some: object, chance: random.Random
) -> None:
    """Within the lateness, shuffled arrivals ban the same addresses."""
    within = [each for each in events if each[1] <= T0 + 60 * MINUTE]
    shuffled = within[:]
    chance.shuffle(shuffled)
    whom = [{each[0] for each in bans(fold(Decider(some), part))} for part in (sorted(within), shuffled)]  # type: ignore[arg-type]
    assert whom[0] == whom[1]


@given(EVENTS_OF_SOME, SOME_RULES)
def test_other_subjects_events_change_nothing(events: list[tuple[str, int, str]], some: object) -> None:
    """What one address gets is what it would get alone."""
    together = bans(fold(Decider(some), sorted(events)))  # type: ignore[arg-type]
    for ip in ADDRESSES:
        alone = bans(fold(Decider(some), sorted(each for each in events if each[2] == ip)))  # type: ignore[arg-type]
        assert [each for each in together if each[0] == ip] == alone


@given(EVENTS_OF_SOME, st.integers(1, 5))
def test_an_ignored_address_is_never_banned_whatever_happens(
    events: list[tuple[str, int, str]], maxretry: int
) -> None:
    """No event of anybody bans an address inside an ignored prefix."""
    decider = Decider(rules(maxretry=maxretry, ignoreip=("192.0.2.0/30", "2001:db8::2")))
    whom = {each[0] for each in bans(fold(decider, events))}
    assert not whom & {"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::2"}


def message(offset: int, events: list[tuple[str, int, str]], position: int) -> Message:
    """A message of the events topic holding these, at ascending positions of one source."""
    frame = encode_frame(
        failure(ip, at_ms, position + index, kind=kind) for index, (kind, at_ms, ip) in enumerate(events)
    )
    return Message(0, offset, None, frame, T0 + 120 * MINUTE)


def fresh(log: MemoryLog, some: object) -> Partition:
    """A partition governed by some rules, its first command."""
    partition = Partition.load(log)
    wire = some.to_wire()  # type: ignore[attr-defined]
    log.append([Append(COMMANDS.name, encode(RulesChanged(version="v", at_ms=T0, rules=wire)))])
    partition.obey(COMMANDS.name, log.read(COMMANDS.name, 0, 0))
    assert partition.decider.rules == some
    return partition


@settings(deadline=None)
@given(EVENTS_OF_SOME, SOME_RULES, st.integers(0, 120))
def test_save_and_load_in_the_middle_changes_nothing(
    events: list[tuple[str, int, str]], some: object, cut: int
) -> None:
    """Fold half, save, load, fold the rest: the same appends, byte for byte, as folding all."""
    halves = [message(0, events[:cut], 0), message(1, events[cut:], cut)] if events[cut:] else []
    whole = fresh(MemoryLog(now_ms=lambda: T0), some)
    expected = [whole.decide([each]) for each in halves]

    log = MemoryLog(now_ms=lambda: T0)
    log.append([Append(EVENTS.name, each.value) for each in halves])
    first = fresh(log, some)
    got = [first.decide(halves[:1])] if halves else []
    log.writer("decider").commit(first.checkpoint(), {})
    second = Partition.load(log)
    got += [second.decide(halves[1:])] if halves else []
    assert got == expected


@given(EVENTS_OF_SOME, SOME_RULES)
def test_a_redelivered_frame_yields_nothing(events: list[tuple[str, int, str]], some: object) -> None:
    """The same events again, at a later offset, are dropped by their source's high-water mark."""
    partition = fresh(MemoryLog(now_ms=lambda: T0), some)
    if events:
        partition.decide([message(1, events, 0)])
        assert partition.decide([message(2, events, 0)]) == []
        assert partition.fold.witness.sent_again.total() == len(events)


def test_a_saved_state_is_written_by_bucket_and_only_where_it_changed() -> None:
    """After one more failure a checkpoint writes that address's bucket and the whole, nothing else."""
    log = MemoryLog(now_ms=lambda: T0)
    partition = fresh(log, rules())
    partition.decide([message(1, [failed(ip, 0) for ip in ADDRESSES], 0)])
    assert len(partition.checkpoint()) == len(ADDRESSES) + 1
    partition.decide([message(2, [failed(ADDRESSES[0], 1)], 100)])
    written = partition.checkpoint()
    assert [type(each) for each in written] == [Append, Append]
    assert {each.topic for each in written} == {STATE.name}
    assert EVENTS.name not in {each.topic for each in written}
