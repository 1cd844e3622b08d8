"""What a host has caused: the bans in force that rest on events that it signed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from banstream.reading import in_force, records
from eventlog.contract import EventLog
from schemas.records import Ban
from schemas.shipments import shipment_of
from schemas.topics import DECISIONS, EVENTS

MESSAGES_REMEMBERED: Final = 4_096


class Caused(NamedTuple):
    """A ban in force that rests on a host's events.

    Attributes:
        alone: on nobody else's.
    """

    ban: str
    prefix: str
    jail: str
    alone: bool


def caused_by(log: EventLog, host: str, since_ms: int | None = None) -> Iterator[Caused]:
    """The bans in force that rest on what a host signed, from an instant of the log on (None: ever)."""
    held = {hold.ban for standing in in_force(log) for hold in standing.holds}

    @lru_cache(MESSAGES_REMEMBERED)
    def is_theirs(partition: int, offset: int) -> bool:
        for message in log.read(EVENTS.name, partition, offset, limit=1):
            shipment = shipment_of(message.key)
            return (
                message.offset == offset
                and shipment is not None
                and shipment.signature is not None
                and shipment.host == host
                and (since_ms is None or message.at_ms >= since_ms)
            )
        return False

    for each in records(log, DECISIONS.name, containing=b'"evidence"'):
        ban = each.record
        if isinstance(ban, Ban) and ban.id in held:
            places = [tuple(map(int, place.split("-")[:2])) for place in ban.evidence]
            theirs = [is_theirs(*place) for place in places]
            if any(theirs):
                yield Caused(ban.id, ban.prefix, ban.jail, all(theirs))
