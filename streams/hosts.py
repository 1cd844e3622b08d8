"""Who may ship: the hosts that operators enrolled, as a part of a decider's state. Pure.

Every message of the events is admitted, as a host's or as nobody's, or refused. What decides stands in the
log: its key and signature, when the log took it, and the commands before it. So a replay admits the same.

| its name is | its signature is | so it is |
|---|---|---|
| enrolled | by a key in force when the log took it, and it comes after the last of that key | that host's |
| enrolled | the same, but it does not come after the last | `not newer` |
| enrolled | any other | `wrong signature` |
| enrolled or revoked, without a key in force then | any | `revoked` |
| enrolled | missing | `unsigned` |
| none, or that of nobody enrolled | any | nobody's; where all must sign `unsigned` or `unknown host` |

A key is in force until the log's instant of the command that ends it: what a host sent before that, and the
decider reads late, still counts. Where not all must sign, a name is free until the log's instant of its
enrollment, so that a fleet begins to sign host by host. A key that has ended is not enrolled again: what it
has signed would be new once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self

from eventlog.contract import Message
from schemas.errors import InvalidMessage
from schemas.records import Command
from schemas.shipments import MOST_HOST_BYTES, Shipment, is_host, shipment_of
from schemas.signatures import check_public, digest_of, public_from, verified
from schemas.topics import EVENTS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MOST_HOSTS: Final = 20_000
"""They are in every checkpoint, in one message: 110 bytes each, and a little for each key."""
MOST_KEYS: Final = 32
"""A host's last keys, that in force among them; those before are forgotten."""
Refusal = Literal["unsigned", "unknown host", "wrong signature", "revoked", "not newer"]
REASONS: Final[Mapping[Refusal, str]] = MappingProxyType(
    {
        "unsigned": "nobody has signed it",
        "unknown host": "no host of its name is enrolled",
        "wrong signature": "its host has not signed this, or not for this partition",
        "revoked": "its host's key had been revoked when the log took it",
        "not newer": "its host has sent it, or something later, before",
    }
)

ANYBODY: Final = (
    "anybody who may write events may say he is a host that is not enrolled; enroll all hosts, set [decider] "
    "require_enrolled = true, and push the rules (docs/fleet.md)"
)
"""What is said where not everybody has to sign."""


class Admission(NamedTuple):
    """Whether a message counts, and whose it is.

    Attributes:
        host: who signed it; None where nobody did, or it is refused.
        refusal: why it does not count; None where it does.
    """

    host: str | None = None
    refusal: Refusal | None = None


@dataclass(slots=True)
class HostKey:
    """A key of a host.

    Attributes:
        public_key: as text.
        since_ms: when the log took its enrollment.
        until_ms: what the log took at or after it does not count; None: it is in force.
        last_ms: the order (schemas.shipments) of the last message that was admitted by it; -1 for none.
    """

    public_key: str
    since_ms: int
    until_ms: int | None = None
    last_ms: int = -1
    _public: Ed25519PublicKey | None = field(default=None, repr=False, compare=False)

    @property
    def public(self) -> Ed25519PublicKey:
        """The key itself."""
        if self._public is None:
            self._public = public_from(self.public_key)
        return self._public

    def in_force(self, at_ms: int) -> bool:
        """Whether it vouches for what the log took at an instant."""
        return self.until_ms is None or at_ms < self.until_ms

    def end(self, at_ms: int) -> None:
        """It vouches for nothing that the log took from an instant on."""
        self.until_ms = at_ms if self.until_ms is None else min(at_ms, self.until_ms)


@dataclass(slots=True)
class EnrolledHost:
    """A host that has to sign.

    Attributes:
        since_ms: when the log took the first command about it.
        keys: the newest last; at most MOST_KEYS, none where it was only revoked.
    """

    since_ms: int
    keys: list[HostKey]


class Hosts:
    """The enrolled hosts of one partition, and what each has sent last.

    Attributes:
        require: whether everybody has to sign; else only those who are enrolled.
        enrolled: by name.
    """

    def __init__(self, *, require: bool = False) -> None:
        self.require = require
        self.enrolled: dict[str, EnrolledHost] = {}

    def obey(self, command: Command, at_ms: int) -> None:
        """Do what a command says, when the log took it; nothing where it is not about hosts.

        Raises InvalidMessage, and changes nothing then.
        """
        match command.verb:
            case "enroll":
                self.enroll(command, at_ms)
            case "revoke":
                self.revoke(command, at_ms)
            case _:
                pass

    def enroll(self, command: Command, at_ms: int) -> None:
        """From now on a host signs with this key; `at_ms`: when the log took the command.

        The key in force already changes nothing. Raises InvalidMessage, and changes nothing then.
        """
        text = command.public_key or ""
        check_public(text)
        host = self._of(command, at_ms)
        known = next((key for key in host.keys if key.public_key == text), None)
        if known is None:
            for key in host.keys:
                key.end(at_ms)
            host.keys = [*host.keys, HostKey(text, at_ms)][-MOST_KEYS:]
        elif known.until_ms is not None:
            raise InvalidMessage("this key of the host has ended; make a new one", field="public_key")

    def revoke(self, command: Command, at_ms: int) -> None:
        """A host's keys count no longer, from the command's `since_ms` on, at the latest from `at_ms` on.

        Its name stays taken, also where it was not enrolled, until it is enrolled with another key. Raises
        InvalidMessage, and changes nothing then.
        """
        for key in self._of(command, at_ms).keys:
            key.end(at_ms if command.since_ms is None else min(at_ms, command.since_ms))

    def admit(self, message: Message, topic: str = EVENTS.name) -> Admission:
        """Whether a message of a topic counts, and whose it is; one that does moves its key's last."""
        shipment = shipment_of(message.key)
        host = None if shipment is None else self.enrolled.get(shipment.host)
        if shipment is None or host is None:
            return self._nobodys(shipment)
        if shipment.signature is None:
            before = message.at_ms < host.since_ms
            return self._nobodys(shipment) if before else Admission(refusal="unsigned")
        keys = [key for key in reversed(host.keys) if key.in_force(message.at_ms)]
        if not keys:
            return Admission(refusal="revoked")
        digested = digest_of(topic, message.partition, shipment, message.value)
        key = next((each for each in keys if verified(each.public, digested, shipment.signature)), None)
        if key is None:
            return Admission(refusal="wrong signature")
        if shipment.order_ms <= key.last_ms:
            return Admission(refusal="not newer")
        key.last_ms = shipment.order_ms
        return Admission(shipment.host)

    def dump(self) -> dict[str, Any]:
        """What `load` takes, in JSON's types: by name since when, and its keys."""
        return {
            name: [
                host.since_ms,
                *([each.public_key, each.since_ms, each.until_ms, each.last_ms] for each in host.keys),
            ]
            for name, host in self.enrolled.items()
        }

    @classmethod
    def load(cls, dumped: Mapping[str, Any], *, require: bool = False) -> Self:
        """The hosts that `dump` wrote."""
        hosts = cls(require=require)
        for name, (since_ms, *keys) in dumped.items():
            hosts.enrolled[name] = EnrolledHost(since_ms, [HostKey(*facts) for facts in keys])
        return hosts

    def _of(self, command: Command, at_ms: int) -> EnrolledHost:
        """The host that a command is about, taken in where it is new; InvalidMessage where it cannot be."""
        name = command.host or ""
        if not is_host(name):
            reason = f"expected a name of 1 to {MOST_HOST_BYTES} bytes, not {name!r:.80}"
            raise InvalidMessage(reason, field="host")
        if name not in self.enrolled:
            if len(self.enrolled) >= MOST_HOSTS:
                raise InvalidMessage(f"{MOST_HOSTS} hosts are known already", field="host")
            self.enrolled[name] = EnrolledHost(at_ms, [])
        return self.enrolled[name]

    def _nobodys(self, shipment: Shipment | None) -> Admission:
        """What becomes of a message that no enrolled host vouches for."""
        if not self.require:
            return Admission()
        signed = shipment is not None and shipment.signature is not None
        return Admission(refusal="unknown host" if signed else "unsigned")
