"""The enrolled hosts, as the log's commands tell of them; and what in the log is their own."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from banstream.reading import messages
from eventlog.contract import EventLog, Message
from eventlog.follower import located
from schemas.errors import InvalidMessage
from schemas.records import Command
from schemas.shipments import shipment_of
from schemas.topics import COMMANDS, ENFORCEMENTS
from streams.hosts import Hosts

LATE_MS: Final = 300_000
"""What was signed so long before the log took it was said before, and somebody repeats it."""


def hosts_of(log: EventLog, partition: int = 0) -> Hosts:
    """The hosts as a partition's commands tell of them."""
    hosts, topic = Hosts(), COMMANDS.name
    for message in messages(log, topic, partition, log.begin(topic, partition)):
        for each in located(topic, message, b'"type":"command"'):
            with suppress(InvalidMessage):
                if isinstance(each.record, Command):
                    hosts.obey(each.record, message.at_ms)
    return hosts


class Vouchers:
    """Says who signed messages of the enforcements: asked once about each that matters, in their order."""

    def __init__(self, hosts: Hosts) -> None:
        """Go by the keys of these hosts, which stay as they are."""
        self._hosts = Hosts.load(hosts.dump())

    def signer(self, message: Message) -> str | None:
        """The enrolled host that signed it, and not long ago; None where none did."""
        shipment = shipment_of(message.key)
        late = shipment is None or abs(message.at_ms - shipment.sent_at_ms) > LATE_MS
        return None if late else self._hosts.admit(message, ENFORCEMENTS.name).host

    def author(self, message: Message) -> str | None:
        """The same, whatever came before it: for who reads backwards, and sees to what is repeated."""
        shipment = shipment_of(message.key)
        if shipment is None or shipment.signature is None or shipment.host not in self._hosts.enrolled:
            return None
        for key in self._hosts.enrolled[shipment.host].keys:
            key.last_ms = -1
        return self.signer(message)
