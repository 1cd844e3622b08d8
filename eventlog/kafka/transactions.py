"""A transactional producer that can be sure: what was committed, and that it still is the newest of its name.

kafka-python gives up a producer where it cannot know what became of a request: the broker did not answer in
time, or the connection broke at the wrong moment. A new producer of the same name would get a new epoch
unasked, and so fence whoever has taken over meanwhile. Here the successor goes on with the identity
(producer id and epoch) of the one given up, as KIP-360 has it, and the broker refuses that when somebody
newer is there.

| after the connection broke | the broker is asked | and then |
|---|---|---|
| at the end of a transaction | to commit once more, with the same identity | it is committed |
| | | no such transaction: it was aborted |
| before | to abort what had begun, if it had | |
| in any case, then | for the identity's next epoch | it goes on, or is refused: somebody newer is there |

The broker refuses that, too, where nobody is there: when it aborted by itself what was open for too long, and
when it was restarted after it had given the next epoch to one who did not hear of it. An epoch does not tell
whose it is. The time that a transaction may take does, which the broker keeps for each name and shows: each
newest of a name asks for another. Where it is still ours, nobody has taken over.

The library offers none of this: see eventlog.kafka.internals.
KIP-360: https://cwiki.apache.org/confluence/display/KAFKA/KIP-360.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from secrets import randbelow
from typing import Any, Final

from kafka.errors import (
    InvalidTxnStateError,
    KafkaError,
    KafkaTimeoutError,
    TransactionalIdNotFoundError,
    UnsupportedVersionError,
)

from eventlog.contract import Append
from eventlog.kafka import clients, internals
from eventlog.kafka.errors import FENCED
from eventlog.kafka.options import KafkaOptions
from eventlog.kafka.sending import send_all

CLOSE_S: Final = 1.0
TRANSACTION_MS: Final = 60_000
"""The broker aborts a transaction open for longer; readers see nothing behind it until then."""
OURS_MS: Final = 30_000
"""And for up to so much longer, by which the newest of a name is known."""


class Transactions:
    """One transaction after the other, under one name. Not for threads to share."""

    def __init__(self, options: KafkaOptions, transactional_id: str) -> None:
        """Fence every older one of this name; waits for what it had begun to be aborted."""
        self._options = options
        self._id = transactional_id
        self._timeout_ms = max(TRANSACTION_MS, 3 * options.timeout_ms) + randbelow(OURS_MS)
        self._producer: Any = None
        self._start()

    def write(self, appends: Sequence[Append]) -> list[int]:
        """Begin a transaction and write messages; returns their offsets. When it raises, abort or give up."""
        producer = self._open()
        producer.begin_transaction()
        return send_all(producer, self._options, appends)

    def commit(self) -> None:
        """End the transaction. When it raises, nobody knows whether it did: give up, then `finish`."""
        self._wait(internals.end_transaction(self._open(), committed=True))

    def abort(self) -> None:
        """Undo the transaction."""
        self._wait(internals.end_transaction(self._open(), committed=False))

    def give_up(self) -> None:
        """Let go of the producer, whatever it is doing; the next call goes on with a new one."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            identity = internals.identity(producer)
            if identity.is_valid:  # the library may have moved on to another epoch by itself
                self._identity = identity
            internals.abandon(producer)

    def close(self) -> None:
        """Let go of the producer in good order."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            with suppress(KafkaError):
                producer.close(timeout=CLOSE_S)

    def go_on(self) -> None:
        """Be ready for a transaction; what was begun before is aborted. FENCED where another took over."""
        try:
            self._open()
        except FENCED:
            if self._replaced():
                raise
            self._start()

    def finish(self) -> bool:
        """After a `commit` that raised, commit again; whether it is committed, or else was aborted."""
        return self._ended(committed=True)

    def _start(self) -> None:
        """Be the newest of this name, whoever was before."""
        producer = self._made()
        try:
            producer.init_transactions()
        except BaseException:
            internals.abandon(producer)
            raise
        self._producer = producer
        self._identity = internals.identity(producer)

    def _replaced(self) -> bool:
        """Whether another is the newest of this name, as far as the broker can tell."""
        with closing(clients.admin(self._options)) as admin:
            try:
                newest = admin.describe_transactions([self._id])[self._id]
            except TransactionalIdNotFoundError:  # long unused and forgotten
                return False
            except UnsupportedVersionError:  # before Kafka 3.0
                return True
        return bool(newest.transaction_timeout_ms != self._timeout_ms)

    def _made(self) -> Any:
        return clients.producer(self._options, self._id, self._timeout_ms)

    def _open(self) -> Any:
        if self._producer is None:
            self._producer = self._resumed()
        return self._producer

    def _resumed(self) -> Any:
        """A producer with the identity of the one given up, in its next epoch."""
        with suppress(*FENCED):  # going on says so, too, and knows more
            self._ended(committed=False)
        producer = self._made()
        try:
            internals.go_on_as(producer, self._identity, self._wait)
        except BaseException:
            internals.abandon(producer)
            raise
        self._identity = internals.identity(producer)
        return producer

    def _ended(self, *, committed: bool) -> bool:
        """End the transaction that the given up producer may have left; whether it ended that way."""
        producer = self._made()
        try:
            internals.end_anothers(producer, self._identity, committed=committed, wait=self._wait)
        except InvalidTxnStateError:
            return False
        finally:
            internals.abandon(producer)
        return True

    def _wait(self, result: Any) -> None:
        if not result.wait(timeout_ms=self._options.timeout_ms):
            raise KafkaTimeoutError("the broker did not answer in time")
