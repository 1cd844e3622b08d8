"""What a source of lines offers: bytes of whole lines, and a position to go on from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from schemas.errors import InvalidMessage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines, read from one file (or journal, or pipe) of a source.

    Attributes:
        data: the lines, each ending in a newline. A line past LINE_LIMIT_BYTES is cut there. Empty: something
            was passed over, and there may be more at once.
        incarnation: which file (or boot) of the origin, in 40 characters at most; never reused for other
            content.
        start: the position of the first byte of `data` in the incarnation.
        resume: JSON; stored, it makes the source go on right after this chunk.
        live: the source had already reached its end before it read this chunk, so the lines are new.
        origin: the id of the very file the lines are from; the source's own id unless it is a glob. As that,
            a name (schemas.bounds).
    """

    data: bytes
    incarnation: str
    start: int
    resume: Mapping[str, Any]
    live: bool
    origin: str


LINE_LIMIT_BYTES = 1 << 20
"""A line longer than this is cut; the rest of it is skipped and counted."""


class Source(Protocol):
    """Where lines come from. It never waits: a caller selects on `filenos`, and also looks now and then."""

    @property
    def id(self) -> str:
        """Its name in events, such as `file:/var/log/auth.log`."""
        ...

    def filenos(self) -> list[int]:
        """Descriptors that become readable when there may be more; none means: look now and then."""
        ...

    def read(self, max_bytes: int) -> Chunk | None:
        """The next lines, about `max_bytes` at most, or one that is longer; None when there are none now.

        Raises nothing. Whatever is in a file, a call takes bounded time.
        """
        ...

    def again(self, incarnation: str, start: int, length: int) -> bytes:
        """Bytes that a chunk held, once more; fewer, or none, where they are gone. Raises nothing."""
        ...

    def position(self) -> Mapping[str, Any]:
        """JSON like a chunk's `resume`, for where it stands now."""
        ...

    def notices(self) -> Mapping[str, int]:
        """What went wrong and was survived: a sentence, and how often."""
        ...

    def close(self) -> None:
        """Let go. Idempotent."""
        ...


@runtime_checkable
class Spoken(Protocol):
    """A source whose lines others say: each of its origins may speak for some hosts alone."""

    def speaks_for(self, origin: str, host: str | None) -> bool:
        """Whether an event of this origin may be of a host; None: its line names none."""
        ...

    @property
    def asked(self) -> bool:
        """Whether somebody waits to hear that what was read is stored."""
        ...

    def settled(self, position: Mapping[str, Any]) -> None:
        """What was read up to a position, such as a chunk's `resume`, is stored."""
        ...


@dataclass(frozen=True, slots=True)
class StartPosition:
    """Where to begin: `beginning`, `end`, or `recent`: at the first line of the last `recent_ms`.

    `zone`: of times that name none; None: the local one.
    """

    at: Literal["recent", "beginning", "end"] = "recent"
    recent_ms: int = 600_000
    zone: tzinfo | None = None


def none_missing(_spec: str) -> list[str]:
    """What lacks no file."""
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKind:
    """A kind of source. Another package offers one as an entry point of the group `banstream.sources`.

    Attributes:
        spec: what the specs of its sources look like, matched whole; they begin with its name.
        open: the source of a spec, at a stored position, else where to start; with a clock, in Unix
            milliseconds. Raises ConfigError, and InvalidMessage for what is no position of its kind.
        check: what keeps a source from being read: what, where, what to do.
        missing: a warning for each file that is not there (it may appear later), or is left out.
    """

    spec: re.Pattern[str]
    open: Callable[[str, Mapping[str, Any] | None, StartPosition, Callable[[], int]], Source]
    check: Callable[[str], list[str]]
    missing: Callable[[str], list[str]] = none_missing


def stored(position: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """A field of a stored position; InvalidMessage when it is missing or of another kind."""
    value = position.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InvalidMessage(f"not a position: expected {kind.__name__}, not {value!r:.80}", field=name)
    return value
