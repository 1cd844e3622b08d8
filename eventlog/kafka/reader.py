"""Reading committed messages: one consumer, put at whatever partition and offset is asked for.

A consumer cannot say whether it stands at the end. So the end is asked for first (the last stable offset:
what is after it is not committed yet), and then read up to: markers and aborted messages give nothing, but
move the consumer on. The end follows some milliseconds after a commit; whoever has committed himself waits
for it, so that he reads what he wrote.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from threading import RLock
from typing import Any, Final, TypeVar

from kafka.errors import KafkaError, KafkaTimeoutError, OffsetOutOfRangeError
from kafka.structs import TopicPartition

from eventlog.contract import Message
from eventlog.kafka import clients
from eventlog.kafka.errors import told
from eventlog.kafka.options import KafkaOptions

Answer = TypeVar("Answer")

AWAY_TIMEOUT_MS: Final = 1_000
"""How long calls wait once one has failed, until one succeeds: who polls has other things to do."""

POLL_MS: Final = 5
"""Short, because a poll that meets nothing but a marker waits on, although the end is reached."""
EXPECT_S: Final = 1.0
EXPECT_POLL_S: Final = 0.001
PAGE: Final = 4_096


class Reader:
    """Reads any partition. Threads may share it; it is one conversation, so they take turns."""

    def __init__(self, options: KafkaOptions, fetch_wait_ms: int = 0) -> None:
        self._options = options
        self._fetch_wait_ms = fetch_wait_ms
        self._lock = RLock()
        self._consumer: Any = None
        self._ends: dict[TopicPartition, int] = {}
        self._expected: dict[TopicPartition, int] = {}
        self._next: tuple[TopicPartition, int] | None = None
        self._waited: dict[TopicPartition, int] = {}
        self._timeout_ms = options.timeout_ms

    def read(self, place: TopicPartition, offset: int, limit: int) -> list[Message]:
        """Up to `limit` messages from `offset` on; empty at the end."""
        return self._ask("reading", lambda deadline: self._read(place, offset, limit, deadline))

    def all_from(self, place: TopicPartition, offset: int) -> Iterator[Message]:
        """Every message from an offset to the end."""
        while messages := self.read(place, offset, PAGE):
            yield from messages
            offset = messages[-1].offset + 1

    def wait(self, offsets: Mapping[TopicPartition, int], timeout_ms: int) -> bool:
        """Whether one of these has a message at or after its offset; waits up to `timeout_ms` for one."""
        return self._ask("waiting", lambda _: self._wait(offsets, timeout_ms))

    def begin(self, place: TopicPartition) -> int:
        """The offset of the oldest message kept; the end when there is none."""
        found = self._ask("asking for the oldest offset", lambda by: self._begin(place, by))
        return self.first_from(place, found)

    def end(self, place: TopicPartition) -> int:
        """The offset after the last committed message and every marker."""
        return self._ask("asking for the end", lambda deadline: self._end(place, deadline))

    def offset_at(self, place: TopicPartition, at_ms: int) -> int:
        """The offset of the first message stamped at or after an instant; the end when there is none."""

        def ask(deadline: float) -> int:
            found = self._open().offsets_for_times({place: max(at_ms, 0)}, timeout_ms=_left_ms(deadline))
            return self._end(place, deadline) if found[place] is None else int(found[place].offset)

        return self.first_from(place, self._ask("looking up an instant", ask))

    def first_from(self, place: TopicPartition, offset: int) -> int:
        """The offset of the first message from an offset on; the end when there is none."""
        messages = self.read(place, offset, 1)
        return messages[0].offset if messages else max(offset, self._ends.get(place, offset))

    def expect(self, place: TopicPartition, end: int) -> None:
        """From now on an end before this one is not the end."""
        self._expected[place] = max(end, self._expected.get(place, 0))

    def close(self) -> None:
        """Let go. Idempotent."""
        with self._lock:
            if self._consumer is not None:
                self._consumer.close(autocommit=False, timeout_ms=AWAY_TIMEOUT_MS)
            self._consumer = self._next = None

    def _ask(self, doing: str, ask: Callable[[float], Answer]) -> Answer:
        with self._lock, told(self._options.place, doing):
            try:
                answer = ask(time.monotonic() + self._timeout_ms / 1_000)
            except (KafkaError, OSError):
                self._timeout_ms = AWAY_TIMEOUT_MS
                self._next = None
                raise
            self._timeout_ms = self._options.timeout_ms
            return answer

    def _open(self) -> Any:
        if self._consumer is None:
            self._consumer = clients.consumer(self._options, self._fetch_wait_ms, self._timeout_ms)
        return self._consumer

    def _read(self, place: TopicPartition, offset: int, limit: int, deadline: float) -> list[Message]:
        offset = max(offset, 0)
        # Where the end is known to be further on, it need not be asked for: a reader of much asks seldom.
        for known in self._ends.get(place, 0), None:
            end = self._end(place, deadline) if known is None else known
            while offset < end and limit > 0:
                messages = self._poll(place, offset, limit, POLL_MS)
                if messages:
                    return messages
                offset = int(self._open().position(place, timeout_ms=_left_ms(deadline)) or offset)
        return []

    def _poll(self, place: TopicPartition, offset: int, limit: int, wait_ms: int) -> list[Message]:
        """What one poll gives from an offset on."""
        self._put(place, offset)
        try:
            records = self._open().poll(timeout_ms=wait_ms, max_records=limit).get(place, ())
        except OffsetOutOfRangeError:  # retention dropped what was asked for: the oldest kept is next
            self._put(place, self._begin(place, time.monotonic() + self._timeout_ms / 1_000))
            return []
        if records:
            self._next = place, records[-1].offset + 1
        return [_message(record) for record in records]

    def _wait(self, offsets: Mapping[TopicPartition, int], timeout_ms: int) -> bool:
        consumer = self._open()
        self._next = None
        if consumer.assignment() != offsets.keys():
            consumer.assign(list(offsets))
            self._waited = {}
        for place, offset in offsets.items():
            if self._waited.get(place) != offset:
                consumer.seek(place, max(offset, 0))
        self._waited = dict(offsets)
        try:
            found = consumer.poll(timeout_ms=timeout_ms, max_records=1)
        except OffsetOutOfRangeError:  # retention dropped what was asked for: there is something to look at
            found = offsets
        for place in found:  # the next wait is to find it again
            del self._waited[place]
        return bool(found)

    def _put(self, place: TopicPartition, offset: int) -> None:
        """Put the consumer at an offset, unless it stands there: what it has fetched ahead would be lost."""
        if self._next == (place, offset):
            return
        consumer = self._open()
        if consumer.assignment() != {place}:
            consumer.assign([place])
        consumer.seek(place, offset)
        self._next = place, offset

    def _begin(self, place: TopicPartition, deadline: float) -> int:
        return int(self._open().beginning_offsets([place], timeout_ms=_left_ms(deadline))[place])

    def _end(self, place: TopicPartition, deadline: float) -> int:
        end = self._stable_end(place, deadline)
        expected = self._expected.get(place, 0)
        patience = time.monotonic() + EXPECT_S  # another's open transaction may hold it back
        while end < expected and time.monotonic() < patience:
            time.sleep(EXPECT_POLL_S)
            end = self._stable_end(place, deadline)
        self._ends[place] = end
        return end

    def _stable_end(self, place: TopicPartition, deadline: float) -> int:
        return int(self._open().end_offsets([place], timeout_ms=_left_ms(deadline))[place])


def _left_ms(deadline: float) -> int:
    """Milliseconds until a deadline; KafkaTimeoutError when it has passed."""
    left_ms = int((deadline - time.monotonic()) * 1_000)
    if left_ms <= 0:
        raise KafkaTimeoutError("no answer in time")
    return left_ms


def _message(record: Any) -> Message:
    key = None if record.key is None else record.key.decode("utf-8", "backslashreplace")
    return Message(record.partition, record.offset, key, record.value or b"", record.timestamp)
