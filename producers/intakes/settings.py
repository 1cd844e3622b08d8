"""Who may send to an intake, and for which hosts: an intake is a way in for forgers too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Final

from schemas.addresses import canonical_address
from schemas.prefixes import PrefixSet

LISTEN: Final = re.compile(
    r"(?P<scheme>syslog\+(?:udp|tcp|tls)|https?|tcp|gelf\+(?:udp|tcp))://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|\d{1,3}(?:\.\d{1,3}){3}):(?P<port>\d{1,5})"
)
"""What a jail's source and an intake's `listen` look like."""
TOPIC: Final = re.compile(r"kafka://[A-Za-z0-9._-]{1,200}")
"""A topic instead of an address; who may write there is the broker's to say."""
MOST_CONNECTIONS: Final = 10_000
USUAL_CONNECTIONS: Final = 128
ELASTIC_VERSION: Final = "9.4.0"
"""Beats refuse an older one than their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedSender:
    """One who may send, or several who are believed alike.

    Attributes:
        name: what its lines are told apart by.
        networks: where it sends from; none: from anywhere, which takes a certificate or token.
        certificates: names (patterns) of which its client certificate bears one; none: it needs none.
        token_file: what holds the token that its requests bear, over HTTP; None: they need none.
        hosts: the names (patterns) of hosts that its lines may be of.
        lines_per_s: so many lines a second are taken; None: any number.
        connections: so many it may hold open.
    """

    name: str
    networks: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    token_file: str | None = None
    hosts: tuple[str, ...] = ()
    lines_per_s: int | None = None
    connections: int = USUAL_CONNECTIONS

    def speaks_for(self, host: str | None) -> bool:
        """Whether a line of this host's may be its; a line that names none is nobody else's."""
        return host is None or any(fnmatchcase(host.lower(), each.lower()) for each in self.hosts)

    def bears(self, names: Sequence[str]) -> bool:
        """Whether a certificate with these names is its, or it needs none."""
        wanted = [each.lower() for each in self.certificates]
        return not wanted or any(fnmatchcase(name.lower(), each) for name in names for each in wanted)


@dataclass(frozen=True, kw_only=True)
class Intake:
    """An address that is listened on.

    Attributes:
        listen: as the jails' sources name it.
        servers: of a topic: a `kafka://` url of where it is.
        elastic_version: which Elasticsearch it says to be to agents that ask, over HTTP.
        certificate, key, client_ca: files in PEM, for TLS; `client_ca` signs the senders' certificates.
    """

    name: str
    listen: str
    senders: tuple[AllowedSender, ...]
    certificate: str | None = None
    key: str | None = None
    client_ca: str | None = None
    servers: str | None = None
    elastic_version: str = ELASTIC_VERSION
    _places: dict[str, PrefixSet] = field(default_factory=dict[str, PrefixSet], compare=False, repr=False)

    @cached_property
    def scheme(self) -> str:
        """`syslog+udp` and its kin."""
        return self.listen.partition(":")[0]

    @cached_property
    def address(self) -> tuple[str, int]:
        """An address of this machine, and a port."""
        host, _, port = self.listen.partition("://")[2].rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_topic(self) -> bool:
        """Whether it is a topic that is read, and no address that is listened on."""
        return self.scheme == "kafka"

    @property
    def over_http(self) -> bool:
        """Whether requests come in, and no messages."""
        return self.scheme.startswith("http")

    @property
    def asks_certificate(self) -> bool:
        """Whether nobody may send without one."""
        return all(each.certificates for each in self.senders)

    def origin(self, sender: AllowedSender) -> str:
        """What a sender's lines come from, as an event says it."""
        return f"{self.listen}#{sender.name}"

    def at(self, address: str) -> tuple[AllowedSender, ...]:
        """The senders that may be at an address, as sockets say it."""
        peer = canonical_address(address.partition("%")[0])
        return tuple(
            each for each in self.senders if not each.networks or self._place(each).covering(peer) is not None
        )

    def _place(self, sender: AllowedSender) -> PrefixSet:
        found = self._places.get(sender.name)
        if found is None:
            found = self._places[sender.name] = PrefixSet(sender.networks)
        return found


def is_intake(source: str) -> bool:
    """Whether a jail's source needs an intake."""
    return LISTEN.fullmatch(source) is not None or TOPIC.fullmatch(source) is not None


def origins_pattern(listen: str) -> str:
    """A pattern for the sources of an intake's events, as a jail selects them by (fnmatch)."""
    return re.sub(r"([*?[])", r"[\1]", listen) + "#*"
