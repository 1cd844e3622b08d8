"""Looking into the log for people: what is newest, what is about somebody, what happened since.

| asked | read |
|---|---|
| the last N | each partition from its end backwards, until there are N |
| about an address or prefix | the messages that the index tells (eventlog.index) |
| since an instant of the events | from where the log stood LEAD_MS before; earlier events are left out |

Records of several partitions come in the order in which the log took them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from heapq import merge, nlargest
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Final

from banstream.backwards import pages_back
from banstream.config import Settings, state_directory
from banstream.reading import messages, open_to_read
from banstream.show import note
from eventlog.contract import EventLog, Message, Place
from eventlog.follower import Located
from eventlog.index import Index, read_at
from eventlog.kafka.options import parse_url
from eventlog.subjects import spans_inside
from eventlog.urls import is_shared, sqlite_path
from schemas.codec import AuthLine, decode, lines_of, read_events
from schemas.errors import InvalidMessage
from schemas.prefixes import PrefixSet
from schemas.records import AuthEvent
from schemas.topics import EVENTS

LEAD_MS: Final = 600_000
"""An event is in the log after it happened; by so much a host's clock may be ahead of the log's."""
FOREVER_MS: Final = 1 << 62

Records = Callable[[Message], Iterator[Located]]
"""Takes out of a message the records that are wanted, in order."""


@dataclass(frozen=True, slots=True)
class Look:
    """A log and its index, opened to be looked into; `url`: by which name, where it has one."""

    log: EventLog
    index: Index
    url: str | None = None

    def last(
        self,
        topic: str,
        count: int,
        wanted: Records,
        *,
        inside: str | None = None,
        read_ms: int | None = None,
    ) -> list[Located]:
        """The last of a topic's wanted records, oldest first.

        Args:
            topic: its name.
            count: so many at most.
            wanted: takes them out of a message.
            inside: they are about what lies inside this prefix.
            read_ms: only of what the log took from this instant on.
        """
        newest = (
            islice(_reversed(self._back(place, inside, read_ms), wanted), count)
            for place in self._places(topic)
        )
        return [each for _, each in reversed(nlargest(count, chain.from_iterable(newest), key=_order))]

    def all(
        self, topic: str, wanted: Records, *, inside: str | None = None, read_ms: int | None = None
    ) -> Iterator[Located]:
        """All of them, oldest first."""
        streams = (_stamped(self._forth(place, inside, read_ms), wanted) for place in self._places(topic))
        return (each for _, each in merge(*streams, key=lambda stamped: stamped[0]))

    def _places(self, topic: str) -> list[Place]:
        return [(topic, number) for number in range(self.log.partitions)]

    def _back(self, place: Place, inside: str | None, read_ms: int | None) -> Iterator[Message]:
        spans = None if inside is None else spans_inside(inside)
        start = None if read_ms is None else self.log.offset_at(*place, read_ms)
        if spans is None:
            return pages_back(self.log, place, start)
        return takewhile(lambda message: message.offset >= (start or 0), self.index.messages(place, spans))

    def _forth(self, place: Place, inside: str | None, read_ms: int | None) -> Iterator[Message]:
        spans = None if inside is None else spans_inside(inside)
        start = 0 if read_ms is None else self.log.offset_at(*place, read_ms)
        if spans is None:
            yield from messages(self.log, *place, start)
            return
        newest = takewhile(lambda offset: offset >= start, self.index.offsets(place, spans))
        yield from read_at(self.log, place, list(newest)[::-1])


@contextmanager
def looking(settings: Settings) -> Iterator[Look]:
    """The configured log, opened for reading only, with its index. Raises LogError when there is none yet."""
    log = open_to_read(settings)
    index = index_of(settings, log)
    try:
        yield Look(log, index, settings.log_url)
    finally:
        index.close()
        log.close()


def index_of(settings: Settings, log: EventLog) -> Index:
    """The index of the configured log: beside its file; of a cluster among what this host or user keeps."""
    url = settings.log_url
    if not is_shared(url):
        path = sqlite_path(url)
        return Index(log, Path(f"{path}.index"), path, _wait)
    options = parse_url(url)
    name = sha256(f"{options.place}/{options.prefix}".encode()).hexdigest()[:16]
    folder = Path(settings.ship.directory) if os.geteuid() == 0 else state_directory()
    return Index(log, folder / "index" / f"{name}.index", wait=_wait)


def _wait() -> None:
    """Say to who sits there what takes so long."""
    if sys.stderr.isatty():
        note("Looking through what has come into the log since somebody looked last; that is done once.")


def events_of(prefix: str | None, since_ms: int | None = None, until_ms: int | None = None) -> Records:
    """What takes the events about a prefix (None: all) out of a message, of instants from one to another."""
    is_inside = None if prefix is None else _inside(prefix)
    first_ms = -FOREVER_MS if since_ms is None else since_ms
    end_ms = FOREVER_MS if until_ms is None else until_ms

    def wanted(message: Message) -> Iterator[Located]:
        with suppress(InvalidMessage):  # too large to be taken apart: nothing of it counts
            lines: list[bytes] = []
            for index, event in enumerate(read_events(message.value)):
                if not isinstance(event, AuthLine | AuthEvent) or not first_ms <= event.at_ms < end_ms:
                    continue
                if is_inside is None or is_inside(event.ip):
                    lines = lines or lines_of(message.value)
                    record = decode(lines[index])
                    yield Located(EVENTS.name, message.partition, message.offset, index, record)

    return wanted


def _inside(prefix: str) -> Callable[[str], bool]:
    if "/" not in prefix:
        return prefix.__eq__
    members = PrefixSet([prefix])
    return members.__contains__


def _reversed(newest_first: Iterator[Message], wanted: Records) -> Iterator[tuple[int, Located]]:
    """The wanted records of messages, the last one first."""
    for message in newest_first:
        for each in reversed(list(wanted(message))):
            yield message.at_ms, each


def _stamped(found: Iterator[Message], wanted: Records) -> Iterator[tuple[int, Located]]:
    return ((message.at_ms, each) for message in found for each in wanted(message))


def _order(stamped: tuple[int, Located]) -> tuple[int, int, int, int]:
    at_ms, each = stamped
    return at_ms, each.partition, each.offset, each.index
