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

The broker itself aborts what is open for TRANSACTION_MS, and then refuses the next epoch as well: Fenced.

The library offers none of this: see eventlog.kafka.internals.
KIP-360: https://cwiki.apache.org/confluence/display/KAFKA/KIP-360.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kafka.errors import InvalidTxnStateError, KafkaError, KafkaTimeoutError

from eventlog.contract import Append
from eventlog.kafka import clients, internals
from eventlog.kafka.errors import FENCED
from eventlog.kafka.options import KafkaOptions
from eventlog.kafka.sending import send_all

CLOSE_S = 1.0


class Transactions:
    """One transaction after the other, under one name. Not for threads to share."""

    def __init__(self, options: KafkaOptions, transactional_id: str) -> None:
        """Fence every older one of this name; waits for what it had begun to be aborted."""
        self._options = options
        self._id = transactional_id
        self._producer: Any = clients.producer(options, transactional_id)
        self._identity = internals.identity(self._producer)
        try:
            self._producer.init_transactions()
        except BaseException:
            self.give_up()
            raise
        self._identity = internals.identity(self._producer)

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
        """Be ready for a transaction; what was begun before is aborted. Raises FENCED when it may not."""
        self._open()

    def finish(self) -> bool:
        """After a `commit` that raised, commit again; whether it is committed, or else was aborted."""
        return self._ended(committed=True)

    def _open(self) -> Any:
        if self._producer is None:
            self._producer = self._resumed()
        return self._producer

    def _resumed(self) -> Any:
        """A producer with the identity of the one given up, in its next epoch."""
        with suppress(*FENCED):  # going on says so, too, and knows more
            self._ended(committed=False)
        producer = clients.producer(self._options, self._id)
        try:
            internals.go_on_as(producer, self._identity, self._wait)
        except BaseException:
            internals.abandon(producer)
            raise
        self._identity = internals.identity(producer)
        return producer

    def _ended(self, *, committed: bool) -> bool:
        """End the transaction that the given up producer may have left; whether it ended that way."""
        producer = clients.producer(self._options, self._id)
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
