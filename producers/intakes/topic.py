"""A Kafka topic as a source: raw lines, or what agents wrap around them, from where it was left.

A thread fetches, so that a broker that is away holds nobody up; what it holds is bounded. Positions are
offsets, stored with the events: nothing is read twice, whatever is killed. Who may write to the topic is the
broker's to say: all that stands there is of one sender, who may speak for his hosts alone.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, Final, NamedTuple

from kafka.errors import KafkaError, OffsetOutOfRangeError
from kafka.structs import TopicPartition

from eventlog.kafka import clients
from eventlog.kafka.options import parse_url
from producers.contract import Chunk, StartPosition, stored
from producers.intakes.bodies import read_json, read_lines
from producers.intakes.counting import REFUSED_LINES, IntakeNotices
from producers.intakes.framing import MESSAGE_LIMIT_BYTES, line_of
from producers.intakes.settings import Intake
from producers.intakes.shapes import HostLine

MOST_RECORDS: Final = 2_000
FETCHES: Final = 2
"""So many fetches are held at most."""
FETCH_BYTES: Final = 1 << 20
WAIT_MS: Final = 500
LOOK_S: Final = 30.0
"""How often it is looked for new partitions."""
RETRY_S: Final = 1.0
CLOSE_S: Final = 5.0
GONE: Final = "{}: times that messages were gone before they were read: the topic's retention is too short"
AWAY: Final = "{}: not read just now: {}"
REFUSED: Final = "{}: events of a host that this sender may not speak for, refused"


class FetchedValues(NamedTuple):
    """What one fetch brought: by partition the offset to go on from, and the values in order."""

    offsets: dict[int, int]
    values: list[bytes]


@dataclass(slots=True)
class Fetcher:
    """Fetches into a queue, by a thread, until it is told to stop.

    Attributes:
        offsets: by partition, where to go on; of one that is not in it `start` says.
        trouble: why it cannot fetch now; None where it can.
        gone: how often messages were gone.
    """

    servers: str
    topic: str
    offsets: dict[int, int]
    start: StartPosition
    now_ms: Callable[[], int]
    wake: Callable[[], None]
    queue: Queue[FetchedValues]
    stopping: Event
    trouble: str | None = None
    gone: int = 0

    def run(self) -> None:
        """Fetch, and begin again after whatever went wrong."""
        while not self.stopping.is_set():
            try:
                options = parse_url(self.servers)
                consumer = clients.consumer(options, WAIT_MS, options.timeout_ms, most_bytes=FETCH_BYTES)
                try:
                    self._fetch(consumer)
                finally:
                    with suppress(KafkaError, OSError):
                        consumer.close(autocommit=False)
            except OffsetOutOfRangeError as error:
                self.gone += 1
                for place in error.args[0] if error.args and isinstance(error.args[0], dict) else {}:
                    self.offsets.pop(place.partition, None)
                self.start = StartPosition("beginning")
            except (KafkaError, OSError, ValueError) as error:
                self.trouble = f"{type(error).__name__}: {error!s:.200}"
                self.wake()
                self.stopping.wait(RETRY_S)

    def _fetch(self, consumer: Any) -> None:
        looked = 0.0
        while not self.stopping.is_set():
            now_s = self.now_ms() / 1_000
            if abs(now_s - looked) > LOOK_S:
                self._assign(consumer)
                looked = now_s
            batches = consumer.poll(timeout_ms=WAIT_MS, max_records=MOST_RECORDS)
            self.trouble = None
            values: list[bytes] = []
            for place, records in batches.items():
                values += [bytes(each.value) for each in records if each.value]
                self.offsets[place.partition] = records[-1].offset + 1
            if batches:
                self._hand(FetchedValues(dict(self.offsets), values))

    def _hand(self, fetched: FetchedValues) -> None:
        while not self.stopping.is_set():
            with suppress(Full):
                self.queue.put(fetched, timeout=WAIT_MS / 1_000)
                self.wake()
                return

    def _assign(self, consumer: Any) -> None:
        """Read every partition there is. Raises ValueError while there is no such topic."""
        numbers = consumer.partitions_for_topic(self.topic)
        if not numbers:
            raise ValueError(f"there is no topic {self.topic}, or it may not be read")
        places = [TopicPartition(self.topic, number) for number in sorted(numbers)]
        consumer.assign(places)
        new = [place for place in places if place.partition not in self.offsets]
        self.offsets |= self._first(consumer, new)
        self.start = StartPosition("beginning")
        for place in places:
            consumer.seek(place, self.offsets[place.partition])
        if new:
            self._hand(FetchedValues(dict(self.offsets), []))

    def _first(self, consumer: Any, places: list[Any]) -> dict[int, int]:
        """Where partitions begin that have not been read."""
        if not places:
            return {}
        ends = consumer.end_offsets(places)
        if self.start.at == "beginning":
            ends = consumer.beginning_offsets(places)
        elif self.start.at == "recent":
            since_ms = self.now_ms() - self.start.recent_ms
            found = consumer.offsets_for_times(dict.fromkeys(places, since_ms))
            ends |= {place: each.offset for place, each in found.items() if each is not None}
        return {place.partition: offset for place, offset in ends.items()}


class TopicSource:
    """Reads what the thread has fetched."""

    def __init__(
        self,
        intake: Intake,
        resume: Mapping[str, Any] | None,
        start: StartPosition,
        now_ms: Callable[[], int],
    ) -> None:
        """Go on at a position. Raises InvalidMessage for what is none."""
        self.id = intake.listen
        self._sender = intake.senders[0]
        self._origin = intake.origin(self._sender)
        self._notices = IntakeNotices(self.id)
        resume = resume or {"incarnation": f"{now_ms():x}-{os.getpid()}", "position": 0, "offsets": {}}
        self._incarnation = stored(resume, "incarnation", str)
        self._position = stored(resume, "position", int)
        self._offsets = {int(name): int(at) for name, at in stored(resume, "offsets", dict).items()}
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closed = False
        self._fetcher = Fetcher(
            servers=intake.servers or "",
            topic=self.id.partition("://")[2],
            offsets=dict(self._offsets),
            start=StartPosition("beginning") if self._offsets else start,
            now_ms=now_ms,
            wake=self._woken,
            queue=Queue(FETCHES),
            stopping=Event(),
        )
        self._thread = Thread(target=self._fetcher.run, name="topic", daemon=True)
        self._thread.start()

    def filenos(self) -> list[int]:
        """Readable when something was fetched."""
        return [] if self._closed else [self._wake]

    def read(self, max_bytes: int) -> Chunk | None:
        """What one fetch brought, as lines."""
        del max_bytes
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        try:
            fetched = self._fetcher.queue.get_nowait()
        except Empty:
            return None
        if not self._fetcher.queue.empty():
            self._woken()
        data = b"".join([self._lines(value) for value in fetched.values])
        start, self._position = self._position, self._position + len(data)
        self._offsets = fetched.offsets
        return Chunk(data, self._incarnation, start, self.position(), live=False, origin=self._origin)

    def again(self, incarnation: str, start: int, length: int) -> bytes:
        """Nothing: a line that was torn is not put together over a restart."""
        del incarnation, start, length
        return b""

    def position(self) -> Mapping[str, Any]:
        """By partition the next offset, and how many bytes of lines came before."""
        offsets = {str(number): offset for number, offset in self._offsets.items()}
        return {"incarnation": self._incarnation, "position": self._position, "offsets": offsets}

    def notices(self) -> Mapping[str, int]:
        """What was not read, and why it is not just now."""
        found = +self._notices.counts + Counter({GONE.format(self.id): self._fetcher.gone})
        trouble = self._fetcher.trouble
        return found + Counter({AWAY.format(self.id, trouble): 1} if trouble else {})

    def speaks_for(self, origin: str, host: str | None) -> bool:
        """Whether an event of this origin may be of a host; it is counted where not."""
        if origin == self._origin and self._sender.speaks_for(host):
            return True
        self._notices.counts[REFUSED.format(origin)] += 1
        return False

    @property
    def asked(self) -> bool:
        """Nobody waits."""
        return False

    def settled(self, position: Mapping[str, Any]) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """End the thread. Idempotent."""
        if not self._closed:
            self._fetcher.stopping.set()
            self._thread.join(CLOSE_S)
            self._closed = True
            os.close(self._wake)

    def _woken(self) -> None:
        with suppress(OSError):
            os.eventfd_write(self._wake, 1)

    def _lines(self, value: bytes) -> bytes:
        """The lines of a message that are of the sender's hosts."""
        found = list(_said(value))
        own = [each for each in found if self._sender.speaks_for(each.host)]
        self._notices.add(REFUSED_LINES, self._sender, len(found) - len(own))
        return b"".join([line_of(each.line[:MESSAGE_LIMIT_BYTES]) for each in own])


def _said(value: bytes) -> list[HostLine]:
    """What a message holds: JSON of an agent's, or lines."""
    if value[:1] in {b"{", b"["}:
        with suppress(ValueError, RecursionError):
            return list(read_json(value))
    return list(read_lines(value))
