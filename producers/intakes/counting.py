"""What an intake does not take, counted by sender, and how many lines each may send."""

from __future__ import annotations

from collections import Counter
from typing import Final

from producers.intakes.settings import AllowedSender

STRANGERS: Final = "{}: connections or messages from addresses that no sender may have, not taken"
UNKNOWN: Final = "{}: connections whose certificate is no sender's, closed"
HANDSHAKES: Final = "{}: connections that began no TLS, or broke it off, closed"
TOO_MANY: Final = "{}: connections past the number that the sender may hold, closed"
SLOW: Final = "{}: connections whose message did not end in time, closed"
SILENT: Final = "{}: connections silent for long, closed to make room for new ones of their sender"
CUT: Final = "{}: messages longer than 32 KiB, cut"
OVER_LIMIT: Final = "{}: messages past the sender's lines_per_s, dropped"
OVERFLOWN: Final = "{}: datagrams that came faster than they were read, dropped by the kernel"
BAD_MESSAGES: Final = "{}: GELF messages that could not be read, dropped"
LOST_PIECES: Final = "{}: GELF messages whose pieces did not all come in time, dropped"
TOKENS: Final = "{}: requests without the token of a sender, refused"
BAD: Final = "{}: requests that could not be read, refused"
TOO_LARGE: Final = "{}: requests with a body of more than 16 MiB, packed or not, refused"
NO_ROOM: Final = "{}: requests refused until other bodies have been read (503); they are sent again"
REFUSED_LINES: Final = "{}: lines of a host that this sender may not speak for, refused"
NO_SOCKETS: Final = "{}: connections not accepted, as this process may open no more files"


class IntakeNotices:
    """Sentences about a listening address or one of its senders, and how often."""

    def __init__(self, listen: str) -> None:
        self._listen = listen
        self.counts: Counter[str] = Counter()

    def add(self, sentence: str, sender: AllowedSender | None = None, times: int = 1) -> None:
        """It happened so often."""
        if times:
            where = self._listen if sender is None else f"{self._listen}#{sender.name}"
            self.counts[sentence.format(where)] += times


class Allowance:
    """How many lines each sender may send now: a second's worth at most, filled as time goes."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, int]] = {}

    def of(self, sender: AllowedSender, now_ms: int) -> float | None:
        """How many lines it may send; below 1: none now; None: any number."""
        if sender.lines_per_s is None:
            return None
        most = float(sender.lines_per_s)
        left, at_ms = self._left.get(sender.name, (most, now_ms))
        left = min(most, left + max(0, now_ms - at_ms) * most / 1_000)
        self._left[sender.name] = left, now_ms
        return left

    def take(self, sender: AllowedSender, lines: int) -> None:
        """It has sent so many."""
        if sender.name in self._left:
            left, at_ms = self._left[sender.name]
            self._left[sender.name] = left - lines, at_ms
