"""What can happen to one partition of a worker: what the group says, and the answers to what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eventlog.contract import Message


@dataclass(frozen=True, slots=True)
class Assigned:
    """The group gave the partition to this worker."""


@dataclass(frozen=True, slots=True)
class Parked:
    """The group took the partition away."""


@dataclass(frozen=True, slots=True)
class Closing:
    """The worker ends."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Answers Open: every older owner is fenced, and what it had begun is undone."""


@dataclass(frozen=True, slots=True)
class StateRead:
    """Answers ReadState: the newest value of each key since the offset asked for.

    Attributes:
        values: by key.
        begins, ends: the oldest offset kept, and the end of what is committed, by input topic.
    """

    values: Mapping[str, bytes]
    begins: Mapping[str, int]
    ends: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PageRead:
    """Answers Read: some messages in order.

    Attributes:
        reached: every message before this offset is in this page, or was in one before it.
        end: where the reading is to end; that of Read, or the end of the log when it was asked for.
    """

    topic: str
    messages: tuple[Message, ...]
    reached: int
    end: int


@dataclass(frozen=True, slots=True)
class MessageCame:
    """The group delivered a message."""

    topic: str
    message: Message


@dataclass(frozen=True, slots=True)
class EndSeen:
    """The log was asked, as it is now and then: the end of what is committed in a topic.

    Attributes:
        asked_ms: when, by the clock of the worker's host.
    """

    topic: str
    end: int
    asked_ms: int


@dataclass(frozen=True, slots=True)
class Committed:
    """Answers Commit.

    Attributes:
        offset: that of the transaction's last message among the state.
        decisions: that of its last message among the decisions; None where there was none.
    """

    offset: int
    decisions: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Answers anything asked: the broker did not. Of a commit nobody knows whether it happened."""

    reason: str


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Answers Open and Commit: a newer owner of the partition exists."""


@dataclass(frozen=True, slots=True)
class TimePassed:
    """The clock of the worker's host says so (Unix milliseconds)."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Timer:
    """The instant that `Core.wake_at` named has come."""


Input = (
    Assigned
    | Parked
    | Closing
    | Opened
    | StateRead
    | PageRead
    | MessageCame
    | EndSeen
    | Committed
    | Failed
    | TakenOver
    | TimePassed
    | Timer
)
