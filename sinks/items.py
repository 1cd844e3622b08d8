"""From messages of the log to the items that a sink carries. What cannot be read is in the dead letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from eventlog.contract import Message
from schemas.codec import AuthLine, decode_frame, lines_of, read_events
from schemas.errors import InvalidMessage
from schemas.records import AuthEvent, Ban, Record
from schemas.topics import EVENTS
from sinks.contract import NOTHING_KNOWN, Background, Item
from sinks.identity import event_id, exported_id
from sinks.selection import WHATS, Selection, happening_of, subject_of
from sinks.techniques import TechniqueOf, technique_by_name

BackgroundOf = Callable[[Ban], Background]
"""What is known of a ban's evidence."""


def nothing_known(_: Ban) -> Background:
    """For who does not need it."""
    return NOTHING_KNOWN


class Items:
    """Takes messages apart, for one sink."""

    def __init__(
        self,
        log: str,
        selection: Selection,
        background: BackgroundOf = nothing_known,
        technique_of: TechniqueOf = technique_by_name,
    ) -> None:
        """`log`: its id."""
        self._log: Final = log
        self._selection: Final = selection
        self._takes_all: Final = not selection.on and not selection.where
        self._background: Final = background
        self._technique_of: Final = technique_of

    def of(self, topic: str, message: Message) -> Iterator[Item]:
        """The items of a message that are carried, in order."""
        with suppress(InvalidMessage):
            read: Callable[[bytes], Sequence[AuthLine | Record | InvalidMessage]]
            read = read_events if topic == EVENTS.name else decode_frame
            records = read(message.value)
            lines = lines_of(message.value)
            place = f"{message.partition}-{message.offset}-"
            technique_of = self._technique_of
            for index, record in enumerate(records):
                if isinstance(record, AuthLine):
                    if self._takes_all or self._selection.takes(record.kind, record):
                        ref, raw = f"{place}{index}", lines[index]
                        named, kind, ip = event_id(record), record.kind, record.ip
                        technique = technique_of(record)
                        yield Item(
                            named, ref, "events", kind, ip, self._log, record, raw, technique=technique
                        )
                elif not isinstance(record, InvalidMessage):
                    yield from self._item(topic, record, f"{place}{index}", lines[index])

    def _item(self, topic: str, record: Record, ref: str, raw: bytes) -> Iterator[Item]:
        happening = happening_of(record)
        if happening is None or not self._selection.takes(happening, record):
            return
        yield Item(
            exported_id(record, self._log, ref),
            ref,
            WHATS[topic],
            happening,
            subject_of(record),
            self._log,
            record,
            raw,
            self._background(record) if isinstance(record, Ban) else NOTHING_KNOWN,
            technique=self._technique_of(record) if isinstance(record, AuthEvent) else "",
        )
