"""Whose lines have become mostly unreadable: kept by sender, so that one's flood stops nobody else. Pure.

A sender is a host that signed, or a name that an unsigned key claims; all who claim none are one. Each has a
level: an unreadable line raises it, a readable one lowers it, and a message counts as MOST_A_MESSAGE lines at
most, so that one message of garbage alone is no flood.

| the sender's level | his message |
|---|---|
| below MOST_UNREADABLE, with this message | counts, line by line |
| MOST_UNREADABLE | is put aside whole: one dead letter, and nothing in it counts |
| any, and no line of his was unreadable for QUIET_MS | begins anew |

It is a part of the fold, by the log's clock alone: whoever folds the log again puts aside the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

MOST_UNREADABLE: Final = 1_000
MOST_A_MESSAGE: Final = 100
QUIET_MS: Final = 600_000
MOST_KNOWN: Final = 1_000
"""Senders with unreadable lines that are remembered: so many that sign, and so many names that are claimed.
The one who sent longest ago is forgotten first."""


class Author(NamedTuple):
    """Who sent a message.

    Attributes:
        host: the name; "" where a message claims none.
        signed: whether he proved it; else anybody may have claimed it.
    """

    host: str
    signed: bool

    def __str__(self) -> str:
        """For people."""
        if self.signed:
            return self.host
        return f"{self.host} (unsigned)" if self.host else "unknown"


KnownAuthor = tuple[str, bool, int, int]


class Floods:
    """The senders with unreadable lines; most have none, and are not here."""

    def __init__(self, known: Iterable[KnownAuthor] = ()) -> None:
        """Go on where `dump` was."""
        self._levels: dict[bool, dict[str, tuple[int, int]]] = {True: {}, False: {}}
        for host, signed, level, bad_at_ms in known:
            self._levels[signed][host] = level, bad_at_ms

    def put_aside(self, author: Author, at_ms: int, lines: int, unreadable: int) -> bool:
        """Take in a message of so many lines, at the log's instant; whether it is put aside."""
        levels = self._levels[author.signed]
        if not unreadable and author.host not in levels:
            return False
        level, bad_at_ms = levels.pop(author.host, (0, at_ms))
        if abs(at_ms - bad_at_ms) >= QUIET_MS:  # a log's clock may step back
            level = 0
        if level < MOST_UNREADABLE:
            weight = min(lines, MOST_A_MESSAGE)
            bad = unreadable * weight // lines
            level = min(MOST_UNREADABLE, max(0, level + 2 * bad - weight))
        if level:
            levels[author.host] = level, at_ms if unreadable else bad_at_ms
            if len(levels) > MOST_KNOWN:
                del levels[next(iter(levels))]
        return level == MOST_UNREADABLE

    def aside(self, at_ms: int) -> Iterator[tuple[Author, int]]:
        """Whose messages are put aside at an instant of the log, and until when at least."""
        for signed, levels in self._levels.items():
            for host, (level, bad_at_ms) in levels.items():
                if level == MOST_UNREADABLE and abs(at_ms - bad_at_ms) < QUIET_MS:
                    yield Author(host, signed), bad_at_ms + QUIET_MS

    def dump(self) -> list[KnownAuthor]:
        """What `__init__` takes, in JSON's types."""
        return [
            (host, signed, level, bad_at_ms)
            for signed, levels in self._levels.items()
            for host, (level, bad_at_ms) in levels.items()
        ]
