"""What every event log offers. One contract suite (tests/eventlog/test_contract.py) holds all of them to it.

A log is topics, a topic is partitions, a partition is messages with ascending offsets. A message's value is
a frame (schemas.codec) and stays as it was written. In a compacted topic only the newest message of a key is
sure to be kept; an empty value is a tombstone and frees the key. Offsets are never used twice, and may have
gaps: a reader goes on at the last offset it saw plus one.

Two ways to write: `append` for those who only add (an operator's command), each message whole or not at all,
and a `Writer` for a stage, whose `commit` adds messages and moves its readers' positions all or nothing, and
which a newer writer of the same name fences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Place = tuple[str, int]
"""A topic's name and a partition of it."""


@dataclass(frozen=True, slots=True)
class Append:
    """A message to be written. `topic` is a topic's name; `key` is required in a compacted topic."""

    topic: str
    value: bytes
    key: str | None = None
    partition: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it stands in the log. `at_ms` is when it was appended, by the log's clock."""

    partition: int
    offset: int
    key: str | None
    value: bytes
    at_ms: int


class Shrunk(NamedTuple):
    """What became of a log that was to be smaller: messages dropped, and bytes that it still has too many."""

    messages: int = 0
    excess_bytes: int = 0


class Writer(Protocol):
    """A stage's way to write: everything of a commit, or nothing; and never after a newer writer came."""

    def commit(self, appends: Sequence[Append], positions: Mapping[str, bytes]) -> list[int]:
        """Append messages and set readers' positions in one transaction; returns the messages' offsets.

        Raises:
            Fenced: a newer writer of this name exists; nothing was written.
            Transient: nothing was written; the same commit may succeed later (a full disk).
            LogError: nothing was written, and it will not succeed later either.
        """
        ...

    def close(self) -> None:
        """Let go. Idempotent."""
        ...


class EventLog(Protocol):
    """One event log."""

    @property
    def partitions(self) -> int:
        """How many partitions the partitioned topics (events, decisions, state) have."""
        ...

    def append(self, appends: Sequence[Append]) -> list[int]:
        """Append messages; returns their offsets.

        What is wrong with any of them is found before one is written. A message is written whole or not at
        all; of several, a log that loses its broker midway may have written some: of each partition the
        first ones, without a gap, and it cannot know how many. Whoever then appends the same once more,
        before anything else, has each at least once, and first in the order given. (It is no transaction: one
        that nobody ends holds up all readers. What has to be all or nothing goes through a writer.)

        Raises:
            Transient: some may be written; the same append may succeed later.
            LogError: it will not succeed later either. What no topic takes is refused before any is written.
        """
        ...

    def read(self, topic: str, partition: int, offset: int, *, limit: int = 1_000) -> list[Message]:
        """Up to `limit` messages from `offset` on, in order; empty at the end. Never waits."""
        ...

    def wait(self, offsets: Mapping[Place, int], *, timeout_ms: int) -> bool:
        """Whether one of these places has a message at or after its offset; sleeps until one has.

        `timeout_ms`: how long at most. Threads take turns. `close` ends it. Raises Transient or LogError.
        """
        ...

    def begin(self, topic: str, partition: int = 0) -> int:
        """The offset of the oldest message kept; `end` when there is none."""
        ...

    def end(self, topic: str, partition: int = 0) -> int:
        """The offset that the next message will get."""
        ...

    def offset_at(self, topic: str, partition: int, at_ms: int) -> int:
        """The offset of the first message appended at or after an instant; `end` when there is none."""
        ...

    def latest(self, topic: str, partition: int = 0) -> Iterator[Message]:
        """The newest message of every key in force (no tombstones) of a compacted topic, by offset."""
        ...

    def position(self, reader: str) -> bytes | None:
        """The position a writer's commit last gave this reader; None when it never did."""
        ...

    def writer(self, name: str) -> Writer:
        """A writer of this name; from now on every older one of the same name is fenced."""
        ...

    def retain(self, now_ms: int) -> int:
        """Drop what is past its topic's retention, and compact; returns the number of messages dropped."""
        ...

    def shrink(self, max_bytes: int, needed: Callable[[], Mapping[Place, int]]) -> Shrunk:
        """Where a log of this machine is larger than that, drop the oldest of what may go (eventlog.terms).

        `needed` is asked only then: by place, the first offset that somebody still has to read; what is not
        named may go whole. Where it is still too large and something was dropped, it has more to give.
        """
        ...

    def notices(self) -> Mapping[str, int]:
        """What went wrong with it and was survived: a sentence, and how often."""
        ...

    def close(self) -> None:
        """Let go. Idempotent."""
        ...
