"""Keeping the log of one machine within its age and its size, beside the stages that write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from logging import getLogger
from typing import Final

from eventlog.contract import EventLog, Place
from schemas.topics import EVENTS
from streams.embedded import EmbeddedDecider

RETAIN_MS: Final = 600_000
SHRINK_MS: Final = 10_000
DROPPED: Final = "messages were dropped, the oldest events first, to keep the log within log.max_size"
EXCESS: Final = (
    "bytes of the log are beyond log.max_size: decisions, bans and state alone need them; raise it"
)

log = getLogger("banstream")


class Housekeeping:
    """What is dropped of a log, when, and how much it was."""

    def __init__(self, event_log: EventLog, now_ms: Callable[[], int]) -> None:
        self._log = event_log
        self._now_ms = now_ms
        self._retain_at_ms = now_ms() + RETAIN_MS
        self._shrink_at_ms = 0
        self._dropped = self._excess_bytes = 0

    def keep(self, decider: EmbeddedDecider, max_bytes: int | None) -> bool:
        """Drop what is too old, and of too large a log the oldest that is decided; whether there is more.

        Raises as the log does.
        """
        now_ms = self._now_ms()
        if now_ms >= self._retain_at_ms:
            self._log.retain(now_ms)
            self._retain_at_ms = now_ms + RETAIN_MS
        if now_ms < self._shrink_at_ms:
            return False
        more = self._shrink(decider, max_bytes)
        self._shrink_at_ms = now_ms if more else now_ms + SHRINK_MS
        return more

    def notices(self) -> Mapping[str, int]:
        """What went for want of room, and what is beyond it."""
        counted = {DROPPED: self._dropped, EXCESS: self._excess_bytes}
        return {sentence: count for sentence, count in counted.items() if count}

    def _shrink(self, decider: EmbeddedDecider, max_bytes: int | None) -> bool:
        def needed() -> Mapping[Place, int]:
            decider.checkpoint()  # a restart folds nothing again that is dropped now
            waiting = {(EVENTS.name, number): 0 for number in range(self._log.partitions)}
            return waiting | decider.offsets()

        if max_bytes is None:
            self._excess_bytes = 0
            return False
        shrunk = self._log.shrink(max_bytes, needed)
        if shrunk.messages and not self._dropped:
            log.warning("The log is at its size, so its oldest events go max_size_bytes=%d", max_bytes)
        excess_bytes = 0 if shrunk.messages else shrunk.excess_bytes
        if excess_bytes and not self._excess_bytes:
            log.warning("The log is past its size, and nothing may go excess_bytes=%d", excess_bytes)
        self._dropped += shrunk.messages
        self._excess_bytes = excess_bytes
        return bool(shrunk.messages and shrunk.excess_bytes)
