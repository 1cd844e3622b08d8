"""How a sink is: one record of counts kept as things happen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkStatus:
    """One sink at a moment.

    Attributes:
        name: as in `[sink.NAME]`; `to`: its receiver, without secrets; `format`: what it writes.
        sent: items that the receiver has taken since the start.
        refused: items that it will not take, which are in the dead letters.
        retries: how often something had to be sent again.
        missed: messages that the log dropped before they were sent.
        lag_messages: messages of the log that it has not seen to yet.
        lag_ms: how long the oldest of them has been in the log; 0 where there is none.
        waiting: what it met and waits for; None while all is well.
        ended: why it goes on no more; None while it does.
    """

    name: str
    to: str
    format: str
    sent: int = 0
    refused: int = 0
    retries: int = 0
    missed: int = 0
    lag_messages: int = 0
    lag_ms: int = 0
    waiting: str | None = None
    ended: str | None = None
