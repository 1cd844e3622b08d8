"""All that the log has about somebody, in order: events, decisions, what enforcers did, what operators said.

| of | events | decisions | enforcements | commands |
|---|---|---|---|---|
| an address or prefix | of what lies inside | about that, and what contains it | of those | about those |
| a user or host | that name it | about the addresses of those | of those, and by it | by and about it |

Of a prefix the index tells where to look; of a name the stretch is looked through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

import orjson

from banstream.chains import Told, decided_about, enforcements_of
from banstream.enrolled import hosts_of
from banstream.explaining import containing
from banstream.looking import LEAD_MS, Look, events_of
from banstream.reading import messages, records
from eventlog.follower import Located, located
from schemas.addresses import network_at
from schemas.codec import to_wire
from schemas.prefixes import PrefixSet
from schemas.records import AuthEvent, Ban, Command, Enforcement, Prolong, Record, Unban
from schemas.topics import COMMANDS, DECISIONS, ENFORCEMENTS, EVENTS

MOST_ENTRIES: Final = 200_000
MOST_ADDRESSES: Final = 2_000
"""Of so many addresses of a user or host the decisions are looked for."""
ORDER: Final = (COMMANDS.name, EVENTS.name, DECISIONS.name, ENFORCEMENTS.name)


class TimelineOf(NamedTuple):
    """Whom a timeline is of; `prefix` None where it is a name, of a user, a host, or whichever has it."""

    name: str
    prefix: str | None = None
    is_user: bool = True
    is_host: bool = True


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """A record, and where the log has it; `signed`: whether the host it names has signed it, in a fleet."""

    at_ms: int
    topic: str
    record: Record
    place: str
    signed: bool | None = None

    @property
    def order(self) -> tuple[int, int, str]:
        """When it happened; at one instant what came first in the pipeline."""
        return self.at_ms, ORDER.index(self.topic), self.place

    def to_wire(self) -> dict[str, Any]:
        """As a JSON object."""
        wire = to_wire(self.record) | {"topic": self.topic, "place": self.place}
        return wire if self.signed is None else wire | {"signed": self.signed}


class Timeline(NamedTuple):
    """What is known of somebody, oldest first; `whole`: nothing was left out."""

    entries: list[TimelineEntry]
    whole: bool


def timeline(look: Look, subject: TimelineOf, since_ms: int | None, *, shared: bool) -> Timeline:
    """All that the log has of somebody from an instant on."""
    named = _prefix_events if subject.prefix is not None else _named_events
    events = list(islice(named(look, subject, since_ms), MOST_ENTRIES + 1))
    addresses = dict.fromkeys(each.record.ip for each in events if isinstance(each.record, AuthEvent))
    told, all_told = _decisions(look, subject, list(addresses))
    entries = [_entry(each) for each in events]
    entries += [
        TimelineEntry(each.decision.at_ms, DECISIONS.name, each.decision, _place(each)) for each in told
    ]
    entries += _enforcements(look, subject, told, since_ms, shared=shared)
    entries += _commands(look, subject, {each.decision.prefix for each in told})
    first_ms = -1 if since_ms is None else since_ms
    found = sorted((each for each in entries if each.at_ms >= first_ms), key=lambda each: each.order)
    whole = all_told and len(found) <= MOST_ENTRIES and len(addresses) <= MOST_ADDRESSES
    return Timeline(found[-MOST_ENTRIES:], whole)


def _entry(each: Located) -> TimelineEntry:
    return TimelineEntry(
        _at_ms(each.record), each.topic, each.record, f"{each.partition}-{each.offset}-{each.index}"
    )


def _at_ms(record: Record) -> int:
    at_ms: int = getattr(record, "at_ms", 0)
    return at_ms


def _place(told: Told) -> str:
    return f"{told.partition}-{told.offset}-{told.index}"


def _prefix_events(look: Look, subject: TimelineOf, since_ms: int | None) -> Iterator[Located]:
    prefix = subject.prefix or ""
    read_ms = None if since_ms is None else since_ms - LEAD_MS
    return look.all(EVENTS.name, events_of(prefix, since_ms), inside=prefix, read_ms=read_ms)


def _named_events(look: Look, subject: TimelineOf, since_ms: int | None) -> Iterator[Located]:
    """The events that name a user or host: lines without the name are not taken apart."""
    quoted = orjson.dumps(subject.name)
    read_ms = None if since_ms is None else since_ms - LEAD_MS
    for each in records(look.log, EVENTS.name, since_ms=read_ms, containing=quoted):
        event = each.record
        if isinstance(event, AuthEvent) and (
            (subject.is_user and event.user == subject.name)
            or (subject.is_host and event.host == subject.name)
        ):
            yield each


def _decisions(look: Look, subject: TimelineOf, addresses: list[str]) -> tuple[list[Told], bool]:
    """The decisions about somebody, and whether these are all."""
    if subject.prefix is None:
        wanted = {each for ip in addresses[:MOST_ADDRESSES] for each in _usual_prefixes(ip)}
        found = decided_about(look, wanted)
        return found.told, found.whole
    found = decided_about(look, containing(subject.prefix))
    inside = _inside(look, subject.prefix) if "/" in subject.prefix else ()
    known = {each.decision.id: each for each in (*found.told, *inside)}
    return list(known.values()), found.whole


def _usual_prefixes(ip: str) -> tuple[str, ...]:
    """An address, and the networks that jails ban."""
    return (ip, *(network_at(ip, length) for length in ((64, 48) if ":" in ip else (24,))))


def _inside(look: Look, prefix: str) -> Iterator[Told]:
    """The decisions about what lies inside a network: networks in it are found by no hash of its own."""
    members = PrefixSet([prefix])
    for number in range(look.log.partitions):
        place = (DECISIONS.name, number)
        for message in messages(look.log, *place, look.log.begin(*place)):
            for each in located(DECISIONS.name, message, b'"prefix":'):
                record = each.record
                if isinstance(record, Ban | Unban | Prolong) and members.covering(record.prefix) is not None:
                    yield Told(record, number, each.offset, each.index, message.at_ms)


def _enforcements(
    look: Look, subject: TimelineOf, told: list[Told], since_ms: int | None, *, shared: bool
) -> Iterator[TimelineEntry]:
    hosts = hosts_of(look.log) if shared else None
    seen: set[str] = set()
    for each, signed, place in enforcements_of(look, told, hosts):
        seen.add(place)
        yield TimelineEntry(each.at_ms, ENFORCEMENTS.name, each, place, signed)
    if subject.prefix is None and subject.is_host:
        quoted = orjson.dumps(subject.name)
        read_ms = None if since_ms is None else since_ms - LEAD_MS
        for found in records(look.log, ENFORCEMENTS.name, since_ms=read_ms, containing=quoted):
            entry = _entry(found)
            record = found.record
            if isinstance(record, Enforcement) and record.host == subject.name and entry.place not in seen:
                yield entry


def _commands(look: Look, subject: TimelineOf, prefixes: set[str]) -> Iterator[TimelineEntry]:
    """What operators said of it; a command about a wide prefix stands in every partition, and counts once."""
    about = _about(subject, prefixes)
    seen: set[str] = set()
    for each in records(look.log, COMMANDS.name, containing=b'"type":"command"'):
        command = each.record
        if isinstance(command, Command) and command.id not in seen and about(command):
            seen.add(command.id)
            yield _entry(each)


def _about(subject: TimelineOf, prefixes: set[str]) -> Callable[[Command], bool]:
    if subject.prefix is None:
        return lambda command: (
            (subject.is_host and command.host == subject.name)
            or command.who == subject.name
            or command.prefix in prefixes
        )
    around = {*containing(subject.prefix), *prefixes}
    inside = PrefixSet([subject.prefix])
    return lambda command: (
        command.prefix is not None
        and (command.prefix in around or inside.covering(command.prefix) is not None)
    )
