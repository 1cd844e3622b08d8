"""How a producer and its uplink are: records of counts kept as things happen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerStatus:
    """All watched sources of a process at a moment.

    Attributes:
        sources: what is watched, a sentence each.
        read_bytes: bytes of lines read since the start.
        events: events written since the start.
        last_event_at_ms: when the last of them was written, in Unix milliseconds; None before the first.
    """

    sources: tuple[str, ...]
    read_bytes: int
    events: int
    last_event_at_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkStatus:
    """What waits in the spool, and how sending goes.

    Attributes:
        spooled_frames, spooled_bytes: what waits.
        spool_bytes: how much may.
        spool_refusals: how often the spool was too full for more.
        acknowledged: messages that the log has taken since the start.
        away: why the log cannot be reached; None where it can.
        away_s: for how long, in seconds.
    """

    spooled_frames: int
    spooled_bytes: int
    spool_bytes: int
    spool_refusals: int
    acknowledged: int
    away: str | None
    away_s: float | None
