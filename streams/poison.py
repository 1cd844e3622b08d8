"""Whether what is read has become mostly unreadable: a window over the last lines, carried over restarts."""

from __future__ import annotations

from collections import deque
from typing import Final

from schemas.errors import BanstreamError

WINDOW_LINES: Final = 1_000
MOST_A_FRAME: Final = 100
"""A frame counts for at most this many lines, so that one frame of garbage alone alarms nobody."""


class Poison:
    """How many of the last WINDOW_LINES lines were refused.

    Attributes:
        lines, refused: within the window.
    """

    def __init__(self, lines: int = 0, refused: int = 0) -> None:
        """Go on where an earlier window ended: `lines` and `refused` are what it held."""
        self.lines = lines
        self.refused = refused
        self._frames: deque[tuple[int, int]] = deque([(lines, refused)])

    def count(self, lines: int, refused: int) -> None:
        """Take a frame into the window."""
        weight = min(lines, MOST_A_FRAME)
        frame = weight, refused * weight // lines
        self._frames.append(frame)
        self.lines += frame[0]
        self.refused += frame[1]
        while self.lines - self._frames[0][0] >= WINDOW_LINES:
            old = self._frames.popleft()
            self.lines -= old[0]
            self.refused -= old[1]

    @property
    def alarming(self) -> bool:
        """Whether more than half of a full window was refused."""
        return self.lines >= WINDOW_LINES and self.refused * 2 > self.lines


class Poisoned(BanstreamError):  # noqa: N818 - says what the log is, and that a person has to look
    """More than half of what was read lately could not be: a partition is stopped before an offset."""

    def __init__(self, partition: int, offset: int, poison: Poison) -> None:
        super().__init__(
            f"ALARM: partition {partition} of the events is not decided from offset {offset} on: of the last "
            f"{poison.lines} lines there {poison.refused} cannot be read. Put right what writes them "
            "(banstream.deadletters says where they stand and why). No restart goes past them by itself: "
            "stop the workers, start them with --drain, which puts what cannot be read into the dead "
            "letters, and without it when they have caught up"
        )
