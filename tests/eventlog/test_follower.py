"""Followers, on every log: each message once, sleep until more comes, keep a place if they have a name."""

from __future__ import annotations

import select
from concurrent.futures import ThreadPoolExecutor

import pytest

from eventlog.contract import Append
from eventlog.follower import Follower, Wakeup, located
from schemas.codec import MOST_LINES, encode
from schemas.errors import Fenced, LogError
from schemas.records import Tick
from schemas.topics import BANS, DECISIONS, ENFORCEMENTS, EVENTS
from tests.eventlog.subjects import Subject

PATIENCE_S = 30.0


def values(follower: Follower) -> list[tuple[str, int, bytes]]:
    """What it hands out next."""
    return sorted((topic, each.partition, each.value) for topic, each in follower.read())


def test_it_hands_out_every_message_of_its_topics_once(subject: Subject) -> None:
    """Of all partitions; what comes later comes later; other topics are not its own."""
    subject.log.append([Append(EVENTS.name, b"%d" % number, partition=number) for number in range(4)])
    subject.log.append([Append(BANS.name, b"b", "k"), Append(DECISIONS.name, b"d", partition=3)])
    follower = Follower(subject.log, (EVENTS, BANS))
    first = [(BANS.name, 0, b"b"), *((EVENTS.name, number, b"%d" % number) for number in range(4))]
    assert values(follower) == first
    assert values(follower) == []
    subject.put(EVENTS.name, partition=1, value=b"5")
    assert follower.wait(30_000)
    assert values(follower) == [(EVENTS.name, 1, b"5")]
    assert not follower.wait(20)


def test_one_that_starts_at_the_end_sees_what_comes_then(subject: Subject) -> None:
    """Nothing of before, all of later."""
    subject.put(EVENTS.name, partition=2)
    follower = Follower(subject.log, [EVENTS], start="end")
    assert values(follower) == []
    subject.put(EVENTS.name, partition=2, value=b"new")
    assert values(follower) == [(EVENTS.name, 2, b"new")]


def test_one_with_a_name_goes_on_where_it_committed(subject: Subject) -> None:
    """Its place and what it appends are one commit; what was read and not committed comes again."""
    subject.put(EVENTS.name, value=b"1")
    follower = Follower(subject.log, [EVENTS], name="mail")
    assert values(follower) == [(EVENTS.name, 0, b"1")]
    follower.commit([Append(ENFORCEMENTS.name, b"sent")])
    subject.put(EVENTS.name, value=b"2")
    assert values(follower) == [(EVENTS.name, 0, b"2")]
    follower.close()
    subject.reopen()
    again = Follower(subject.log, [EVENTS], name="mail", start="end")
    assert values(again) == [(EVENTS.name, 0, b"2")]
    assert [each.value for each in subject.read(ENFORCEMENTS.name)] == [b"sent"]
    again.close()


def test_of_two_of_one_name_the_newer_goes_on(subject: Subject) -> None:
    """The older writes nothing more."""
    old, new = (Follower(subject.log, [EVENTS], name="mail") for _ in range(2))
    old.commit()
    new.commit()
    subject.put(EVENTS.name)
    old.read()
    with pytest.raises(Fenced):
        old.commit([Append(ENFORCEMENTS.name, b"twice")])
    assert subject.read(ENFORCEMENTS.name) == []
    for each in (old, new):
        each.close()


def test_one_without_a_name_keeps_no_place(subject: Subject) -> None:
    """It is told so, rather than believe it did."""
    with pytest.raises(LogError, match="without a name"):
        Follower(subject.log, [EVENTS]).commit()


def test_records_are_located_and_what_is_none_is_passed_over(subject: Subject) -> None:
    """With topic, partition, offset and index; `containing` picks lines; what is too large is none."""
    tick = encode(Tick(at_ms=5))
    subject.put(EVENTS.name, partition=1, value=b"\n".join([tick] * (MOST_LINES + 1)))
    offset = subject.put(EVENTS.name, partition=1, value=b"nonsense\n" + tick)
    (found,) = Follower(subject.log, [EVENTS]).records()
    assert (found.topic, found.partition, found.offset, found.index) == (EVENTS.name, 1, offset, 1)
    assert found.record == Tick(at_ms=5)
    message = subject.read(EVENTS.name, 1)[-1]
    assert not list(located(EVENTS.name, message, b"command"))


def test_a_wakeup_is_readable_when_there_is_more_and_until_it_is_cleared(subject: Subject) -> None:
    """For a loop that selects: not before, and not after the follower has read on."""
    follower = Follower(subject.log, [EVENTS])
    wakeup = Wakeup(follower.wait)
    try:
        assert not select.select([wakeup.fileno], [], [], 0.05)[0]
        with ThreadPoolExecutor(1) as pool:
            pool.submit(subject.put, EVENTS.name, value=b"1")
            assert select.select([wakeup.fileno], [], [], PATIENCE_S)[0]
        assert values(follower) == [(EVENTS.name, 0, b"1")]
        wakeup.clear()
        assert not select.select([wakeup.fileno], [], [], 0.05)[0]
        subject.put(EVENTS.name, value=b"2")
        assert select.select([wakeup.fileno], [], [], PATIENCE_S)[0]
    finally:
        wakeup.close()
