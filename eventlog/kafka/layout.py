"""What topics there are on a cluster and how each is set. Pure: eventlog.kafka.admin makes them so.

| topic | partitions | kept |
|---|---|---|
| events, decisions, state | as many as the log has | as schemas.topics says |
| all others | one: a reader needs their whole order | as schemas.topics says |

The broker stamps the time (LogAppendTime): the contract's `at_ms` is the log's clock, and a shipper whose
clock is wrong neither loses nor keeps history. Settings: https://kafka.apache.org/documentation/#topicconfigs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from eventlog.terms import TOMBSTONE_KEPT_MS
from schemas.codec import MOST_BYTES
from schemas.topics import ALL, DAY_MS, Topic

POSITIONS: Final = Topic("banstream.positions", compacted=True)
"""Where the readers' positions are; no one appends to it but a writer's commit."""

TOPICS: Final = (*ALL, POSITIONS)
PARTITIONED: Final = frozenset(topic.name for topic in ALL if topic.partitioned)

MESSAGE_BYTES: Final = MOST_BYTES
"""The biggest message, packed: far beyond a full frame; a bigger one is a mistake."""

REQUIRED: Final = ("cleanup.policy", "message.timestamp.type")
"""Settings that the log relies on; an operator may choose the others, such as a longer retention."""

SEGMENT_MS: Final = 3_600_000
SEGMENT_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Placed:
    """One topic as it is, or should be, on the cluster.

    Attributes:
        name: without the log's prefix.
        partitions, replication: how many, and copies of each.
        settings: what its settings say, by Kafka's names.
    """

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]


def partitions_of(topic: str, partitions: int) -> int:
    """How many partitions a topic has in a log of so many."""
    return partitions if topic in PARTITIONED else 1


def wanted(partitions: int, replication: int) -> list[Placed]:
    """Every topic of a log, as it should be."""
    return [
        Placed(topic.name, partitions_of(topic.name, partitions), replication, _settings(topic, replication))
        for topic in TOPICS
    ]


def differences(want: Placed, found: Placed) -> list[str]:
    """What is wrong with a topic that is there, a sentence each; empty when it will do."""
    told = []
    if found.partitions != want.partitions:
        told.append(f"{want.name} has {found.partitions} partitions, not {want.partitions}")
    told += [
        f"{want.name} has {name} = {found.settings.get(name)}, not {want.settings[name]}"
        for name in REQUIRED
        if found.settings.get(name) != want.settings[name]
    ]
    if int(found.settings.get("max.message.bytes", MESSAGE_BYTES)) < MESSAGE_BYTES:
        told.append(
            f"{want.name} has max.message.bytes = {found.settings['max.message.bytes']}, "
            f"less than {MESSAGE_BYTES}"
        )
    return told


def _settings(topic: Topic, replication: int) -> dict[str, str]:
    settings = {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(MESSAGE_BYTES),
        "min.insync.replicas": "2" if replication > 2 else "1",  # noqa: PLR2004 - one of three may be down
    }
    if topic.compacted:
        # Only closed segments are compacted: small ones keep short what a starting enforcer has to read.
        settings |= {
            "delete.retention.ms": str(TOMBSTONE_KEPT_MS),
            "min.cleanable.dirty.ratio": "0.1",
            "segment.bytes": str(SEGMENT_BYTES),
            "segment.ms": str(SEGMENT_MS),
        }
    else:
        settings["retention.ms"] = str(-1 if topic.retention_ms is None else topic.retention_ms)
        settings["segment.ms"] = str(DAY_MS)  # what is past its retention goes with its segment
    return settings
