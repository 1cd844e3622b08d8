"""What banstream uses of the Kafka libraries beyond what they promise. All of kafka-python's is here.

A library may change such names in any release. So the releases are pinned exactly, PINNED and pyproject.toml
say the same, and the names are looked for when they are imported: ConfigError, before anything starts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from types import FunctionType
from typing import Any, Final, TypeAlias

from kafka import KafkaProducer
from kafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaTCPTransport
from kafka.producer.sender import Sender
from kafka.producer.transaction_manager import (
    EndTxnHandler,
    InitProducerIdHandler,
    ProducerIdAndEpoch,
    TransactionManager,
    TransactionState,
    TxnRequestHandler,
)

from schemas.errors import ConfigError

PINNED: Final = {"aiokafka": "0.14.0", "faust-streaming": "0.15.3", "kafka-python": "3.0.12"}
"""The releases whose internals are used."""

CERTIFICATE: Final = "CERTIFICATE_VERIFY_FAILED"
"""What OpenSSL calls a certificate that it does not trust."""
HOPELESS: Final = (SaslAuthenticationFailedError, UnsupportedSaslMechanismError, IllegalSaslStateError)
ABANDON_S: Final = 0.5

Identity: TypeAlias = ProducerIdAndEpoch
"""A transactional producer's id and epoch: of two with one name, the broker refuses the lower."""


def require(library: str, kind: type, *names: str) -> None:
    """Raise ConfigError unless a library's class, or what its `__init__` sets, has these names."""
    made = [vars(each).get("__init__") for each in kind.__mro__]
    known = {name for each in made if isinstance(each, FunctionType) for name in each.__code__.co_names}
    missing = [name for name in names if not hasattr(kind, name) and name not in known]
    if missing:
        raise ConfigError(
            f"{library} {version(library)} has no {kind.__name__}.{', '.join(missing)}, which banstream "
            f"uses; install the release it is made for: pip install '{library}=={PINNED[library]}'"
        )


require("kafka-python", KafkaProducer, "_sender", "_transaction_manager")
require("kafka-python", Sender, "force_close", "wakeup")
require(
    "kafka-python",
    TransactionManager,
    *("_lock", "_current_state", "_transaction_started", "_enqueue_request"),
    *("begin_abort", "begin_commit", "set_producer_id_and_epoch", "transaction_timeout_ms"),
)
require("kafka-python", KafkaConnectionManager, "update_backoff", "_build_transport")
require("kafka-python", KafkaTCPTransport, "_sock_recv")


def abandon(producer: Any) -> None:
    """Let go of a producer without waiting for what it has not sent; it sends nothing more.

    `close` alone would raise while it has unsent messages, and its thread would go on sending them.
    """
    producer._sender.force_close()  # noqa: SLF001 - the library offers no other way, here and below
    with suppress(KafkaError):
        producer.close(timeout=ABANDON_S)


def identity(producer: Any) -> Identity:
    """Who a transactional producer is, as the broker has it."""
    return _manager(producer).producer_id_and_epoch


def end_transaction(producer: Any, *, committed: bool) -> Any:
    """Ask to commit or abort a producer's own transaction; what to `wait` for."""
    manager = _manager(producer)
    result = manager.begin_commit() if committed else manager.begin_abort()
    producer._sender.wakeup()  # noqa: SLF001
    return result


def end_anothers(producer: Any, whose: Identity, *, committed: bool, wait: Callable[[Any], None]) -> None:
    """With a new producer, commit or abort what one with this identity has begun.

    Raises InvalidTxnStateError where there is nothing to end that way.
    """
    _ask(
        producer,
        whose,
        TransactionState.COMMITTING_TRANSACTION if committed else TransactionState.ABORTING_TRANSACTION,
        lambda manager: EndTxnHandler(manager, committed=committed),
        wait,
    )


def go_on_as(producer: Any, whose: Identity, wait: Callable[[Any], None]) -> None:
    """Have a new producer take the next epoch of an identity; refused when somebody newer is there."""
    _ask(producer, whose, TransactionState.INITIALIZING, _next_epoch, wait)


def _ask(
    producer: Any,
    whose: Identity,
    state: TransactionState,
    request: Callable[[Any], TxnRequestHandler],
    wait: Callable[[Any], None],
) -> None:
    """Have a new producer take an identity, be in a state, and send a request; waits for the answer."""
    manager = _manager(producer)
    with manager._lock:  # noqa: SLF001
        manager.set_producer_id_and_epoch(whose)
        manager._current_state = state  # noqa: SLF001
        manager._transaction_started = True  # noqa: SLF001
        handler = request(manager)
        manager._enqueue_request(handler)  # noqa: SLF001
    producer._sender.wakeup()  # noqa: SLF001
    wait(handler.result)
    manager._transaction_started = False  # noqa: SLF001


def _next_epoch(manager: Any) -> TxnRequestHandler:
    request: Any = InitProducerIdHandler
    handler: TxnRequestHandler = request(manager, manager.transaction_timeout_ms, is_epoch_bump=True)
    return handler


def _manager(producer: Any) -> Any:
    return producer._transaction_manager  # noqa: SLF001


class _Manager(KafkaConnectionManager):  # type: ignore[misc]  # the library has no types
    """Connections that remember why connecting failed: the library tells its log only.

    It would also go on trying wrong credentials and certificates for as long as it may.
    """

    cause: BaseException | None = None

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        """A connection of which nothing is lost: the library drops what came together with its end.

        A broker refuses credentials and hangs up at once, so it was the refusal that was lost.
        """
        transport: Any = await super()._build_transport(node, timeout_at=timeout_at)
        receive = transport._sock_recv  # noqa: SLF001

        def whole() -> tuple[bytes, Exception | None]:
            data, error = receive()
            return data, None if data else error  # the end comes again with the next call

        transport._sock_recv = whole  # noqa: SLF001
        return transport

    def update_backoff(self, node_id: Any) -> Any:
        """Called while a failure to connect is handled."""
        cause = sys.exc_info()[1]
        if cause is not None:
            self.cause = cause
            if isinstance(cause, HOPELESS) or CERTIFICATE in str(cause):
                raise cause
        return super().update_backoff(node_id)


class NetClient(KafkaNetClient):  # type: ignore[misc]
    """The library's connections to a cluster, which know why the last one failed."""

    def __init__(self, **configs: Any) -> None:
        net = NetworkSelector(**configs)
        self._connections = _Manager(net, **configs)
        super().__init__(net, self._connections, **configs)

    @property
    def cause(self) -> BaseException | None:
        """Why the last connection failed."""
        return self._connections.cause
