"""A stage's way to write to Kafka: messages and positions in one transaction; a newer writer fences it.

A commit whose end the broker did not confirm may or may not have happened. It raises Transient and is kept;
the next commit first finds out. If it did happen, what is committed again is not written again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final, Protocol

from kafka.errors import (
    IllegalStateError,
    KafkaError,
    OutOfOrderSequenceNumberError,
    UnknownProducerIdError,
)

from eventlog.contract import Append
from eventlog.kafka.errors import FENCED, away, from_kafka, told
from eventlog.kafka.layout import POSITIONS
from eventlog.kafka.options import KafkaOptions
from eventlog.kafka.transactions import Transactions
from eventlog.writer import fenced
from schemas.errors import Fenced, LogError, Transient

SPOILT: Final = (IllegalStateError, OutOfOrderSequenceNumberError, UnknownProducerIdError)
"""What is over once the producer went on with its next epoch: the library fenced it back meanwhile, or the
broker has not what it sent before (KIP-360). Nothing of the transaction was written."""


class Log(Protocol):
    """What a writer asks of its log."""

    def check(self, appends: Sequence[Append]) -> None:
        """Raise LogError for a message that no topic takes."""

    def committed(self, topic: str, partition: int, offset: int) -> None:
        """A message is committed at this offset, though readers may not see it for some milliseconds."""


@dataclass(frozen=True, slots=True)
class _Commit:
    """What a commit is to write, and the offsets that its messages got."""

    appends: tuple[Append, ...]
    positions: Mapping[str, bytes]
    written: tuple[tuple[Append, int], ...] = ()

    @property
    def offsets(self) -> list[int]:
        return [offset for _, offset in self.written[: len(self.appends)]]


class KafkaWriter:
    """The newest writer of a name, until another comes. Threads may share it."""

    def __init__(self, options: KafkaOptions, name: str, log: Log) -> None:
        """Fence every older writer of this name. Raises Transient and LogError."""
        self._options = options
        self._name = name
        self._log = log
        self._lock = Lock()
        self._doing = f"committing as {name!r}"
        self._closed = False
        self._fenced = False
        self._unsure: _Commit | None = None
        with told(options.place, f"becoming writer {name!r}"):
            self._transactions = Transactions(options, f"{options.prefix}banstream-{name}")

    def commit(self, appends: Sequence[Append], positions: Mapping[str, bytes]) -> list[int]:
        """Append messages and set readers' positions, all or nothing; raises as the contract says."""
        with self._lock:
            if self._closed:
                raise LogError(f"writer {self._name!r} is closed")
            if self._fenced:
                raise Fenced(fenced(self._name))
            self._log.check(appends)
            wanted = _Commit(tuple(appends), dict(positions))
            done = self._settled()
            if done is not None and done.positions == wanted.positions:
                if done.appends == wanted.appends:
                    return done.offsets
                if done.appends == wanted.appends[: len(done.appends)]:  # the same, and more since
                    return done.offsets + self._commit(wanted.appends[len(done.appends) :], {})
            return self._commit(wanted.appends, wanted.positions)

    def close(self) -> None:
        """Let go. Idempotent."""
        with self._lock:
            self._closed = True
            self._transactions.close()

    def _settled(self) -> _Commit | None:
        """The last commit if it was not sure and turns out to have happened; None otherwise."""
        unsure = self._unsure
        if unsure is None:
            return None
        try:
            committed = self._transactions.finish()
        except FENCED:  # by a newer writer
            self._go_on()
            committed = False
        except KafkaError as error:
            raise self._transient(error) from error
        self._unsure = None
        if not committed:
            return None
        self._tell(unsure)
        return unsure

    def _commit(self, appends: Sequence[Append], positions: Mapping[str, bytes]) -> list[int]:
        moves = [Append(POSITIONS.name, value, reader) for reader, value in positions.items()]
        # A transaction without messages asks nobody whether this writer is still the newest.
        proof = [] if appends or moves else [Append(POSITIONS.name, b"", f"writer/{self._name}")]
        written = [*appends, *moves, *proof]
        try:
            offsets = self._transactions.write(written)
        except FENCED as error:
            self._transactions.give_up()
            self._go_on()
            raise self._transient(error) from error
        except (KafkaError, UnicodeEncodeError) as error:
            self._undo()
            refused = from_kafka(error, self._options.place, self._doing)
            if isinstance(error, KafkaError) and not isinstance(refused, Transient):
                # The library has many words for a producer that a newer one fenced: the broker has one.
                self._transactions.give_up()
                self._go_on()
                if isinstance(error, SPOILT):
                    raise self._transient(error) from error
            raise refused from error
        commit = _Commit(tuple(appends), dict(positions), tuple(zip(written, offsets, strict=True)))
        self._end(commit)
        self._tell(commit)
        return commit.offsets

    def _tell(self, commit: _Commit) -> None:
        for append, offset in commit.written:
            self._log.committed(append.topic, append.partition, offset)

    def _end(self, commit: _Commit) -> None:
        try:
            self._transactions.commit()
        except FENCED as error:
            self._transactions.give_up()
            self._go_on()
            raise self._transient(error) from error
        except KafkaError as error:
            self._transactions.give_up()
            self._unsure = commit
            raise self._transient(error) from error

    def _undo(self) -> None:
        """Abort at once: readers get nothing behind a transaction that is open."""
        try:
            self._transactions.abort()
        except KafkaError:
            self._transactions.give_up()

    def _go_on(self) -> None:
        """Go on after the broker took this writer for an old one; Fenced when it is."""
        try:
            self._transactions.go_on()
        except FENCED:
            self._fenced = True
            raise Fenced(fenced(self._name)) from None
        except KafkaError as error:
            raise self._transient(error) from error

    def _transient(self, error: Exception) -> Transient:
        return away(self._options.place, self._doing, error)
