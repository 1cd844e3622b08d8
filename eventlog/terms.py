"""The terms on which a message is in a log: which topics take it, what needs a key, how long it stays.

| topic | stays until |
|---|---|
| with a retention | it was appended longer ago than that, by the log's clock |
| compacted | a message with the same key comes; a tombstone, TOMBSTONE_KEPT_MS at most |
| neither | for ever |

A log with a bound on its size lets go, beyond that, of what is in FIRST_TO_GO, the oldest messages first.
What was decided, what is in force, and the state from which it is decided on never go for want of room.

Append order is the truth where the clock stepped. Retention drops a topic's oldest messages up to the
first that is young enough; a message from the future does not stop it, once an old one follows. So a
machine that boots in 1970 loses no history, and one that was in 2099 for a while does not keep all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from eventlog.contract import Append
from schemas.errors import LogError
from schemas.topics import BY_NAME, DAY_MS, DEADLETTERS, ENFORCEMENTS, EVENTS, Topic

Clock = Callable[[], int]
"""Gives the instant now, in Unix milliseconds."""

TOMBSTONE_KEPT_MS: Final = DAY_MS
"""A follower that is away for less than this sees every key freed meanwhile."""

FIRST_TO_GO: Final = (frozenset({EVENTS.name}), frozenset({ENFORCEMENTS.name, DEADLETTERS.name}))
"""The topics that give room, group by group; of a group the oldest messages of all its topics."""


def topic_of(name: str, partition: int, partitions: int) -> Topic:
    """The topic of this name; LogError when there is none, or no such partition."""
    topic = BY_NAME.get(name)
    if topic is None:
        raise LogError(f"no topic {name!r} in this version; there are {', '.join(BY_NAME)}")
    if not 0 <= partition < partitions:
        raise LogError(f"{name}: no partition {partition}; this log has {partitions}, counted from 0")
    return topic


def admit(append: Append, partitions: int) -> Topic:
    """The topic that takes a message; LogError when none does, or when a compacted topic misses its key."""
    topic = topic_of(append.topic, append.partition, partitions)
    if topic.compacted and append.key is None:
        raise LogError(f"{append.topic}: a message needs a key, because the topic is compacted by key")
    return topic


def compacted_topic(name: str, partition: int, partitions: int) -> Topic:
    """As topic_of, for a topic that has a newest message of every key; LogError when it is not compacted."""
    topic = topic_of(name, partition, partitions)
    if not topic.compacted:
        raise LogError(f"{name}: not compacted, so it has no newest message of every key")
    return topic
