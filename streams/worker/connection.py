"""How aiokafka connects to the cluster that a `kafka://` url names."""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

from aiokafka.errors import KafkaError

from eventlog.kafka.options import KafkaOptions


class Client(Protocol):
    """A consumer or a producer of aiokafka."""

    async def start(self) -> None:
        """Connect. Raises KafkaError or OSError."""

    async def stop(self) -> None:
        """Let go. Raises the same."""


AnyClient = TypeVar("AnyClient", bound=Client)


async def opened(client: AnyClient) -> AnyClient:
    """A client that is connected; of one that cannot be, nothing stays. Raises KafkaError or OSError."""
    try:
        await client.start()
    except BaseException:
        await client.stop()
        raise
    return client


async def closed(client: Client | None) -> None:
    """Let go of a client, if there is one, whether or not the broker is there."""
    if client is not None:
        with suppress(KafkaError, OSError):
            await client.stop()


@dataclass(frozen=True)
class Cluster:
    """A cluster and the log on it.

    Attributes:
        application: the name of the consumer group and, with a partition's number, of its transactions.
    """

    options: KafkaOptions
    application: str

    @property
    def group(self) -> str:
        """The consumer group that the workers form."""
        return self.options.prefix + self.application

    def client(self) -> dict[str, Any]:
        """The settings that every client of aiokafka gets."""
        settings: dict[str, Any] = {
            "bootstrap_servers": list(self.options.servers),
            "client_id": "banstream",
            "request_timeout_ms": self.options.timeout_ms,
            "security_protocol": self.options.security_protocol,
            "ssl_context": self.tls,
        }
        if self.options.user is not None:
            settings |= {
                "sasl_mechanism": self.options.mechanism,
                "sasl_plain_username": self.options.user,
                "sasl_plain_password": self.options.password,
            }
        return settings

    def topic(self, name: str) -> str:
        """A topic's name on the cluster."""
        return self.options.prefix + name

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        """How connections are encrypted; None where they are not."""
        if not self.options.tls:
            return None
        context = ssl.create_default_context(cafile=self.options.ca)
        if self.options.cert is not None:
            context.load_cert_chain(self.options.cert, self.options.key)
        return context
