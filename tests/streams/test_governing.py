"""Rules that several workers put in force at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from eventlog.contract import Append
from eventlog.kafka.log import KafkaLog
from eventlog.memory import MemoryLog
from eventlog.writer import LogWriter
from schemas.codec import encode
from schemas.errors import LogError, Transient
from schemas.records import RulesChanged
from schemas.rules import Jail, Rules
from schemas.topics import COMMANDS
from schemas.topics import RULES as RULES_TOPIC
from streams.worker.governing import in_force, push, put_in_force, tell
from tests.broker import Cluster

RULES = Rules(jails=(Jail(name="sshd", filters=("sshd",)),))


class Contested(MemoryLog):
    """A log on which somebody else becomes the newest writer right after us, once, and is slow to commit."""

    rival: LogWriter | None = None

    def writer(self, name: str) -> LogWriter:
        """A writer that is fenced already, the first time."""
        ours = super().writer(name)
        if self.rival is None:
            self.rival = super().writer(name)
        return ours


def test_a_worker_that_another_one_overtakes_looks_again_later() -> None:
    """Fenced by one that has not committed yet it fences nobody, and succeeds later."""
    log = Contested(partitions=2)
    with pytest.raises(Transient, match="another worker"):
        put_in_force(log, RULES, 0)
    assert in_force(log) is None
    assert put_in_force(log, RULES, 0) == RULES.version
    assert put_in_force(log, Rules(jails=()), 0) == RULES.version


def test_rules_that_this_version_cannot_read_are_told_to_nobody() -> None:
    """They are a newer version's: nothing is appended, however often somebody looks."""
    log = MemoryLog(partitions=2)
    log.append([Append(RULES_TOPIC.name, b'{"type":"rules","v":99}', key="abc")])
    with pytest.raises(LogError, match="abc, cannot be read by this version"):
        tell(log)
    assert log.end(COMMANDS.name) == 0


def test_whoever_comes_next_tells_the_partitions_that_have_not_heard() -> None:
    """A push that was killed midway has settled it; the next worker or push ends it, once."""
    log = MemoryLog(partitions=3)
    put_in_force(log, RULES, 0)
    stricter = Rules(jails=(Jail(name="sshd", filters=("sshd",), maxretry=2),))
    record = encode(RulesChanged(version=stricter.version, at_ms=0, rules=stricter.to_wire()))
    log.append([Append(RULES_TOPIC.name, record, key=stricter.version), Append(COMMANDS.name, record)])
    assert push(log, stricter, 0)
    assert not push(log, stricter, 0)
    assert [log.end(COMMANDS.name, number) for number in range(3)] == [2, 2, 2]


@pytest.mark.real("kafka")
def test_workers_that_come_at_once_agree_and_none_ends(broker: Cluster) -> None:
    """However they fence each other, each finds rules in force in the end."""
    url = broker.url(2)

    def insist(number: int) -> str:
        with closing(KafkaLog.open(url)) as log:
            while True:
                try:
                    return put_in_force(log, RULES, number)
                except Transient as error:
                    time.sleep(error.retry_after_ms / 1_000 * (1 + number / 10))

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(insist, range(8))) == {RULES.version}
    with closing(KafkaLog.open(url)) as log:
        assert [each.key for each in log.latest(RULES_TOPIC.name)] == [RULES.version]
