"""What a partition of a worker asks for. The first three are answered by an input, and Commit is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from eventlog.contract import Append


@dataclass(frozen=True, slots=True)
class Open:
    """Make a transactional producer, which fences every older one of the partition."""


@dataclass(frozen=True, slots=True)
class ReadState:
    """Read the state topic from an offset on."""

    begin: int


@dataclass(frozen=True, slots=True)
class Read:
    """Read some messages of a topic from one offset to before another (None: the end of the log)."""

    topic: str
    begin: int
    end: int | None


@dataclass(frozen=True, slots=True)
class DoneReading:
    """Nothing more is read from the log for now."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Write these in one transaction; the last of them is among the state."""

    appends: tuple[Append, ...]


@dataclass(frozen=True, slots=True)
class LetGo:
    """Abandon whatever was asked, answer none of it, and close the producer."""


@dataclass(frozen=True, slots=True)
class GoOn:
    """Deliver messages, of each topic from this offset on."""

    offsets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class HoldBack:
    """Deliver no more messages before GoOn or Room."""


@dataclass(frozen=True, slots=True)
class Room:
    """Go on delivering messages, from where it was held."""


@dataclass(frozen=True, slots=True)
class Say:
    """Something for the log of this process, at one of its levels: a constant sentence, and facts."""

    level: int
    sentence: str
    facts: Mapping[str, object] = field(default_factory=dict)


INFO: Final = 20
WARNING: Final = 30
ERROR: Final = 40
"""Levels of Python's `logging`."""

Action = Open | ReadState | Read | DoneReading | Commit | LetGo | GoOn | HoldBack | Room | Say
