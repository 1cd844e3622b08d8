"""The Faust worker on a real broker: the decisions are those of the fold alone, whatever happens to workers."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import Cluster
from tests.streams.fleet import Fleet, attack, fleet

pytestmark = pytest.mark.real("kafka")


@pytest.fixture(params=[1])
def one(request: pytest.FixtureRequest, broker: Cluster, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet on a log of one partition."""
    with fleet(broker.url(request.param), tmp_path) as made:
        yield made


@pytest.mark.parametrize(("partitions", "workers"), [(1, 1), (4, 2)])
def test_decides_what_the_fold_decides(broker: Cluster, tmp_path: Path, partitions: int, workers: int) -> None:
    """Over the same frames, any number of workers makes the decisions that the fold alone makes, each once."""
    with fleet(broker.url(partitions), tmp_path) as made:
        worker = made.start("--workers", str(workers))
        made.governed()
        made.send(attack(1, 100))
        assert len(made.settled()) > 100
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0


def test_kill_9_at_random_moments(broker: Cluster, tmp_path: Path) -> None:
    """Of two workers under load one is killed again and again: nothing is missing, nothing twice."""
    chance = random.Random(2)
    with fleet(broker.url(4), tmp_path) as made:
        running = [made.start(), made.start()]
        made.governed()
        for kill in range(10):
            until = time.monotonic() + chance.uniform(0.3, 3.0)
            number = 0
            while time.monotonic() < until:
                made.send(attack(1_000 * kill + number, 5))
                number += 1
            victim = chance.randrange(2)
            running[victim].kill()
            running[victim] = made.start()
        assert len(made.settled(90)) > 100
