"""What a jail knows of one subject: its failures, the ban in force, the bans it remembers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from streams.window import at_ms_of


class Past(NamedTuple):
    """A subject's bans so far in a jail: how many, and until and from when the last one held (event time)."""

    ban_count: int
    free_from_ms: int
    at_ms: int = 0


@dataclass(slots=True)
class Held:
    """A ban in force. `while_banned` counts the subject's failures since it was decided."""

    ban: str
    at_ms: int
    until_ms: int | None
    ban_count: int
    while_banned: int = 0


Subject = int | list[int] | Held


def newest_ms(known: int | list[int]) -> int:
    """When the newest of a subject's failures happened."""
    return at_ms_of(known if isinstance(known, int) else known[-1])
