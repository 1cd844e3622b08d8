"""What a jail knows of one subject: its failures, the ban in force, the bans it remembers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


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
