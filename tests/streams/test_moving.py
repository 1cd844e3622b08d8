"""A log that is moved decides as one that stayed where it was: the same bans, at the same failures."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from banstream.migration import Migration
from banstream.reading import at, records
from eventlog.contract import Append, EventLog
from eventlog.memory import MemoryLog
from schemas.codec import MOST_LINES, encode, encode_frame
from schemas.errors import LogError
from schemas.lists import parts_of
from schemas.records import AuthEvent, Ban, Command, DeadLetter, Standing, Unban
from schemas.rules import Escalation, Jail, Rules, Threshold
from schemas.topics import (
    ALL,
    BANS,
    COMMANDS,
    DAY_MS,
    DEADLETTERS,
    DECISIONS,
    EVENTS,
    STATE,
    Topic,
    partition_of,
    spans_partitions,
)
from streams.embedded import EmbeddedDecider
from tests.streams.folding import MINUTE, T0, failure

OFFICE = "office"
JAIL = Jail(name="sshd", filters=("sshd",), maxretry=4, bantime_ms=7 * MINUTE, lists=(OFFICE,))
OTHERS = (
    Jail(
        name="steps",
        filters=("sshd",),
        maxretry=3,
        bantime_ms=2 * MINUTE,
        steps=(Threshold(maxretry=6, findtime_ms=60 * MINUTE, bantime_ms=9 * MINUTE),),
        escalate=Escalation(addresses=2, findtime_ms=60 * MINUTE, bantime_ms=30 * MINUTE),
    ),
    Jail(name="addresses", filters=("sshd",), distinct="address", ipv4_prefix=24, maxretry=2),
    Jail(name="rate", filters=("sshd",), window="fail2ban", maxretry=3, bantime_ms=3 * MINUTE),
)
RULES = Rules(jails=(JAIL, *OTHERS))
NOW = T0 + DAY_MS
"""When everything is appended: an event from the future would be taken for one of now."""
IPS = [f"10.0.{network}.{host}" for network in range(5) for host in (1, 2)] + ["2001:db8::1", "2001:db9::1"]
ORDERS = (
    Command(id="1", verb="ban", at_ms=T0, who="root", prefix="10.0.0.0/8", duration_ms=20 * MINUTE),
    Command(id="2", verb="allow", at_ms=T0, who="root", prefix="10.0.1.2"),
    Command(id="3", verb="ban", at_ms=T0, who="root", prefix="10.0.2.0/25"),
    Command(id="4", verb="unban", at_ms=T0, who="root"),
)


class Feed:
    """Inputs as shippers and operators give them, of one seed; each goes to the partition it belongs to."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._at_ms = T0
        self._position = 0
        self._given: list[AuthEvent] = []

    def give(self, log: EventLog, amount: int) -> None:
        """Append so many inputs: frames of up to five failures, now and then a command, a list or garbage."""
        for _ in range(amount):
            self._at_ms += self._chance.randrange(20_000)
            chance = self._chance.random()
            if chance < 0.03:
                command = replace(self._chance.choice(ORDERS), at_ms=self._at_ms)
                wide = command.prefix is None or spans_partitions(command.prefix)
                near = [partition_of(command.prefix or "0.0.0.0/0", log.partitions)]
                numbers = list(range(log.partitions)) if wide else near
                decide(log)  # so that it stands between the same events, however many partitions there are
                log.append([Append(COMMANDS.name, encode(command), partition=each) for each in numbers])
                decide(log)
            elif chance < 0.06:
                office = sorted(self._chance.sample(IPS, 2))
                decide(log)
                parts = parts_of(OFFICE, office, self._at_ms)
                numbers = list(range(log.partitions))
                log.append(
                    [
                        Append(COMMANDS.name, encode(each), partition=number)
                        for each in parts
                        for number in numbers
                    ]
                )
                decide(log)
            else:
                self._frames(log, [self._chance.choice(IPS) for _ in range(self._chance.randrange(1, 6))])

    def repeat(self, log: EventLog) -> None:
        """Append the last frame again, as a shipper does that was not told that it has come."""
        self._append(log, self._given)

    def _frames(self, log: EventLog, ips: list[str]) -> None:
        self._given = []
        for ip in ips:
            self._position += 1
            self._given.append(failure(ip, self._at_ms, self._position))
        self._append(log, self._given)

    def _append(self, log: EventLog, events: list[AuthEvent]) -> None:
        by_partition: dict[int, list[AuthEvent]] = {}
        for event in events:
            by_partition.setdefault(partition_of(event.ip, log.partitions), []).append(event)
        for number, mine in by_partition.items():
            garbage = b"\ngarbage" if self._position % 11 == 0 else b""
            log.append([Append(EVENTS.name, encode_frame(mine) + garbage, partition=number)])


def decide(log: EventLog) -> None:
    """Decide what a log holds, and write the state."""
    decider = EmbeddedDecider(log, now_ms=lambda: NOW)
    decider.catch_up()
    decider.govern(RULES)
    decider.catch_up()
    decider.close()


def governed() -> MemoryLog:
    """A log of one partition in which the rules are in force."""
    log = MemoryLog(1, now_ms=lambda: NOW)
    decide(log)
    return log


def told(log: EventLog) -> list[tuple[object, ...]]:
    """Every ban with the lines that led to it, and every unban with its ban's instant, sorted."""
    found: list[tuple[object, ...]] = []
    decided = [each.record for each in records(log, DECISIONS.name)]
    bans = {each.id: each.at_ms for each in decided if isinstance(each, Ban)}
    for each in decided:
        match each:
            case Ban() as ban:
                places = [at(log, EVENTS.name, place) for place in ban.evidence]
                lines = [(e.ip, e.position) for e in places if isinstance(e, AuthEvent)]
                facts = (ban.at_ms, ban.until_ms, ban.count, ban.ban_count, ban.expired)
                found.append(("ban", ban.prefix, ban.jail, *facts, tuple(lines)))
            case Unban() as unban:
                of = bans[unban.ban]
                found.append(
                    ("unban", unban.prefix, unban.jail, unban.at_ms, unban.reason, unban.while_banned, of)
                )
            case _:
                pass
    return sorted(found, key=repr)


def moved(source: MemoryLog, partitions: int) -> MemoryLog:
    """The same log with so many partitions."""
    target = MemoryLog(partitions, now_ms=lambda: NOW)
    migration = Migration(source, target)
    migration.check()
    migration.run()
    return target


@pytest.mark.parametrize("partitions", [1, 3, 8])
@pytest.mark.parametrize("seed", range(4))
def test_a_log_moved_in_the_middle_decides_as_one_that_stayed(seed: int, partitions: int) -> None:
    """The same bans at the same failures, with the same evidence, and the same unbans."""
    stayed = governed()
    feed = Feed(seed)
    for _ in range(2):
        feed.give(stayed, 200)
        decide(stayed)
        feed.repeat(stayed)
    first = governed()
    feed = Feed(seed)
    feed.give(first, 200)
    decide(first)
    target = moved(first, partitions)
    feed.repeat(target)
    feed.give(target, 200)
    decide(target)
    end = 10**6 * MINUTE + T0
    for log in (stayed, target):
        tick = encode(Command(id="end", verb="forgive", at_ms=end, who="root", prefix="0.0.0.0/0"))
        log.append([Append(COMMANDS.name, tick, partition=each) for each in range(log.partitions)])
        decide(log)
    assert any(each[0] == "ban" and each[-1] for each in told(stayed))
    assert told(target) == told(stayed)


def test_to_one_partition_everything_stays_byte_for_byte() -> None:
    """Every message of every topic is the same, at the same offset where it is one of the events."""
    source = governed()
    Feed(1).give(source, 300)
    decide(source)
    target = moved(source, 1)
    for topic in ALL:
        mine, theirs = (_kept(log, topic) for log in (source, target))
        if topic is not STATE:  # whose whole is written anew
            assert theirs == mine, topic


def test_what_was_dropped_before_leaves_its_offsets() -> None:
    """Where retention had dropped events, old identities stay, and no new decision gets one of them."""
    source = governed()
    feed = Feed(2)
    feed.give(source, 150)
    decide(source)
    source.retain(NOW + 31 * DAY_MS)  # everything so far
    end = source.end(EVENTS.name)
    old = {each.record.id for each in records(source, DECISIONS.name) if isinstance(each.record, Ban)}
    assert source.begin(EVENTS.name) == end
    for partitions in (1, 4):
        target = moved(source, partitions)
        assert target.end(EVENTS.name) == end
        feed.give(target, 150)
        decide(target)
        bans = [each.record.id for each in records(target, DECISIONS.name) if isinstance(each.record, Ban)]
        assert {each for each in old if "c" not in each or partitions == 1} < set(bans)
        assert len(bans) == len(set(bans))


def test_bans_letters_and_decisions_name_each_other_as_before() -> None:
    """In the new log a standing names decisions that are there, and a dead letter the line it is about."""
    source = governed()
    Feed(3).give(source, 300)
    decide(source)
    target = moved(source, 4)
    decided = {each.record.id for each in records(target, DECISIONS.name) if isinstance(each.record, Ban)}
    held = [each.record for each in records(target, BANS.name) if isinstance(each.record, Standing)]
    assert held
    assert {hold.ban for standing in held for hold in standing.holds} <= decided
    letters = [
        each.record for each in records(target, DEADLETTERS.name) if isinstance(each.record, DeadLetter)
    ]
    assert letters
    for letter in letters:
        (message,) = target.read(EVENTS.name, letter.partition, letter.offset, limit=1)
        assert message.value.split(b"\n")[letter.index] == b"garbage" == letter.line.encode()


def test_a_frame_that_is_too_large_is_moved_as_a_whole() -> None:
    """To partition 0, where its dead letter points to it, and what comes after it is where it belongs."""
    source = governed()
    bomb = b"\n" * MOST_LINES
    source.append([Append(EVENTS.name, bomb), Append(EVENTS.name, encode(failure(IPS[0], T0, 1)))])
    decide(source)
    target = moved(source, 3)
    (letter,) = (each.record for each in records(target, DEADLETTERS.name))
    assert isinstance(letter, DeadLetter)
    (message,) = target.read(EVENTS.name, letter.partition, letter.offset, limit=1)
    assert (letter.partition, message.value) == (0, bomb)
    events = [each.record for each in records(target, EVENTS.name) if isinstance(each.record, AuthEvent)]
    assert [event.ip for event in events] == [IPS[0]]


@pytest.mark.parametrize("cut", [1, 40, 95])
def test_an_interrupted_migration_is_gone_on_with(cut: int) -> None:
    """A target that holds the beginning gets the rest, and ends as one that was written at once."""
    source = governed()
    Feed(4).give(source, 100)
    decide(source)
    whole, partial = moved(source, 3), MemoryLog(3, now_ms=lambda: NOW)
    migration = Migration(source, partial)
    appends = [append for topic in migration.moving.ORDER for append in migration.moving.appends(topic)]
    partial.append(appends[: len(appends) * cut // 100])
    again = Migration(source, partial)
    again.check()
    again.run()
    assert sum(again.there.values()) == len(appends) * cut // 100
    for topic in ALL:
        for number in range(3):
            assert [(m.offset, m.key, m.value) for m in partial.read(topic.name, number, 0)] == [
                (m.offset, m.key, m.value) for m in whole.read(topic.name, number, 0)
            ]


def test_a_target_that_holds_anything_else_is_left_alone() -> None:
    """Other records, or more than this log's, are refused before anything is written."""
    source = governed()
    Feed(5).give(source, 50)
    decide(source)
    for stray in (Append(EVENTS.name, b"{}"), Append(BANS.name, b"{}", "192.0.2.1")):
        target = MemoryLog(2, now_ms=lambda: NOW)
        target.append([stray])
        with pytest.raises(LogError, match="holds records that are not"):
            Migration(source, target).check()
    target = moved(source, 2)
    Migration(source, target).check()
    target.append([Append(EVENTS.name, b"{}", partition=1)])
    with pytest.raises(LogError, match="holds records that are not"):
        Migration(source, target).check()


def _kept(log: MemoryLog, topic: Topic) -> list[tuple[str | None, bytes]]:
    """What is in force of a compacted topic, or every message of another."""
    messages = log.latest(topic.name) if topic.compacted else log.read(topic.name, 0, 0)
    return [(message.key, message.value) for message in messages]
