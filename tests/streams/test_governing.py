"""Rules that several workers put in force at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from eventlog.kafka.log import KafkaLog
from eventlog.memory import MemoryLog
from eventlog.writer import LogWriter
from schemas.errors import Transient
from schemas.rules import Jail, Rules
from schemas.topics import RULES as RULES_TOPIC
from streams.worker.governing import in_force, put_in_force
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
