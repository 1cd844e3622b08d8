"""One input topic of a partition: which messages that come are next, and when the log has to be read instead.

A host that seeks (plain aiokafka) delivers every message from where it was told to go on. Faust does not: it
drops messages while partitions move, and not all of them come again; and what comes while there is no room is
passed over. Then the inlet is behind, and the log is read up to what has come.

Offsets have gaps of one, where a transaction ended, so that such a gap says nothing. It is looked up only
within SETTLE_S of an assignment, which is when Faust drops messages. A wider gap is looked up at any time.

| the inlet is | a message that comes | until |
|---|---|---|
| level | is folded; one seen before is not; one after a gap that matters: it is behind | there is no room |
| behind | is passed over, and read from the log, up to the last that came | the log is read as far as that |
"""

from __future__ import annotations

from typing import Final

SETTLE_S: Final = 10.0
MARKER: Final = 1
"""The offset that the end of a transaction takes."""


class Inlet:
    """Where one topic stands.

    Attributes:
        topic: its name.
        exact: the host delivers every message from where it was told to go on, and none while it is held.
        settled: it does so at any time, though it is not held.
        behind: messages are read from the log, not taken as they come.
        end: the end of what is committed, when it was last asked; None before.
        asked_ms: when that was, by the worker's clock; -1 before.
    """

    def __init__(self, topic: str, *, exact: bool, settled: bool = False) -> None:
        self.topic = topic
        self.exact = exact
        self.settled = settled
        self.behind = False
        self.end: int | None = None
        self.asked_ms = -1
        self._came = 0
        self._read = 0
        self._stood_at = -1
        self._settled_at = 0.0

    def opened(self, now: float) -> None:
        """The partition is open: whatever came before counts for nothing."""
        self.end = None
        self.asked_ms = -1
        self.behind = not (self.exact or self.settled)
        self._came = self._read = 0
        self._stood_at = -1
        self._settled_at = now if self.settled else now + SETTLE_S

    def level(self, next_offset: int) -> bool:
        """Whether everything that was in the log when it was last asked is folded."""
        return self.end is not None and self._known(next_offset) + MARKER >= self.end

    def passes(self, offset: int, next_offset: int) -> None:
        """A message is passed over; it is in the log."""
        if offset >= next_offset and not self.exact:
            self.behind = True
            self._came = max(self._came, offset + 1)

    def takes(self, offset: int, next_offset: int, now: float) -> bool:
        """Whether a message that came is to be folded, before which all before `next_offset` were.

        If not it was seen before, or it is passed over.
        """
        if offset < next_offset:
            return False
        if self.exact or offset == self._known(next_offset):
            self.behind = False
            return True
        gap = offset - self._known(next_offset)
        if self.behind or gap > MARKER or now < self._settled_at:
            self.passes(offset, next_offset)
            return False
        return True

    def read(self, reached: int, end: int) -> None:
        """The log was read up to before an offset, and ends at another."""
        self.end = max(end, self.end or 0)
        self._read = max(self._read, reached)
        if self._came and reached >= self._came:
            self.behind = False

    def wants(self, next_offset: int) -> bool:
        """Whether the log has to be read: something came that was passed over, or nothing has come yet."""
        known = self._known(next_offset)
        return self.behind and (known < self._came or self.end is None or known < self.end)

    def ended(self, end: int, next_offset: int, asked_ms: int) -> None:
        """The end of the log was asked: what is in it and does not come is read."""
        self.end, self.asked_ms = end, asked_ms
        if next_offset == self._stood_at and end > self._known(next_offset):
            self.behind = True
        self._stood_at = next_offset

    def begin(self, next_offset: int) -> int:
        """Where reading goes on."""
        return self._known(next_offset)

    def _known(self, next_offset: int) -> int:
        """Everything before this offset was folded, or is nothing."""
        return max(next_offset, self._read)
