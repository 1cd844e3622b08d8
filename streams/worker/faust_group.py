"""Membership by Faust: who has which partitions, and their messages as its one queue brings them.

None of its tables, leader topics, web server or acknowledgements are used (docs/decisions/008). It reads what
is committed only: a transaction that was undone never happened. It drops messages while partitions move, and
its queue is one for all partitions, so nothing here waits for one: see streams.worker.inlet.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, ClassVar, Final

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.assignor import PartitionAssignor
from faust.transport.drivers import aiokafka as driver
from faust.types.auth import CredentialsT
from yarl import URL

from eventlog.kafka.internals import require
from schemas.topics import EVENTS
from streams.worker.connection import Cluster
from streams.worker.history import message_of
from streams.worker.membership import DELIVERED, Receiver
from streams.worker.states import SESSION_S

require("faust-streaming", driver.AIOKafkaConsumerThread, "_create_worker_consumer", "_ensure_consumer")
require("faust-streaming", driver.Consumer, "_new_consumer_thread")
require("faust-streaming", faust.App, "_new_transport")
require("aiokafka", AIOKafkaConsumer, "_isolation_level")

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
    """What a client knows of the cluster, and that every input has all its partitions.

    A client that joins while a broker starts may not have heard of a topic yet. As the group's leader it
    would then share out nothing, the group would be content, and nobody would decide until somebody joins.
    """

    def __init__(self, cluster: Any, topics: Iterable[str], partitions: int) -> None:
        self._cluster = cluster
        self._topics = frozenset(topics)
        self._partitions = partitions

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        """The numbers of a topic's partitions; None of one that is not known."""
        known: set[int] | None = self._cluster.partitions_for_topic(topic)
        return set(range(self._partitions)) if topic in self._topics else known

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)


class _Assignor(PartitionAssignor):  # type: ignore[misc] # Faust is not checked
    def assign(self, cluster: Any, member_metadata: Any) -> Any:
        group: Any = self.app
        whole: Any = _Whole(cluster, group.inputs, group.partitions)
        return super().assign(whole, member_metadata)


class FaustGroup(faust.App):  # type: ignore[misc] # Faust is not checked
    """A worker's membership in the group. See streams.worker.membership.Host.

    Attributes:
        inputs: the names of the input topics, by theirs on the cluster.
    """

    exact = False

    def __init__(self, cluster: Cluster, partitions: int, receiver: Receiver) -> None:
        """Nothing connects before `start`. `partitions`: how many each input has."""
        self.partitions = partitions
        self.inputs = {cluster.topic(name): name for name in DELIVERED}
        self._receiver = receiver
        super().__init__(
            cluster.group,
            broker=[URL(f"kafka://{server}") for server in cluster.options.servers],
            broker_credentials=_credentials(cluster),
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
        self.agent(self.topic(*self.inputs, key_type=bytes, value_type=bytes, acks=False))(self._follow)
        # Faust's types of its own signals do not fit how it calls them.
        self.on_partitions_revoked.connect(self._revoked)  # pyright: ignore[reportArgumentType]
        self.on_partitions_assigned.connect(self._assigned)  # pyright: ignore[reportArgumentType]

    async def ended(self) -> str:
        """Wait until it ends by itself; why."""
        await self.wait_until_stopped()
        return repr(self.crash_reason)

    def go_on(self, number: int, offsets: Mapping[str, int]) -> None:
        """Nothing to do: what comes is passed over or taken, as it fits."""

    def hold(self, number: int) -> None:
        """Nothing to do."""

    def release(self, number: int) -> None:
        """Nothing to do."""

    async def hint(self, offsets: Mapping[int, int]) -> None:
        """Let the group know up to where events are decided: who takes over begins to read there."""
        names = [name for name, topic in self.inputs.items() if topic == EVENTS.name]
        places = {
            TopicPartition(name, number): offset for name in names for number, offset in offsets.items()
        }
        consumer: Any = self.consumer
        thread = consumer._thread  # noqa: SLF001 - Faust's own commit crashes the worker where the broker is away
        client = thread._ensure_consumer()  # noqa: SLF001
        with suppress(KafkaError):  # another hint follows
            await thread.call_thread(client.commit, places)

    def _new_transport(self) -> Any:
        return _Transport(self.conf.broker_consumer, self)

    async def _follow(self, stream: Any) -> None:
        async for event in stream.noack().events():
            self._receiver.take(self.inputs[event.message.topic], message_of(event.message))
            await self._receiver.breathe()

    async def _revoked(self, _: Any, revoked: Iterable[Any], **__: Any) -> None:
        await self._receiver.revoked({place.partition for place in revoked})

    async def _assigned(self, _: Any, assigned: Iterable[Any], **__: Any) -> None:
        await self._receiver.assigned({place.partition for place in assigned})


def _credentials(cluster: Cluster) -> CredentialsT | None:
    """Who we are, as Faust wants it; None where nobody asks."""
    options = cluster.options
    if options.user is not None:
        return faust.SASLCredentials(
            username=options.user,
            password=options.password,
            mechanism=options.mechanism,
            ssl_context=cluster.tls,
        )
    return None if cluster.tls is None else faust.SSLCredentials(cluster.tls)
