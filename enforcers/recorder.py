"""Writes what an enforcer did into the log, many records a frame; keeps what the log cannot take yet."""

from __future__ import annotations

from typing import Final, Literal

from eventlog.contract import Append, EventLog, Message
from schemas.codec import encode
from schemas.errors import InvalidMessage, Transient
from schemas.records import LINE_BYTES, DeadLetter, Enforcement, Outcome
from schemas.topics import BANS, DEADLETTERS, ENFORCEMENTS

FRAME_RECORDS: Final = 500
Verb = Literal["ban", "unban"]


class Recorder:
    """One host's account.

    Attributes:
        totals: how many records of each outcome were made since the start.
    """

    def __init__(self, log: EventLog, host: str, backend: str) -> None:
        """Fence every older enforcer of this host."""
        self._writer = log.writer(f"enforcer/{host}")
        self._host = host
        self._backend = backend
        self._lines: list[bytes] = []
        self._appends: list[Append] = []
        self.totals: dict[Outcome, int] = {"applied": 0, "refused": 0, "failed": 0, "skipped": 0}

    @property
    def waiting(self) -> int:
        """How many records the log has not taken yet."""
        return len(self._lines) + len(self._appends)

    def note(self, verb: Verb, prefix: str, outcome: tuple[str, Outcome, str | None], at_ms: int) -> None:
        """Keep what came of a decision: its id, the outcome and the detail."""
        decision, result, detail = outcome
        self.totals[result] += 1
        self._lines.append(
            encode(
                Enforcement(
                    decision=decision,
                    prefix=prefix,
                    verb=verb,
                    host=self._host,
                    backend=self._backend,
                    outcome=result,
                    at_ms=at_ms,
                    detail=detail,
                )
            )
        )

    def bury(self, message: Message, error: InvalidMessage, at_ms: int) -> None:
        """Keep a message that could not be read, as a dead letter."""
        letter = DeadLetter(
            topic=BANS.name,
            partition=message.partition,
            offset=message.offset,
            index=0,
            reason=str(error),
            at_ms=at_ms,
            line=message.value.decode(errors="replace")[:LINE_BYTES],
        )
        self._appends.append(Append(DEADLETTERS.name, encode(letter)))

    def commit(self) -> bool:
        """Write all that was kept; False when the log cannot take it now, and it stays kept.

        Raises:
            Fenced: another enforcer of this host has taken over; this one must stop.
            LogError: the log cannot be used any more.
        """
        appends = self._appends + [
            Append(ENFORCEMENTS.name, b"\n".join(self._lines[start : start + FRAME_RECORDS]), key=self._host)
            for start in range(0, len(self._lines), FRAME_RECORDS)
        ]
        if appends:
            try:
                self._writer.commit(appends, {})
            except Transient:
                return False
            self._lines.clear()
            self._appends.clear()
        return True

    def close(self) -> None:
        """Let go of the writer."""
        self._writer.close()
