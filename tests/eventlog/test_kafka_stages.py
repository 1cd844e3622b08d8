"""The stages on Kafka: its gaps, markers and fencing change nothing in what they decide and enforce."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from enforcers.enforcer import Enforcer, EnforcerConfig
from enforcers.null import NullBackend
from eventlog.clock import wall_clock_ms
from eventlog.contract import Append, EventLog
from eventlog.kafka.log import KafkaLog
from eventlog.memory import MemoryLog
from schemas.codec import decode_frame, encode, encode_frame
from schemas.deciding import Obeyed
from schemas.errors import Fenced
from schemas.records import (
    AuthEvent,
    Ban,
    Enforcement,
    Hold,
    Standing,
)
from schemas.topics import BANS, DECISIONS, ENFORCEMENTS, EVENTS, partition_of
from streams.embedded import EmbeddedDecider
from tests.broker import Cluster
from tests.streams.folding import failure, rules

pytestmark = pytest.mark.real("kafka")

PARTITIONS = 2
ADDRESSES = [f"198.18.{network}.{host}" for network in range(2, 12) for host in range(1, 7)]


@pytest.fixture
def url(broker: Cluster) -> Iterator[str]:
    """The url of an empty log."""
    made = broker.url(partitions=PARTITIONS)
    yield made
    broker.drop(made)


def frames(seed: int) -> list[list[Append]]:
    """Failures of ADDRESSES within the last minutes, in frames by partition, some frames a commit."""
    chosen = random.Random(seed)
    start_ms = wall_clock_ms() - 300_000
    commits = []
    for number in range(40):
        events: dict[int, list[AuthEvent]] = {}
        for index in range(chosen.randrange(1, 12)):
            ip = chosen.choice(ADDRESSES)
            at_ms = start_ms + number * 1_000 + index
            event = failure(ip, at_ms, number * 100 + index)
            events.setdefault(partition_of(ip, PARTITIONS), []).append(event)
        commits.append(
            [Append(EVENTS.name, encode_frame(each), partition=number) for number, each in events.items()]
        )
    return commits


def decided(log: EventLog) -> list[tuple[str, int, int | None, int]]:
    """Whom the decisions ban, from when, until when, and how often before; the same ban twice is twice."""
    found = []
    for partition in range(PARTITIONS):
        offset = 0
        while messages := log.read(DECISIONS.name, partition, offset):
            offset = messages[-1].offset + 1
            for message in messages:
                for record in decode_frame(message.value):
                    assert isinstance(record, Ban | Obeyed)
                    if isinstance(record, Ban):
                        found.append((record.prefix, record.at_ms, record.until_ms, record.ban_count))
    return sorted(found)


def test_decisions_are_those_of_the_embedded_log(url: str) -> None:
    """Events written in transactions, a decider replaced twice on the way: decisions as on a memory log."""
    jail, commits = rules(), frames(seed=4)
    memory = MemoryLog(partitions=PARTITIONS)
    plain = EmbeddedDecider(memory, now_ms=wall_clock_ms)
    plain.govern(jail)
    for commit in commits:
        memory.append(commit)
    plain.catch_up()
    with closing(KafkaLog.open(url)) as log:
        shipper = log.writer("shipper")
        deciders = [EmbeddedDecider(log, now_ms=wall_clock_ms)]
        deciders[0].govern(jail)
        for number, commit in enumerate(commits):
            shipper.commit(commit, {})
            deciders[-1].catch_up()
            if number in {13, 27}:
                if number == 13:
                    deciders[-1].checkpoint()
                deciders.append(EmbeddedDecider(log, now_ms=wall_clock_ms))
        deciders[-1].close()
        shipper.close()
        assert len(decided(memory)) > 10
        assert decided(log) == decided(memory)
        for replaced in deciders[:-1]:
            with pytest.raises(Fenced):
                replaced.catch_up()


def follow(enforcer: Enforcer, backend: NullBackend, prefixes: set[str | None]) -> None:
    """Poll until just these are banned; a commit shows elsewhere some milliseconds later."""
    deadline = time.monotonic() + 60
    while {element.prefix for element in backend.list()} != prefixes:
        assert time.monotonic() < deadline, "it does not catch up"
        enforcer.poll()


def test_an_enforcer_follows_the_bans(url: str) -> None:
    """An enforcer on another connection starts from the bans in force, follows, and records each."""
    with closing(KafkaLog.open(url)) as log, closing(KafkaLog.open(url)) as elsewhere:
        decider = EmbeddedDecider(log, now_ms=wall_clock_ms)
        decider.govern(rules())
        first, second = frames(seed=1), frames(seed=2)
        for commit in first:
            log.append(commit)
        decider.catch_up()
        in_force = {message.key for message in log.latest(BANS.name)}
        assert len(in_force) > 5
        backend = NullBackend()
        enforcer = Enforcer(elsewhere, backend, EnforcerConfig(host="h1"))
        enforcer.start()
        follow(enforcer, backend, in_force)
        for commit in second:
            log.append(commit)
        decider.catch_up()
        in_force = {message.key for message in log.latest(BANS.name)}
        follow(enforcer, backend, in_force)
        recorded = {
            record.prefix
            for message in log.read(ENFORCEMENTS.name, 0, 0)
            for record in decode_frame(message.value)
            if isinstance(record, Enforcement) and record.outcome == "applied"
        }
        assert recorded == in_force
        enforcer.close()
        decider.close()


def test_an_enforcer_starts_from_the_newest_word_on_each_prefix(url: str) -> None:
    """What the broker has not compacted yet is history: it is neither banned nor recorded."""
    until_ms = wall_clock_ms() + 3_600_000

    def ban(prefix: str, number: int) -> Append:
        hold = Hold(jail="sshd", ban=f"0-{number}-0-0", until_ms=until_ms + number)
        standing = Standing(prefix=prefix, decision=hold.ban, decided_at_ms=0, holds=(hold,))
        return Append(BANS.name, encode(standing), key=prefix)

    again, freed = "203.0.113.1", "203.0.113.2"
    with closing(KafkaLog.open(url)) as log:
        log.append([ban(again, 1), ban(freed, 2), Append(BANS.name, b"", key=freed), ban(again, 3)])
        backend = NullBackend()
        enforcer = Enforcer(log, backend, EnforcerConfig(host="h1"))
        enforcer.start()
        assert [element.prefix for element in backend.list()] == [again]
        (message,) = log.read(ENFORCEMENTS.name, 0, 0)
        (record,) = decode_frame(message.value)
        assert isinstance(record, Enforcement)
        assert (record.decision, record.outcome) == ("0-3-0-0", "applied")
        enforcer.close()
