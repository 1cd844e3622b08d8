"""What deciders tell each other, and whoever folds a partition again: records, as in schemas.records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from schemas.bounds import InstantMs, Name, Offset, Position, ShortText


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Somebody failed as a user whom a jail counts: for the partition of that user.

    Attributes:
        prefix: whom the jail would ban.
        at_ms: when it failed; `event`: the failure, as `partition-offset-index` in the events topic.
    """

    TYPE: ClassVar[str] = "sighting"
    jail: Name
    user: ShortText
    prefix: str
    at_ms: InstantMs
    event: Name
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pardon:
    """What is inside a prefix is forgiven all that it failed so far, whomever a jail counts it of."""

    TYPE: ClassVar[str] = "pardon"
    jail: Name
    prefix: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A user's failures have filled a jail's window: who took part is to be banned where he belongs.

    Attributes:
        failed_ms: when the failures happened, in order; `evidence`: each as `partition-offset-index` in the
            events topic; `prefixes`: whose each was.
    """

    TYPE: ClassVar[str] = "verdict"
    jail: Name
    user: ShortText
    failed_ms: tuple[InstantMs, ...]
    evidence: tuple[Name, ...]
    prefixes: tuple[str, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)


Dispatch = Sighting | Pardon | Verdict
"""What partitions tell each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStep:
    """What took effect between two messages of events: another input, or the passing of time.

    Attributes:
        events: the offset of the last message of events folded before it; -1 for none.
        commands, subjects, verdicts: those up to this offset were taken; None where it was another input.
        at_ms: time passed to this instant; None where an input was taken.
    """

    events: Offset
    commands: Offset | None = None
    at_ms: InstantMs | None = None
    subjects: Offset | None = None
    verdicts: Offset | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Obeyed:
    """In which order a decider took its inputs: the first record of a commit, where there is a step to tell.

    Attributes:
        first: the number of the first step among all of the partition, from 0.
        steps: in order; what is not between two steps is events alone.
    """

    TYPE: ClassVar[str] = "obeyed"
    first: Position
    steps: tuple[OrderStep, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """Vouches for the messages of a partition's decisions before it, and of its commands obeyed by then.

    Attributes:
        first: the number, from 0, of the first message of the decisions that it vouches for.
        head: of the chain over them all: each head is the SHA-256 of the one before and a message's digest.
        decisions: the first 16 hexadecimal digits of the digest of each, in order.
        commands_first: as `first`, of the commands; `commands_head`, `commands` likewise.
    """

    TYPE: ClassVar[str] = "sealed"
    first: Position
    head: Name
    decisions: tuple[Name, ...]
    commands_first: Position
    commands_head: Name
    commands: tuple[Name, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
