"""How Faust and aiokafka connect to the cluster that a `kafka://` url names."""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol, TypeVar

import faust
from aiokafka.errors import KafkaError
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from faust.types.auth import CredentialsT
from yarl import URL

from eventlog.kafka.options import KafkaOptions

SESSION_S: Final = 6.0
"""A worker that says nothing for so long is taken for dead, and its partitions are given to others."""


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

    @property
    def urls(self) -> list[URL]:
        """The brokers asked first, as Faust wants them."""
        return [URL(f"kafka://{server}") for server in self.options.servers]

    @cached_property
    def credentials(self) -> CredentialsT | None:
        """Who we are, as Faust wants it; None where nobody asks."""
        options = self.options
        context = self._tls() if options.tls else None
        if options.user is not None:
            return faust.SASLCredentials(
                username=options.user,
                password=options.password,
                mechanism=options.mechanism,
                ssl_context=context,
            )
        return None if context is None else faust.SSLCredentials(context)

    def client(self) -> dict[str, Any]:
        """The settings that every client of aiokafka gets."""
        return {
            "bootstrap_servers": list(self.options.servers),
            "client_id": "banstream",
            "request_timeout_ms": self.options.timeout_ms,
            **credentials_to_aiokafka_auth(self.credentials, None),
        }

    def topic(self, name: str) -> str:
        """A topic's name on the cluster."""
        return self.options.prefix + name

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.options.ca)
        if self.options.cert is not None:
            context.load_cert_chain(self.options.cert, self.options.key)
        return context
