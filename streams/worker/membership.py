"""Which partitions are this worker's, and their messages as they come: Faust's part.

None of its tables, leader topics, web server or acknowledgements are used. It reads what is committed only:
a shipper's or a command's transaction that was undone never happened.
"""

from __future__ import annotations

import logging
import tempfile
from contextlib import suppress
from typing import Any, ClassVar, Final

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.assignor import PartitionAssignor
from faust.transport.drivers import aiokafka as driver

from schemas.topics import EVENTS
from streams.worker.connection import SESSION_S, Cluster

# What matters of what they log, the worker says in words of its own.
for _name in ("aiokafka", "faust", "mode", __name__):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

BUFFER_MESSAGES: Final = 32
FETCH_BYTES: Final = 2 * 1024 * 1024
NEVER_S: Final = 1e6


class _Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - Faust sets it only for transactions of its own
        return consumer


class _Consumer(driver.Consumer):  # type: ignore[misc]
    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class _Transport(driver.Transport):  # type: ignore[misc]
    Consumer: ClassVar[Any] = _Consumer  # pyright: ignore[reportIncompatibleVariableOverride]


class _Whole:
    """What a client knows of the cluster, and that the events have all their partitions.

    A client that joins while a broker starts may not have heard of the topic yet. As the group's leader it
    would then share out nothing, the group would be content, and nobody would decide until somebody joins.
    """

    def __init__(self, cluster: Any, topic: str, partitions: int) -> None:
        self._cluster = cluster
        self._topic = topic
        self._partitions = partitions

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        """The numbers of a topic's partitions; None of one that is not known."""
        known: set[int] | None = self._cluster.partitions_for_topic(topic)
        return set(range(self._partitions)) if topic == self._topic else known

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)


class _Assignor(PartitionAssignor):  # type: ignore[misc] # Faust is not checked
    def assign(self, cluster: Any, member_metadata: Any) -> Any:
        group: Any = self.app
        whole: Any = _Whole(cluster, group.events.get_topic_name(), group.partitions)
        return super().assign(whole, member_metadata)


class Group(faust.App):  # type: ignore[misc] # Faust is not checked
    """A worker's membership in the group, with the events as its only input."""

    def __init__(self, cluster: Cluster, partitions: int) -> None:
        """Nothing connects before `start`. `partitions`: how many the events have."""
        self.partitions = partitions
        super().__init__(
            cluster.group,
            broker=cluster.urls,
            broker_credentials=cluster.credentials,
            broker_client_id="banstream",
            broker_session_timeout=SESSION_S,
            broker_heartbeat_interval=SESSION_S / 4,
            broker_commit_livelock_soft_timeout=NEVER_S,
            stream_processing_timeout=NEVER_S,
            stream_buffer_maxsize=BUFFER_MESSAGES,
            stream_wait_empty=False,
            consumer_max_fetch_size=FETCH_BYTES,
            consumer_auto_offset_reset="earliest",
            key_serializer="raw",
            value_serializer="raw",
            topic_disable_leader=True,
            topic_allow_declare=False,
            web_enabled=False,
            PartitionAssignor=_Assignor,
            autodiscover=False,
            datadir=tempfile.gettempdir(),
        )
        self.events = self.topic(cluster.topic(EVENTS.name), key_type=bytes, value_type=bytes, acks=False)

    def _new_transport(self) -> Any:
        return _Transport(self.conf.broker_consumer, self)

    async def hint(self, offsets: dict[int, int]) -> None:
        """Let the group know up to where partitions are decided: who takes over begins to read there."""
        name = self.events.get_topic_name()
        places = {TopicPartition(name, partition): offset for partition, offset in offsets.items()}
        consumer: Any = self.consumer
        thread = consumer._thread  # noqa: SLF001 - Faust's own commit crashes the worker where the broker is away
        client = thread._ensure_consumer()  # noqa: SLF001
        with suppress(KafkaError):  # another hint follows
            await thread.call_thread(client.commit, places)
