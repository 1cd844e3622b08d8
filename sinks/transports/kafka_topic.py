"""A topic of a Kafka cluster, of the log's or any other: `kafka://host:port,host:port/TOPIC?options`.

The key is the address or prefix, so that what happens to one stays in order; headers say the id, the record
and the content type. An item is taken once every replica in sync has it. Options are those of the log's url.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from schemas.errors import ConfigError, Transient
from schemas.secrets import hidden
from sinks.contract import (
    TAKEN,
    Option,
    Options,
    Parcel,
    Reception,
    Sending,
    SentBy,
    SinkAnswer,
    TransportKind,
)

TOPIC_CHARACTERS: Final = 249
WAIT_S: Final = 20.0


class KafkaTopicTransport:
    """Produces to one topic."""

    def __init__(self, to: str, parcel: Parcel) -> None:
        """`to`: as in the configuration; it connects with the first batch."""
        self._place, self._topic = parted(to)
        self._type = parcel.content_type.encode()
        self._producer: Any = None

    def send(self, batch: Sequence[Sending]) -> Sequence[SinkAnswer]:
        """Produce a batch and wait for all of it. Raises Transient."""
        from kafka.errors import KafkaError  # noqa: PLC0415 - for who has the extra

        try:
            if self._producer is None:
                self._producer = self._opened()
            futures = [self._sent(sending) for sending in batch]
            self._producer.flush(timeout=WAIT_S)
            answers = [self._answer(future) for future in futures]
        except KafkaError as error:
            self.close()
            raise Transient(
                f"{hidden(self._place)}, {self._topic}: {type(error).__name__}: {error}"
            ) from error
        if any(answer.reception is Reception.AGAIN for answer in answers):
            self.close()  # else it would still send what is sent again
        return answers

    def close(self) -> None:
        """Let go of the cluster. Idempotent."""
        if self._producer is not None:
            from eventlog.kafka import internals  # noqa: PLC0415 - as above

            producer, self._producer = self._producer, None
            internals.abandon(producer)

    def _opened(self) -> Any:
        from eventlog.kafka import clients  # noqa: PLC0415 - as above
        from eventlog.kafka.options import parse_url  # noqa: PLC0415 - as above

        return clients.producer(parse_url(self._place))

    def _sent(self, sending: Sending) -> Any:
        item = sending.item
        headers = [
            ("id", item.id.encode()),
            ("record", item.happening.encode()),
            ("content-type", self._type),
        ]
        key = item.key.encode() or None
        return self._producer.send(self._topic, value=sending.body, key=key, headers=headers)

    @staticmethod
    def _answer(future: Any) -> SinkAnswer:
        from kafka.errors import MessageSizeTooLargeError, RecordListTooLargeError  # noqa: PLC0415 - as above

        if not future.is_done:
            return SinkAnswer(Reception.AGAIN, "no acknowledgement in time")
        if future.exception is None:
            return TAKEN
        said = f"{type(future.exception).__name__}: {future.exception}"
        hopeless = isinstance(future.exception, MessageSizeTooLargeError | RecordListTooLargeError)
        return SinkAnswer(Reception.HOPELESS if hopeless else Reception.AGAIN, said)


def parted(to: str) -> tuple[str, str]:
    """The cluster's url, and the topic."""
    rest, question, query = to.partition("?")
    base, _, topic = rest.removeprefix("kafka://").partition("/")
    return f"kafka://{base}{question}{query}", topic


def _doubt(to: str, _: Options) -> str | None:
    place, topic = parted(to)
    plain = topic.replace(".", "").replace("-", "").replace("_", "")
    if (
        not to.startswith("kafka://")
        or not plain.isascii()
        or not plain.isalnum()
        or len(topic) > TOPIC_CHARACTERS
    ):
        return "kafka://host:port/TOPIC"
    if topic.startswith("banstream."):
        return "a topic of its own, none of the log's"
    try:
        from eventlog.kafka.options import parse_url  # noqa: PLC0415 - as above

        parse_url(place)
    except ConfigError as error:
        return "; ".join(error.problems).replace("log.url: ", "")
    return None


def _open(to: str, _: Options, parcel: Parcel, __: SentBy) -> KafkaTopicTransport:
    return KafkaTopicTransport(to, parcel)


NO_OPTIONS: Final[dict[str, Option]] = {}
KIND: Final = TransportKind(_open, options=NO_OPTIONS, doubt=_doubt)
