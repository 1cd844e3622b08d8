"""Writes what an enforcer did into the log, many records a frame; keeps what the log cannot take yet."""

from __future__ import annotations

from time import monotonic
from typing import Final, NamedTuple, cast

from enforcers.seals import RecordSeal, unsigned
from eventlog.contract import Append, EventLog, Message, Writer
from schemas.bounds import STATEMENT_CHARACTERS
from schemas.codec import EnforcementLine, encode, encode_lines
from schemas.errors import Fenced, InvalidMessage, Transient
from schemas.records import LINE_CHARACTERS, DeadLetter, EnforcementVerb, Heartbeat, Outcome
from schemas.topics import BANS, DEADLETTERS, ENFORCEMENTS

FRAME_RECORDS: Final = 500
SILENT_S: Final = 30.0


class Result(NamedTuple):
    """What came of a decision: its id, the outcome, why, and how long after the decision it was."""

    decision: str
    outcome: Outcome
    detail: str | None = None
    delay_ms: int | None = None


class Recorder:
    """One host's account.

    Attributes:
        totals: how many records of each outcome were made since the start.
    """

    def __init__(self, log: EventLog, host: str, backend: str, seal: RecordSeal | None = None) -> None:
        """Keep an account; nothing is written before `open` or `succeed`. `seal`: for what is written."""
        self._log = log
        self._name = f"enforcer/{host}"
        self._writer: Writer | None = None
        self._away_since: float | None = None
        self._host = host
        self._backend = backend
        self._seal = seal or unsigned(host)
        self._frames: list[bytes] = []
        self._lines: list[EnforcementLine] = []
        self._letters: list[Append] = []
        self._waiting = 0
        self.totals: dict[Outcome, int] = {"applied": 0, "refused": 0, "failed": 0, "skipped": 0}

    def open(self) -> None:
        """Fence every older enforcer of this host. Raises LogError and Transient."""
        if self._writer is None:
            self._writer = self._log.writer(self._name)

    def succeed(self, old: Recorder) -> None:
        """Go on where another of this host and process stands, with what it has not written yet."""
        old._close_frame()
        self._writer, old._writer = old._writer, None
        self._away_since = old._away_since
        self._frames, self._letters = old._frames + self._frames, old._letters + self._letters
        self._waiting += old._waiting
        for outcome, count in old.totals.items():
            self.totals[outcome] += count

    @property
    def waiting(self) -> int:
        """How many records the log has not taken yet."""
        return self._waiting

    def note(self, verb: EnforcementVerb, prefix: str, result: Result, at_ms: int) -> None:
        """Keep what came of a decision."""
        decision, outcome, detail, delay_ms = result
        self.totals[outcome] += 1
        self._waiting += 1
        self._lines.append(
            EnforcementLine(
                "enforcement",
                1,
                decision,
                prefix,
                verb,
                self._host,
                self._backend,
                outcome,
                at_ms,
                detail and detail[:STATEMENT_CHARACTERS],
                delay_ms,
            )
        )
        if len(self._lines) == FRAME_RECORDS:
            self._close_frame()

    def beat(self, heartbeat: Heartbeat) -> None:
        """Keep a word on how the enforcer is."""
        self._close_frame()
        self._frames.append(encode(heartbeat))
        self._waiting += 1

    def bury(self, message: Message, error: InvalidMessage, at_ms: int) -> None:
        """Keep a message that could not be read, as a dead letter."""
        letter = DeadLetter(
            topic=BANS.name,
            partition=message.partition,
            offset=message.offset,
            index=0,
            reason=str(error),
            at_ms=at_ms,
            line=message.value.decode(errors="replace")[:LINE_CHARACTERS],
        )
        self._letters.append(Append(DEADLETTERS.name, encode(letter)))
        self._waiting += 1

    def commit(self) -> bool:
        """Write all that was kept; False when the log cannot take it now, and it stays kept.

        Raises:
            Fenced: another enforcer of this host has taken over; this one must stop.
            LogError: the log cannot be used any more.
        """
        self._close_frame()
        appends = [Append(ENFORCEMENTS.name, frame, key=self._seal(frame)) for frame in self._frames]
        if appends or self._letters:
            try:
                self._write(appends + self._letters)
            except Transient:
                self._away_since = self._away_since or monotonic()
                return False
            self._away_since = None
            self._frames.clear()
            self._letters.clear()
            self._waiting = 0
        return True

    def _write(self, appends: list[Append]) -> None:
        """Commit; where the log may have fenced this writer for its long silence, as another one.

        A commit that a broker's end cut short is fenced when the broker is back only after a minute. What is
        recorded twice does no harm; where there is another enforcer of this host indeed, one of the two gives
        way.
        """
        self.open()
        writer = cast("Writer", self._writer)
        try:
            writer.commit(appends, {})
        except Fenced:
            if self._away_since is None or monotonic() - self._away_since < SILENT_S:
                raise
            writer.close()
            self._writer = self._log.writer(self._name)
            self._writer.commit(appends, {})

    def close(self) -> None:
        """Let go of the writer. Idempotent."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _close_frame(self) -> None:
        if self._lines:
            self._frames.append(encode_lines(self._lines))
            self._lines.clear()
