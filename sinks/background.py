"""What a ban's evidence says: its failures, read back from the log, so that who hears of it need not ask.

A bounded number of failures of each ban, and of messages kept: a storm of bans whose failures came together
reads each message once.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from eventlog.contract import EventLog
from schemas.codec import AuthLine, read_events
from schemas.errors import InvalidMessage, LogError
from schemas.records import AuthEvent, Ban
from schemas.topics import EVENTS
from sinks.contract import NOTHING_KNOWN, Background
from sinks.techniques import TechniqueOf, technique_by_name

MOST_FAILURES: Final = 10
MOST_NAMED: Final = 10
MOST_KEPT: Final = 64


class Evidence:
    """Reads what bans were decided by."""

    def __init__(self, log: EventLog, technique_of: TechniqueOf = technique_by_name) -> None:
        """`log`: where the events are."""
        self._log = log
        self._technique_of = technique_of
        self._frames: OrderedDict[tuple[int, int], Sequence[object]] = OrderedDict()

    def of(self, ban: Ban) -> Background:
        """What is known; of many failures the first and the last. Raises Transient."""
        places = ban.evidence
        if len(places) > MOST_FAILURES:
            places = (*places[: MOST_FAILURES // 2], *places[-MOST_FAILURES // 2 :])
        found = [event for place in places if (event := self._at(place)) is not None]
        if not found:
            return Background(lines=ban.lines) if ban.lines else NOTHING_KNOWN
        return Background(
            min(each.at_ms for each in found),
            _named(each.user for each in found),
            _named(each.service for each in found),
            _named(each.host for each in found),
            _named(each.filter for each in found),
            tuple(each.line for each in found),
            _named(each.country for each in found),
            _most(map(self._technique_of, found)),
        )

    def _at(self, place: str) -> AuthEvent | AuthLine | None:
        with suppress(ValueError):
            partition, offset, index = map(int, place.split("-"))
            frame = self._frame(partition, offset)
            if index < len(frame) and isinstance(event := frame[index], AuthEvent | AuthLine):
                return event
        return None

    def _frame(self, partition: int, offset: int) -> Sequence[object]:
        key = partition, offset
        if (known := self._frames.get(key)) is not None:
            self._frames.move_to_end(key)
            return known
        frame: Sequence[object] = ()
        with suppress(InvalidMessage, LogError):
            for message in self._log.read(EVENTS.name, partition, offset, limit=1):
                if message.offset == offset:
                    frame = read_events(message.value)
        self._frames[key] = frame
        if len(self._frames) > MOST_KEPT:
            self._frames.popitem(last=False)
        return frame


def _most(techniques: Iterable[str]) -> str:
    """What most are; of as many the first."""
    counts = Counter(each for each in techniques if each)
    return max(counts, key=lambda each: counts[each], default="")


def _named(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))[:MOST_NAMED]
