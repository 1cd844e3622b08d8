"""How the partitions are shared out among the workers of a group."""

from __future__ import annotations

from typing import Any

from aiokafka.cluster import ClusterMetadata

from eventlog.kafka.options import parse_url
from streams.worker.connection import Cluster
from streams.worker.membership import Group


def test_a_leader_that_has_not_heard_of_the_topic_yet_shares_out_every_partition() -> None:
    """Joined while a broker starts, it knows no topic: nobody would decide until somebody else joins."""
    group = Group(Cluster(parse_url("kafka://localhost:1"), "decider"), 5)
    assignor: Any = group.assignor
    member = assignor.metadata({group.events.get_topic_name()})
    shared = assignor.assign(ClusterMetadata(), {"one": member, "two": member})
    held = [number for each in shared.values() for _, numbers in each.assignment for number in numbers]
    assert sorted(held) == [0, 1, 2, 3, 4]
    assert all(each.assignment for each in shared.values())
