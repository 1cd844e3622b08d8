"""Carrying an embedded log over to another: message by message, in an order that can be gone on with.

What is to be written follows from the old log alone. So a target that holds the beginning of it is one that
an earlier run was interrupted on: it is compared, and the rest is written. One that holds anything else is
somebody's log, and is left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from eventlog.contract import Append, EventLog, Message
from schemas.errors import LogError
from streams.moving import Moving

BATCH_BYTES: Final = 4 << 20
BATCH_MESSAGES: Final = 20_000

MigratedPlace = tuple[str, int]
"""A topic and a partition of it."""


class Migration:
    """The messages of an old log, and the new one that they go to.

    Attributes:
        moving: what is to be written.
        written: by topic, how many messages this run has written.
        there: by topic, how many an earlier run had.
    """

    def __init__(self, source: EventLog, target: EventLog) -> None:
        self.moving = Moving(source, target.partitions)
        self.written: Counter[str] = Counter()
        self.there: Counter[str] = Counter()
        self._target = target
        self._all = range(target.partitions)

    def check(self) -> None:
        """Raise LogError, before anything is written, for a target that holds anything else.

        Compares as far as the target goes; nothing is read of an empty one but its ends.
        """
        if not any(
            self._target.end(topic.name, number) for topic in self.moving.ORDER for number in self._all
        ):
            return
        for topic in self.moving.ORDER:
            self._compare(topic.name, self.moving.appends(topic))

    def run(self) -> None:
        """Write what is missing. Raises Transient and LogError; another run then goes on."""
        for topic in self.moving.ORDER:
            batch: list[Append] = []
            size = 0
            for append in self._missing(self.moving.appends(topic)):
                batch.append(append)
                size += len(append.value)
                if size >= BATCH_BYTES or len(batch) >= BATCH_MESSAGES:
                    self._write(batch)
                    batch, size = [], 0
            self._write(batch)

    def _write(self, batch: list[Append]) -> None:
        if batch:
            self._target.append(batch)
            self.written[batch[0].topic] += len(batch)

    def _missing(self, appends: Iterator[Append]) -> Iterator[Append]:
        """Those that the target does not hold yet."""
        ends: dict[MigratedPlace, int] = {}
        counts: Counter[MigratedPlace] = Counter()
        for append in appends:
            place = append.topic, append.partition
            if place not in ends:
                ends[place] = self._target.end(*place)
            if counts[place] >= ends[place]:
                yield append
            counts[place] += 1

    def _compare(self, topic: str, appends: Iterator[Append]) -> None:
        held = {number: self._held(topic, number) for number in self._all}
        begins = {number: self._target.begin(topic, number) for number in held}
        counts: Counter[int] = Counter()
        for append in appends:
            number = append.partition
            if counts[number] >= begins[number]:  # what was there before may have been dropped since
                message = next(held[number], None)
                if message is not None:
                    self._same(topic, append, message, counts[number])
                    self.there[topic] += 1
            counts[number] += 1
        for number, rest in held.items():
            if next(rest, None) is not None:
                raise _foreign(topic, number)

    def _same(self, topic: str, append: Append, message: Message, offset: int) -> None:
        if (message.offset, message.key, message.value) != (offset, append.key, append.value):
            raise _foreign(topic, append.partition)

    def _held(self, topic: str, partition: int) -> Iterator[Message]:
        offset = 0
        while page := self._target.read(topic, partition, offset):
            yield from page
            offset = page[-1].offset + 1


def _foreign(topic: str, partition: int) -> LogError:
    return LogError(
        f"the target's {topic}, partition {partition}, holds records that are not this log's; nothing was "
        "written; migrate to topics that were just made (`banstream topics create`), under another "
        "prefix= in the url where these are in use"
    )
