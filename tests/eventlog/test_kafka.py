"""What only the Kafka log does: gaps, its broker's retention and compaction, waiting, refusals."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, OutOfOrderSequenceNumberError, UnknownProducerIdError
from kafka.producer.transaction_manager import TransactionState
from kafka.structs import TopicPartition

from eventlog.contract import Append
from eventlog.kafka import clients
from eventlog.kafka.layout import MESSAGE_BYTES, POSITIONS
from eventlog.kafka.log import KafkaLog
from eventlog.kafka.options import parse_url
from eventlog.kafka.transactions import Transactions
from eventlog.kafka.writer import KafkaWriter
from schemas.errors import Fenced, LogError, Transient
from schemas.topics import BANS, DECISIONS, ENFORCEMENTS, EVENTS, STATE
from tests.broker import Cluster

pytestmark = pytest.mark.real("kafka")

DEADLINE_S = 60


@pytest.fixture
def url(broker: Cluster) -> Iterator[str]:
    """The url of an empty log with two partitions."""
    made = broker.url(partitions=2)
    yield made
    broker.drop(made)


@pytest.fixture
def log(url: str) -> Iterator[KafkaLog]:
    """An empty log with two partitions."""
    made = KafkaLog.open(url)
    yield made
    made.close()


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "it never held"
        time.sleep(0.05)


def configure(broker: Cluster, log_url: str, topic: str, **settings: Any) -> None:
    """Change settings of a topic; underscores stand for dots."""
    by_name = {name.replace("_", "."): str(value) for name, value in settings.items()}
    full_name = parse_url(log_url).prefix + topic
    with closing(broker.admin()) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, full_name, configs=by_name)])


def test_readers_pass_the_gaps_of_transactions(log: KafkaLog) -> None:
    """Each commit ends with a marker; readers page over markers with any limit and stop at the end."""
    writer = log.writer("w")
    for number in range(10):
        writer.commit([Append(DECISIONS.name, b"%d" % number)], {})
    read, offset = [], 0
    while messages := log.read(DECISIONS.name, 0, offset, limit=3):
        read += messages
        offset = messages[-1].offset + 1
    assert [message.value for message in read] == [b"%d" % number for number in range(10)]
    assert [message.offset for message in read] == list(range(0, 20, 2))
    assert log.end(DECISIONS.name) == 20
    assert log.read(DECISIONS.name, 0, 19) == []
    writer.close()


def test_what_is_not_committed_is_not_read(log: KafkaLog, url: str) -> None:
    """A reader stops before an open transaction, and passes over it once it is aborted."""
    options = parse_url(url)
    transactions = Transactions(options, f"{options.prefix}banstream-test")
    transactions.write([Append(DECISIONS.name, b"never")])
    log.append([Append(DECISIONS.name, b"after")])
    assert log.read(DECISIONS.name, 0, 0) == []
    assert log.end(DECISIONS.name) == 0
    transactions.abort()
    eventually(lambda: log.end(DECISIONS.name) > 2)
    assert [message.value for message in log.read(DECISIONS.name, 0, 0)] == [b"after"]
    assert log.begin(DECISIONS.name) == 1
    transactions.close()


def test_a_writer_left_open_is_undone_by_its_successor(log: KafkaLog, url: str) -> None:
    """What a killed writer had begun is undone the moment a new writer of its name comes."""
    options = parse_url(url)
    killed = Transactions(options, f"{options.prefix}banstream-decider")
    killed.write([Append(DECISIONS.name, b"half")])
    successor = log.writer("decider")
    successor.commit([Append(DECISIONS.name, b"whole")], {"r": b"1"})
    assert [message.value for message in log.read(DECISIONS.name, 0, 0)] == [b"whole"]
    killed.give_up()
    successor.close()


def test_a_commit_is_read_by_whoever_made_it(log: KafkaLog) -> None:
    """Right after a commit its log reads message, position and what is in force."""
    writer = log.writer("w")
    for number in range(20):
        value = b"%d" % number
        writer.commit([Append(BANS.name, value, key="192.0.2.1")], {"r": value})
        assert log.position("r") == value
        assert [message.value for message in log.latest(BANS.name)] == [value]
    writer.close()


def test_the_broker_drops_and_readers_go_on(log: KafkaLog, url: str, broker: Cluster) -> None:
    """Where the oldest messages were dropped, a reader that asks for them gets the oldest kept."""
    log.append([Append(EVENTS.name, b"%d" % number) for number in range(10)])
    assert log.read(EVENTS.name, 0, 0, limit=2)[1].offset == 1
    with closing(broker.admin()) as admin:
        admin.delete_records({TopicPartition(parse_url(url).prefix + EVENTS.name, 0): 7})
    assert log.begin(EVENTS.name) == 7
    assert [message.offset for message in log.read(EVENTS.name, 0, 2)] == [7, 8, 9]
    assert log.offset_at(EVENTS.name, 0, 0) == 7
    with closing(broker.admin()) as admin:
        admin.delete_records({TopicPartition(parse_url(url).prefix + EVENTS.name, 0): 10})
    assert (log.begin(EVENTS.name), log.end(EVENTS.name)) == (10, 10)
    assert log.read(EVENTS.name, 0, 0) == []


def test_retention_is_the_broker_s(log: KafkaLog, url: str, broker: Cluster) -> None:
    """The broker drops by its own clock once a segment is over; `retain` asks nothing of it."""
    assert log.retain(2**45) == 0
    log.append([Append(EVENTS.name, b"old")])
    assert [message.value for message in log.read(EVENTS.name, 0, 0)] == [b"old"]
    configure(broker, url, EVENTS.name, retention_ms=1, segment_ms=1)
    eventually(lambda: log.begin(EVENTS.name) == 1)
    assert log.end(EVENTS.name) == 1


def test_compaction_leaves_what_is_in_force(log: KafkaLog, url: str, broker: Cluster) -> None:
    """After the broker compacted, `latest` and readers meet the newest of each key, over any gaps."""
    configure(broker, url, BANS.name, segment_ms=50, min_cleanable_dirty_ratio=0.001, delete_retention_ms=0)
    for number in range(40):
        log.append([Append(BANS.name, b"%d" % number, key=str(number % 3))])
    log.append([Append(BANS.name, b"", key="0")])

    def compacted() -> bool:
        time.sleep(0.1)
        log.append([Append(BANS.name, b"x", key="last")])  # a segment ends with what comes after it
        return len(log.read(BANS.name, 0, 0)) < 20

    eventually(compacted)
    latest = {message.key: message.value for message in log.latest(BANS.name)}
    assert latest == {"1": b"37", "2": b"38", "last": b"x"}
    assert log.begin(BANS.name) > 0


def test_waiting_ends_when_something_comes(log: KafkaLog) -> None:
    """`wait` is false after its time, and true soon after a commit elsewhere."""
    assert not log.wait({(BANS.name, 0): 0}, timeout_ms=50)
    writer = log.writer("w")
    timer = threading.Timer(
        0.3, writer.commit, ([Append(BANS.name, b"1", key="a"), Append(DECISIONS.name, b"1")], {})
    )
    timer.start()
    started = time.monotonic()
    assert log.wait({(BANS.name, 0): 0}, timeout_ms=DEADLINE_S * 1_000)
    assert time.monotonic() - started < 10
    assert log.wait({(BANS.name, 0): 0}, timeout_ms=5_000)
    assert not log.wait({(BANS.name, 0): 1}, timeout_ms=50)
    timer.join()
    writer.close()


def test_topics_with_one_partition_are_empty_elsewhere(log: KafkaLog) -> None:
    """Partition 1 of the bans reads as empty, takes nothing, and partition 2 of a log of two is an error."""
    assert log.read(BANS.name, 1, 0) == []
    assert (log.begin(BANS.name, 1), log.end(BANS.name, 1), log.offset_at(BANS.name, 1, 0)) == (0, 0, 0)
    assert list(log.latest(STATE.name, 1)) == []
    with pytest.raises(LogError, match="no partition 1"):
        log.append([Append(BANS.name, b"x", key="a", partition=1)])
    with pytest.raises(LogError, match="no partition 2"):
        log.read(BANS.name, 2, 0)


def test_positions_are_written_by_commits_only(log: KafkaLog) -> None:
    """The topic of positions takes no appends, neither plain nor in a commit."""
    writer = log.writer("w")
    for write in (log.append, lambda appends: writer.commit(appends, {})):
        with pytest.raises(LogError, match=r"no topic 'banstream\.positions'"):
            write([Append(POSITIONS.name, b"9", key="r")])
    writer.close()


@pytest.mark.parametrize("commit", [False, True])
def test_a_message_too_large_is_refused_before_any_is_sent(log: KafkaLog, commit: bool) -> None:  # noqa: FBT001 - pytest passes by name
    """A message beyond the most is a LogError with its size and topic; one just below it goes through."""
    writer = log.writer("w")
    write = (lambda appends: writer.commit(appends, {"r": b"1"})) if commit else log.append
    with pytest.raises(LogError, match=rf"message of {MESSAGE_BYTES} bytes for {EVENTS.name}"):
        write([Append(DECISIONS.name, b"small"), Append(EVENTS.name, bytes(MESSAGE_BYTES))])
    assert (log.end(DECISIONS.name), log.position("r")) == (0, None)
    write([Append(EVENTS.name, bytes(MESSAGE_BYTES - 200))])
    assert len(log.read(EVENTS.name, 0, 0)[0].value) == MESSAGE_BYTES - 200
    writer.close()


def test_a_topic_that_takes_less_refuses_all_of_a_commit(log: KafkaLog, url: str, broker: Cluster) -> None:
    """Where the topic's own limit is lower, the broker's refusal is a LogError, and nothing is written."""
    configure(broker, url, EVENTS.name, max_message_bytes=1_000)
    writer = log.writer("w")
    noise = os.urandom(10_000)  # which no compression makes smaller
    with pytest.raises(LogError, match=r"max\.message\.bytes"):
        writer.commit([Append(DECISIONS.name, b"small"), Append(EVENTS.name, noise)], {"r": b"1"})
    with pytest.raises(LogError, match=r"max\.message\.bytes"):
        log.append([Append(EVENTS.name, noise)])
    writer.commit([Append(DECISIONS.name, b"next")], {})
    assert [message.value for message in log.read(DECISIONS.name, 0, 0)] == [b"next"]
    assert log.position("r") is None
    writer.close()


def test_a_log_without_topics_says_how_to_make_them(broker: Cluster) -> None:
    """Without topics every call is a LogError that names the topic and the command; then it goes on."""
    url = broker.url()
    log = KafkaLog.open(url)
    for call in (lambda: log.partitions, lambda: log.read(EVENTS.name, 0, 0), lambda: log.position("r")):
        with pytest.raises(LogError, match=r"no topic .*banstream\..*`banstream topics create`"):
            call()
    broker.url(partitions=3, prefix=parse_url(url).prefix)
    assert log.partitions == 3
    log.close()
    broker.drop(url)


def test_a_log_opened_to_read_writes_nothing(url: str) -> None:
    """`read_only` refuses appends and writers, and fences nobody."""
    with closing(KafkaLog.open(url)) as log, closing(KafkaLog.open(url, read_only=True)) as reader:
        writer = log.writer("w")
        for write in (lambda: reader.append([Append(EVENTS.name, b"x")]), lambda: reader.writer("w")):
            with pytest.raises(LogError, match="opened to read only"):
                write()
        writer.commit([Append(EVENTS.name, b"x")], {})
        assert len(reader.read(EVENTS.name, 0, 0)) == 1
        writer.close()


def test_keys_that_are_no_text_can_be_read(log: KafkaLog, url: str) -> None:
    """A key of another program that is no UTF-8 comes escaped; it stops no reader."""
    producer = clients.producer(parse_url(url))
    producer.send(parse_url(url).prefix + ENFORCEMENTS.name, b"v", key=b"\xff\xfe", partition=0).get(30)
    producer.close(timeout=5)
    assert log.read(ENFORCEMENTS.name, 0, 0)[0].key == "\\xff\\xfe"


def test_a_key_that_is_no_unicode_is_refused(log: KafkaLog) -> None:
    """A lone surrogate cannot be written as UTF-8: a LogError, and the log goes on."""
    with pytest.raises(LogError, match="no valid Unicode"):
        log.append([Append(BANS.name, b"x", key="\ud800")])
    writer = log.writer("w")
    with pytest.raises(LogError, match="no valid Unicode"):
        writer.commit([Append(DECISIONS.name, b"no"), Append(BANS.name, b"x", key="\ud800")], {})
    writer.commit([Append(DECISIONS.name, b"yes")], {})
    assert [message.value for message in log.read(DECISIONS.name, 0, 0)] == [b"yes"]
    writer.close()


def test_a_writer_fenced_in_the_midst_of_a_commit_is_fenced(log: KafkaLog) -> None:
    """The library may only say that its producer is in a wrong state; the broker knows of somebody newer."""
    older = log.writer("w")
    assert isinstance(older, KafkaWriter)
    older.commit([Append(DECISIONS.name, b"1")], {})
    log.writer("w").close()
    producer: Any = older._transactions._producer  # noqa: SLF001 - hit by chance otherwise
    manager = producer._transaction_manager  # noqa: SLF001
    begin = manager.begin_transaction

    def begin_and_be_fenced() -> None:
        begin()
        manager._current_state = TransactionState["BUMPING_PRODUCER_EPOCH"]  # noqa: SLF001 - see above

    manager.begin_transaction = begin_and_be_fenced
    with pytest.raises(Fenced):
        older.commit([Append(DECISIONS.name, b"2")], {})


def test_a_writer_whose_library_lost_its_transaction_may_try_again(
    log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writers that fence each other in turns: the library begins anew unasked, amid the sends of a commit."""
    writer = log.writer("w")
    assert isinstance(writer, KafkaWriter)
    producer = writer._transactions._producer  # noqa: SLF001 - the moment cannot be met otherwise
    monkeypatch.setattr(producer, "begin_transaction", lambda: None)
    with pytest.raises(Transient):
        writer.commit([Append(DECISIONS.name, b"1")], {})
    assert writer.commit([Append(DECISIONS.name, b"2")], {}) == [0]


@pytest.mark.parametrize("error", [OutOfOrderSequenceNumberError, UnknownProducerIdError])
def test_a_writer_whose_messages_the_broker_has_not_may_try_again(
    log: KafkaLog, monkeypatch: pytest.MonkeyPatch, error: type[KafkaError]
) -> None:
    """What of that commit is written counts for nobody; the next one goes through, once."""
    writer = log.writer("w")
    assert isinstance(writer, KafkaWriter)
    transactions = writer._transactions  # noqa: SLF001 - the moment cannot be met otherwise
    write = transactions.write

    def written_and_refused(appends: Sequence[Append]) -> list[int]:
        write(appends)
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(transactions, "write", written_and_refused)
        with pytest.raises(Transient):
            writer.commit([Append(DECISIONS.name, b"1")], {"r": b"1"})
    writer.commit([Append(DECISIONS.name, b"2")], {"r": b"2"})
    assert [message.value for message in log.read(DECISIONS.name, 0, 0)] == [b"2"]
    assert log.position("r") == b"2"
