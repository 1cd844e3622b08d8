"""Where sinks go on in a log that was laid out anew: after what they have sent, under the ids of now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

import orjson

from eventlog.contract import EventLog, Place
from eventlog.follower import places_of
from schemas.behaviours import Alert
from schemas.codec import AuthLine, decode_frame, read_events
from schemas.errors import InvalidMessage
from schemas.records import AuthEvent, Ban, Command, Enforcement, Prolong, Record, Unban
from schemas.topics import EVENTS, Topic
from sinks.identity import exported_id
from sinks.runner import reader_of, settled_reader_of
from sinks.selection import TOPICS
from streams.moving import Moving

READER: Final = reader_of("")


class SinksMoving:
    """The places of an old log's sinks, and what they have sent beyond them, in the new one."""

    def __init__(self, old: EventLog, new: EventLog, moving: Moving, log: str) -> None:
        """`moving`: has given all of the old log; `log`: the id that both have."""
        self._old = old
        self._new = new
        self._moving = moving
        self._id = log

    def keep(self, positions: Mapping[str, bytes]) -> list[str]:
        """Keep the place of each sink that has none in the new log; their names. Raises LogError, Transient.

        `positions`: those of the old log.
        """
        names = [reader.removeprefix(READER) for reader in positions if reader.startswith(READER)]
        kept = [name for name in names if self._new.position(reader_of(name)) is None]
        for name in kept:
            self._keep(name, positions[reader_of(name)], positions.get(settled_reader_of(name), b"[]"))
        return kept

    def _keep(self, name: str, place: bytes, settled: bytes) -> None:
        stood: dict[Place, int] = {(topic, part): at for topic, part, at in orjson.loads(place)}
        topics = [topic for topic in TOPICS.values() if (topic.name, 0) in stood]
        places = [
            [*there, self._moving.next_at(topic, there[1], stood[topic.name, 0])]
            for topic in topics
            for there in places_of(topic, self._new.partitions)
        ]
        ids = set(orjson.loads(settled))
        now = [each for topic in topics for each in self._ids(topic, stood[topic.name, 0], ids)]
        writer = self._new.writer(reader_of(name))
        try:
            beside = {settled_reader_of(name): orjson.dumps(now)} if now else {}
            writer.commit([], {reader_of(name): orjson.dumps(places), **beside})
        finally:
            writer.close()

    def _ids(self, topic: Topic, offset: int, ids: set[str]) -> Iterator[str]:
        """What ids that were settled from a place on are now; `ids`: those that are still looked for."""
        while ids and (page := self._old.read(topic.name, 0, offset)):
            for message in page:
                with suppress(InvalidMessage):
                    read = read_events if topic == EVENTS else decode_frame
                    for index, record in enumerate(read(message.value)):
                        if isinstance(record, InvalidMessage):
                            continue
                        named = exported_id(record, self._id, f"0-{message.offset}-{index}")
                        if named in ids:
                            ids.discard(named)
                            yield from self._now(topic, record, message.offset, index)
            offset = page[-1].offset + 1

    def _now(self, topic: Topic, record: Record | AuthLine, offset: int, index: int) -> Iterator[str]:
        """The ids of a record as it is in the new log: one, but for what is in every partition."""
        moving = self._moving
        match record:
            case Ban() | Unban() | Prolong():
                record = replace(record, id=moving.identity(record.id, record.prefix))
            case Enforcement(decision=str(decision)) if decision:
                record = replace(record, decision=moving.identity(decision, record.prefix))
            case AuthLine() | AuthEvent() | Alert() | Command() | Enforcement():
                pass
            case _:
                for partition in range(self._new.partitions):
                    place = moving.place(topic, offset, index, partition)
                    yield exported_id(record, self._id, "-".join(map(str, place)))
                return
        yield exported_id(record, self._id, "")
