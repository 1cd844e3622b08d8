"""Kafka away: calls end, say so, and what was to be written is written once when the broker is back."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import pytest

from eventlog.contract import Append, Writer
from eventlog.kafka import clients
from eventlog.kafka.log import KafkaLog
from eventlog.kafka.options import parse_url
from eventlog.kafka.writer import KafkaWriter
from schemas.errors import Fenced, Transient
from schemas.topics import BANS, DECISIONS, EVENTS
from tests.broker import Broker

pytestmark = pytest.mark.real("kafka")

Result = TypeVar("Result")
DEADLINE_S = 120
TIMEOUT_S = 1


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that tests may kill; each leaves it up."""
    with Broker(tmp_path_factory.mktemp("mortal")) as broker:
        yield broker


@pytest.fixture
def log(mortal: Broker) -> Iterator[KafkaLog]:
    """An empty log that waits for the broker for TIMEOUT_S."""
    made = KafkaLog.open(mortal.url(partitions=2, timeout=f"{TIMEOUT_S}s"))
    yield made
    made.close()


def insist(call: Callable[[], Result]) -> Result:
    """What a call gives in the end, tried again while it is Transient."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return call()
        except Transient:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def numbered(writer: Writer, number: int) -> None:
    """One commit: a decision in each partition, and the position."""
    appends = [Append(DECISIONS.name, b"%d" % number, partition=p) for p in (0, 1)]
    writer.commit(appends, {"r": b"%d" % number})


def commit_until(log: KafkaLog, done: threading.Event) -> int:
    """Commit numbers, each insisted on; returns how many."""
    writer = insist(lambda: log.writer("w"))
    number = 0
    while not done.is_set():
        insist(partial(numbered, writer, number))
        number += 1
    writer.close()
    return number


def decisions(log: KafkaLog, partition: int) -> list[int]:
    """The numbers in a partition, in order."""
    read: list[int] = []
    offset = 0
    while messages := insist(partial(log.read, DECISIONS.name, partition, offset)):
        read += [int(message.value) for message in messages]
        offset = messages[-1].offset + 1
    return read


def test_every_call_ends_and_says_where(log: KafkaLog, mortal: Broker) -> None:
    """With no broker each call is Transient in time, names the broker, and works when it is back."""
    writer = log.writer("w")
    writer.commit([Append(DECISIONS.name, b"1")], {"r": b"1"})
    log.append([Append(EVENTS.name, b"1")])
    assert log.position("r") == b"1"
    mortal.kill()
    calls: list[Callable[[], object]] = [
        lambda: log.append([Append(EVENTS.name, b"2")]),
        lambda: log.read(EVENTS.name, 0, 1),
        lambda: log.end(EVENTS.name),
        lambda: log.position("r"),
        lambda: list(log.latest(BANS.name)),
        lambda: log.writer("other"),
        lambda: writer.commit([Append(DECISIONS.name, b"2")], {"r": b"2"}),
    ]
    for call in calls:
        started = time.monotonic()
        with pytest.raises(Transient, match=f"{mortal.address}.*broker cannot be reached"):
            call()
        assert time.monotonic() - started < 3 * TIMEOUT_S + 2
    mortal.start()
    assert insist(calls[-1]) == [2]
    assert decisions(log, 0) == [1, 2]
    assert insist(lambda: log.position("r")) == b"2"
    insist(calls[0])
    assert insist(lambda: log.read(EVENTS.name, 0, 0))[-1].value == b"2"
    writer.close()


def test_a_log_may_be_opened_before_its_broker(mortal: Broker) -> None:
    """Opening does not connect; calls are Transient until there is a broker, and leave no thread behind."""
    url = mortal.url(partitions=1, timeout="1s")
    mortal.kill()
    log = KafkaLog.open(url)
    before = threading.active_count()
    for call in (lambda: log.read(EVENTS.name, 0, 0), lambda: log.writer("w")) * 2:
        with pytest.raises(Transient, match="broker cannot be reached"):
            call()
    mortal.start()
    insist(lambda: log.append([Append(EVENTS.name, b"x")]))
    log.close()
    deadline = time.monotonic() + DEADLINE_S
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert threading.active_count() <= before


@pytest.mark.parametrize("way", ["kill", "halt"])
def test_an_append_that_is_repeated_whole_leaves_no_gap(log: KafkaLog, mortal: Broker, way: str) -> None:
    """Whatever is there when the broker dies midway: each one's first is in order, and none is missing."""
    appends = [
        Append(EVENTS.name, b"%d" % number + b" " * 30_000, partition=number % 2) for number in range(400)
    ]
    with ThreadPoolExecutor(1) as threads:
        appending = threads.submit(insist, partial(log.append, appends))
        for pause_s in (0.2, 0.4):
            time.sleep(pause_s)
            if way == "kill":
                mortal.restart()
            else:
                mortal.halt()
                time.sleep(2 * TIMEOUT_S)
                mortal.go_on()
        appending.result(DEADLINE_S)
    for partition in (0, 1):
        numbers: list[int] = []
        offset = 0
        while messages := insist(partial(log.read, EVENTS.name, partition, offset)):
            numbers += [int(message.value) for message in messages]
            offset = messages[-1].offset + 1
        assert sorted(set(numbers), key=numbers.index) == list(range(partition, 400, 2))


@pytest.mark.parametrize("way", ["kill", "halt"])
def test_commits_happen_once_through_outages(log: KafkaLog, mortal: Broker, way: str) -> None:
    """Commits that are insisted on, while the broker dies or hangs, are all there, once, in order."""
    done = threading.Event()
    chosen = random.Random(way)
    with ThreadPoolExecutor(1) as threads:
        committing = threads.submit(commit_until, log, done)
        try:
            for _ in range(3):
                time.sleep(chosen.uniform(0.2, 1.5))
                if way == "kill":
                    mortal.restart()
                else:
                    mortal.halt()
                    time.sleep(chosen.uniform(0.5, 3 * TIMEOUT_S))
                    mortal.go_on()
            time.sleep(0.5)
        finally:
            mortal.go_on()
            done.set()
        number = committing.result(DEADLINE_S)
    assert number > 0
    assert insist(partial(log.position, "r")) == b"%d" % (number - 1)
    assert [decisions(log, partition) for partition in (0, 1)] == [list(range(number))] * 2


def test_a_zombie_stays_fenced_through_an_outage(log: KafkaLog, mortal: Broker) -> None:
    """A writer that lost its connection mid-way and was replaced meanwhile is Fenced, and fences nobody."""
    zombie = insist(lambda: log.writer("w"))
    zombie.commit([Append(DECISIONS.name, b"zombie 1")], {"r": b"1"})
    mortal.halt()
    with pytest.raises(Transient):
        zombie.commit([Append(DECISIONS.name, b"zombie 2")], {"r": b"2"})
    mortal.go_on()
    newer = insist(lambda: log.writer("w"))
    insist(lambda: newer.commit([Append(DECISIONS.name, b"newer 1")], {"r": b"3"}))
    for _ in range(2):
        with pytest.raises(Fenced):
            insist(lambda: zombie.commit([Append(DECISIONS.name, b"zombie 2")], {"r": b"2"}))
    newer.commit([Append(DECISIONS.name, b"newer 2")], {"r": b"4"})
    values = [message.value for message in log.read(DECISIONS.name, 0, 0)]
    assert values == [b"zombie 1", b"newer 1", b"newer 2"]
    assert log.position("r") == b"4"
    newer.close()


def test_a_writer_whom_the_broker_forgot_goes_on(log: KafkaLog, mortal: Broker) -> None:
    """A broker that died before it told of the next epoch does not know any more for whom it was.

    It refuses the epoch before as an old writer's. Nobody has taken over, though.
    """
    writer = insist(lambda: log.writer("w"))
    assert isinstance(writer, KafkaWriter)
    writer.commit([Append(DECISIONS.name, b"1")], {"r": b"1"})
    transactions = writer._transactions  # noqa: SLF001 - the moment cannot be met otherwise
    before = transactions._identity  # noqa: SLF001
    transactions.give_up()
    transactions.go_on()
    transactions.give_up()
    transactions._identity = before  # noqa: SLF001 - as it is where the answer was lost
    mortal.restart()
    insist(lambda: writer.commit([Append(DECISIONS.name, b"2")], {"r": b"2"}))
    newer = insist(lambda: log.writer("w"))
    with pytest.raises(Fenced):
        insist(lambda: writer.commit([Append(DECISIONS.name, b"3")], {"r": b"3"}))
    assert log.position("r") == b"2"
    assert [message.value for message in log.read(DECISIONS.name, 0, 0)] == [b"1", b"2"]
    newer.close()


def test_nothing_overtakes_what_has_not_arrived(mortal: Broker) -> None:
    """A message that waits for the broker longer than a call may is not given up for one behind it."""
    url = mortal.url(partitions=1, timeout="8s")
    options = parse_url(url)
    producer = clients.producer(options)
    log = KafkaLog.open(url)
    topic = options.prefix + EVENTS.name
    producer.send(topic, value=b"first", partition=0).get(30)
    mortal.kill()
    producer.send(topic, value=b"second", partition=0)
    time.sleep(7)
    producer.send(topic, value=b"third", partition=0)
    time.sleep(1.5)
    mortal.start()
    producer.flush(timeout=60)
    producer.close()
    values = [message.value for message in insist(lambda: log.read(EVENTS.name, 0, 0))]
    assert values == [b"first", b"second", b"third"]
    log.close()
