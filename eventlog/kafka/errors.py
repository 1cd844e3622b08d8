"""What the broker and its client say, as errors that tell a person what, where, and what to do.

| it said | it becomes |
|---|---|
| anything retriable: no connection, no answer, no leader, too few replicas | Transient |
| another producer has this transaction's name | Fenced |
| this user may not | LogError, with what the user needs |
| no such topic, too large, wrong credentials, an old broker | LogError |
| anything else | LogError |

Error codes: https://kafka.apache.org/protocol#protocol_error_codes.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from kafka import errors as kafka_errors

from eventlog.kafka.internals import CERTIFICATE
from schemas.errors import BanstreamError, LogError, Transient

RETRY_MS: Final = 1_000

FENCED: Final = (
    kafka_errors.ProducerFencedError,
    kafka_errors.InvalidProducerEpochError,
    kafka_errors.TransactionCoordinatorFencedError,
)
NOT_THERE: Final = "is it running, and does log.url name it?"
HUNG_UP: Final = "is it running, and does this port expect what log.url says of tls= and user=?"
HANDSHAKE: Final = "Handshake failed"
"""How kafka-python calls it when TLS does not come about."""
VAGUE: Final = "unknown reasons"
"""How kafka-python calls it when a request of a transaction has no answer in time."""

_TOO_LARGE: Final = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)
_UNKNOWN: Final = (kafka_errors.UnknownTopicOrPartitionError, kafka_errors.InvalidTopicError)


@contextmanager
def told(place: str, doing: str) -> Iterator[None]:
    """Within this, what the client raises becomes one of our errors."""
    try:
        yield
    except kafka_errors.KafkaError as error:
        raise from_kafka(error, place, doing) from error
    except ssl.SSLError as error:
        raise LogError(f"{place}: TLS failed while {doing}: {error}; check ca=, cert= and key=") from error
    except OSError as error:
        raise Transient(f"{place}: no connection while {doing}: {error}; trying again may work") from error
    except UnicodeEncodeError as error:
        raise from_kafka(error, place, doing) from error


def from_kafka(error: Exception, place: str, doing: str) -> BanstreamError:
    """The error to raise for one of the client's."""
    if isinstance(error, UnicodeEncodeError):
        return LogError(f"{place}: cannot write a key or name that is no valid Unicode: {error}")
    for kind, say in SAYS.items():
        if isinstance(error, kind):
            return LogError(f"{place}: {say(error)} (while {doing})")
    if CERTIFICATE in str(error):
        return LogError(f"{place}: the broker's certificate is not trusted ({_said(error)}); check ca=")
    if getattr(error, "retriable", False) or VAGUE in str(error):
        return away(place, doing, error)
    return LogError(f"{place}: failed while {doing}: {_said(error)}")


def away(place: str, doing: str, error: Exception | str) -> Transient:
    """The broker cannot be reached or does not answer."""
    return Transient(
        f"{place}: the broker cannot be reached or does not answer ({_said(error)}) while {doing}; "
        f"{HUNG_UP if HANDSHAKE in str(error) else NOT_THERE}",
        retry_after_ms=RETRY_MS,
    )


def too_large(place: str, topic: str, size: int, most: int) -> LogError:
    """A message that the log does not take."""
    return LogError(
        f"{place}: a message of {size} bytes for {topic} is too large, the most is {most}; "
        "nothing was written"
    )


def no_topic(place: str, name: str) -> LogError:
    """A topic that is not there."""
    return LogError(f"{place}: there is no topic {name}; make it with `banstream topics create`")


def denied(place: str, name: str, operation: str = "Describe") -> LogError:
    """A topic on which this user may not do this."""
    return LogError(
        f"{place}: this user may not {operation} topic {name}; grant it as docs/kafka.md says for its role"
    )


def _said(error: Exception | str) -> str:
    if isinstance(error, str):
        return error
    words = " ".join(map(str, error.args))
    name = type(error).__name__.removesuffix("Error")
    return f"{name}: {words}" if words and words != "None" else name


def _topic_denied(error: Exception) -> str:
    names = error.args[0] if error.args else ""
    names = ", ".join(sorted(map(str, names))) if isinstance(names, set) else str(names)
    return f"this user may not do that with topic {names}; grant it as docs/kafka.md says for its role"


def _transaction_denied(_error: Exception) -> str:
    return (
        "this user may not use this transaction's name; grant Write on the transactional id (docs/kafka.md)"
    )


def _denied(error: Exception) -> str:
    return f"this user may not do that ({_said(error)}); grant it as docs/kafka.md says for its role"


def _credentials(error: Exception) -> str:
    return f"the broker refused the credentials ({_said(error)}); check user=, mechanism= and the password"


def _no_sasl(_error: Exception) -> str:
    return "the broker signs nobody in at this port; name the port of its SASL listener, or leave user= out"


def _large(_error: Exception) -> str:
    return "the broker takes no message so large; raise the topic's max.message.bytes, or send less at once"


def _no_topic(error: Exception) -> str:
    return f"no such topic or partition ({_said(error)}); make it with `banstream topics create`"


def _old(error: Exception) -> str:
    return f"the broker is too old or speaks another protocol ({_said(error)}); Kafka 2.7 is the oldest"


SAYS: Final[Mapping[type[Exception] | tuple[type[Exception], ...], Callable[[Exception], str]]] = (
    MappingProxyType(
        {
            kafka_errors.TopicAuthorizationFailedError: _topic_denied,
            kafka_errors.TransactionalIdAuthorizationFailedError: _transaction_denied,
            kafka_errors.AuthorizationError: _denied,
            kafka_errors.SaslAuthenticationFailedError: _credentials,
            kafka_errors.UnsupportedSaslMechanismError: _credentials,
            kafka_errors.IllegalSaslStateError: _no_sasl,
            kafka_errors.UnsupportedVersionError: _old,
            _TOO_LARGE: _large,
            _UNKNOWN: _no_topic,
        }
    )
)
