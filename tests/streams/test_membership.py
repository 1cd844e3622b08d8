"""How the partitions are shared out among the workers of a group."""

from __future__ import annotations

from typing import Any

from aiokafka.cluster import ClusterMetadata

from eventlog.contract import Message
from eventlog.kafka.options import parse_url
from streams.worker.connection import Cluster
from streams.worker.faust_group import FaustGroup


class Nobody:
    """A worker that wants nothing."""

    def take(self, topic: str, message: Message) -> None:
        """Not wanted."""

    async def breathe(self) -> None:
        """Nothing to wait for."""

    async def revoked(self, numbers: set[int]) -> None:
        """Nothing to let go."""

    async def assigned(self, numbers: set[int]) -> None:
        """Nothing to begin."""


def test_a_leader_that_has_not_heard_of_the_topics_yet_shares_out_every_partition() -> None:
    """Joined while a broker starts, it knows no topic: nobody would decide until somebody else joins."""
    group = FaustGroup(Cluster(parse_url("kafka://localhost:1"), "decider"), 5, Nobody())
    assignor: Any = group.assignor
    member = assignor.metadata(set(group.inputs))
    shared = assignor.assign(ClusterMetadata(), {"one": member, "two": member})
    for topic in group.inputs:
        held = [
            number
            for each in shared.values()
            for name, numbers in each.assignment
            for number in numbers
            if name == topic
        ]
        assert sorted(held) == [0, 1, 2, 3, 4]
    assert all(each.assignment for each in shared.values())
