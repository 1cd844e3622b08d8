"""Topics on the cluster: what is there, and making what is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any, Final

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import TopicAlreadyExistsError
from kafka.structs import TopicPartition

from eventlog.kafka import clients
from eventlog.kafka.errors import denied, told
from eventlog.kafka.layout import TOPICS, Placed, differences, wanted
from eventlog.kafka.options import KafkaOptions
from schemas.errors import ConfigError
from schemas.topics import EVENTS

PARTITIONS: Final = 8
"""How many partitions a new log gets unless it is said otherwise."""

REPLICATION: Final = 3
"""How many copies of each partition there are, where there are as many brokers."""

DENIED: Final = -1
"""In place of a number of partitions: this user may not see the topic, whether it is there or not."""

_UNAUTHORIZED: Final = 29


def partition_counts(options: KafkaOptions, names: Iterable[str]) -> dict[str, int]:
    """How many partitions each topic has that is there, by name without prefix; DENIED where not shown."""
    by_full_name = {options.prefix + name: name for name in names}
    with told(options.place, "looking up topics"), closing(clients.admin(options)) as admin:
        found = admin.describe_topics(list(by_full_name))
    counts = {by_full_name[topic["name"]]: len(topic["partitions"]) for topic in found if _there(topic)}
    denied = (by_full_name[topic["name"]] for topic in found if topic["error_code"] == _UNAUTHORIZED)
    return counts | dict.fromkeys(denied, DENIED)


def describe(options: KafkaOptions) -> list[Placed]:
    """Every topic of this log that is there, in the order of TOPICS. Raises LogError and Transient."""
    with told(options.place, "describing topics"), closing(clients.admin(options)) as admin:
        return _describe(admin, options)


def create(options: KafkaOptions, partitions: int | None, replication: int | None) -> list[Placed]:
    """Make every topic that is missing; returns those made.

    Args:
        options: the cluster.
        partitions: of the partitioned topics. None: as many as there are, PARTITIONS in a new log.
        replication: copies of each partition. None: REPLICATION, or as many as there are brokers.

    Raises:
        ConfigError: a topic that is there differs from what was asked for; nothing was made.
        LogError, Transient: the cluster refused, or cannot be reached.
    """
    with told(options.place, "creating topics"), closing(clients.admin(options)) as admin:
        found = {placed.name: placed for placed in _describe(admin, options)}
        if partitions is None:
            partitions = found[EVENTS.name].partitions if EVENTS.name in found else PARTITIONS
        copies = replication or min(REPLICATION, len(admin.describe_cluster()["brokers"]))
        want = wanted(partitions, copies)
        problems = [
            problem
            for topic in want
            if topic.name in found
            for problem in differences(topic, found[topic.name])
        ]
        if problems:
            raise ConfigError(*(f"{options.place}: {_advice(problem)}" for problem in problems))
        missing = [topic for topic in want if topic.name not in found]
        if missing:
            _create(admin, options, missing)
        return missing


def _advice(problem: str) -> str:
    return f"{problem}; nothing was changed: a log's partitions are fixed, name another prefix= or remake it"


def _create(admin: Any, options: KafkaOptions, missing: list[Placed]) -> None:
    topics = {
        options.prefix + topic.name: {
            "num_partitions": topic.partitions,
            "replication_factor": topic.replication,
            "configs": dict(topic.settings),
        }
        for topic in missing
    }
    try:
        admin.create_topics(topics, timeout_ms=options.timeout_ms // 2, wait_for_metadata=True)
    except TopicAlreadyExistsError:  # another did the same at this moment: then they are there
        admin.wait_for_topics(list(topics), timeout_ms=options.timeout_ms)


def _describe(admin: Any, options: KafkaOptions) -> list[Placed]:
    names = {options.prefix + topic.name: topic.name for topic in TOPICS}
    found = {topic["name"]: topic for topic in admin.describe_topics(list(names))}
    for full_name, topic in found.items():
        if topic["error_code"] == _UNAUTHORIZED:
            raise denied(options.place, full_name)
    there = [full_name for full_name in names if _there(found[full_name])]
    settings = _settings(admin, options, there)
    return [
        Placed(
            names[full_name],
            len(found[full_name]["partitions"]),
            min(len(partition["replica_nodes"]) for partition in found[full_name]["partitions"]),
            settings[full_name],
        )
        for full_name in there
    ]


def drop_before(options: KafkaOptions, topic: str, partition: int, offset: int) -> None:
    """Drop a partition's messages before an offset. Raises LogError and Transient."""
    place = TopicPartition(options.prefix + topic, partition)
    with told(options.place, f"dropping messages of {topic}"), closing(clients.admin(options)) as admin:
        admin.delete_records({place: offset})


def _settings(admin: Any, options: KafkaOptions, full_names: list[str]) -> dict[str, dict[str, str]]:
    """The settings in force of topics that are there."""
    if not full_names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, full_name) for full_name in full_names]
    found = admin.describe_configs(resources, config_filter="all").get("topic", {})
    for full_name in full_names:
        if not found.get(full_name):  # the library leaves out what this user may not see
            raise denied(options.place, full_name, "DescribeConfigs")
    return {
        full_name: {key: each["value"] for key, each in found[full_name].items()} for full_name in full_names
    }


def _there(topic: Mapping[str, Any]) -> bool:
    return topic["error_code"] == 0 and bool(topic["partitions"])
