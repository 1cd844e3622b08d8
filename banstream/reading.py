"""Reading the event log for people: its records, one by one, and what belongs to a prefix."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from banstream.config import Settings
from banstream.health import health
from eventlog.claim import Claim
from eventlog.contract import EventLog, Message
from eventlog.follower import Located, located
from eventlog.urls import check_reach, open_log, sqlite_path
from schemas.codec import decode, lines_of
from schemas.errors import InvalidMessage
from schemas.records import Record, RulesChanged, Standing
from schemas.rules import Rules
from schemas.topics import BANS, EVENTS, RULES
from streams import verdicts
from streams.fold import TOPICS

BATCH = 256
HEARTBEAT: Final = "up/heartbeat"
"""The name under which `up` keeps what it says of itself in the log's positions."""
SILENT_MS: Final = 15_000


def open_to_read(settings: Settings) -> EventLog:
    """The log, opened for reading only. Raises LogError when there is none yet, Transient when it is away."""
    check_reach(settings.log_url)
    return open_log(settings.log_url, read_only=True)


def open_to_tell(settings: Settings) -> EventLog:
    """The log, opened for a command's words. Raises LogError, and Transient when it is away."""
    check_reach(settings.log_url)
    return open_log(settings.log_url)


def messages(log: EventLog, topic: str, partition: int, start: int) -> Iterator[Message]:
    """The messages of a partition from an offset to its present end."""
    offset = start
    while batch := log.read(topic, partition, offset, limit=BATCH):
        yield from batch
        offset = batch[-1].offset + 1


def records(
    log: EventLog, topic: str, *, since_ms: int | None = None, containing: bytes = b""
) -> Iterator[Located]:
    """The records of all partitions of a topic; `containing`: only lines with these bytes are read.

    Lines that hold no record are passed over: they are in the dead letters.
    """
    for partition in range(log.partitions):
        start = log.begin(topic, partition)
        if since_ms is not None:
            start = log.offset_at(topic, partition, since_ms)
        for message in messages(log, topic, partition, start):
            yield from located(topic, message, containing)


def versions(log: EventLog) -> Iterator[RulesChanged]:
    """Every version of the rules that a fleet had, in the order in which it was last put in force."""
    for message in log.latest(RULES.name):
        try:
            record = decode(message.value)
        except InvalidMessage:
            continue
        if isinstance(record, RulesChanged):
            yield record


def rules_in_force(log: EventLog) -> Rules | None:
    """The rules that were put in force last; None on a log that never had any."""
    newest = deque(versions(log), maxlen=1)
    return Rules.from_state(newest[0].rules) if newest else None


def in_force(log: EventLog, is_wanted: Callable[[str], bool] | None = None) -> Iterator[Standing]:
    """The banned prefixes that are wanted (None: all); what cannot be read is in the dead letters."""
    for message in log.latest(BANS.name):
        if is_wanted is None or is_wanted(message.key or ""):
            with suppress(InvalidMessage):
                record = decode(message.value)
                if isinstance(record, Standing):
                    yield record


def heartbeat(log: EventLog) -> dict[str, Any] | None:
    """What the last `up` on this log said of itself; None when there never was one.

    Where the log takes nothing it cannot say more there: then what it says to its supervisor counts.
    """
    value = log.position(HEARTBEAT)
    beat: dict[str, Any] | None = None if value is None else orjson.loads(value)
    said = health("up").facts
    newer = beat is not None and said.get("pid") == beat["pid"] and said["at_ms"] > beat["at_ms"]
    return {**said} if newer else beat


def is_up(url: str, log: EventLog, beat: Mapping[str, Any] | None, now_ms: int) -> bool:
    """Whether `up` runs on this log of a machine's own now; `beat`: its `heartbeat`."""
    return is_running(sqlite_path(url), "up", beat, now_ms, speechless=bool(log.notices()))


def is_running(
    path: Path, role: str, beat: Mapping[str, Any] | None, now_ms: int, *, speechless: bool = False
) -> bool:
    """Whether a role runs: it holds the lock beside its file, whether or not it could say a word yet.

    Who has no right to see that goes by what it said last: not long ago, unless it is `speechless` (its disk
    has no room for a word), and its process has not ended since.
    """
    held = Claim.is_held(path, role)
    if held is not None:
        return held
    if beat is None or beat["stopped"] or (now_ms - beat["at_ms"] >= SILENT_MS and not speechless):
        return False
    return _is_there(beat)


def in_this_life(beat: Mapping[str, Any] | None, *, running: bool) -> Mapping[str, Any]:
    """What a role that runs has said since its start; of one that does not, what it said last."""
    if beat is None or (running and (beat["stopped"] or not _is_there(beat))):
        return {}
    return beat


def _is_there(beat: Mapping[str, Any]) -> bool:
    return Path(f"/proc/{beat['pid']}").exists()


def at(log: EventLog, topic: str, place: str) -> Record | None:
    """The record at `partition-offset-index` of a topic; None where it is no longer kept."""
    partition, offset, index = map(int, place.split("-")[:3])
    for message in log.read(topic, partition, offset, limit=1):
        if message.offset == offset:
            lines = lines_of(message.value)
            return decode(lines[index]) if index < len(lines) else None
    return None


def cause_of(log: EventLog, decision: str) -> Record | None:
    """The record that caused the decision of an id; None where it was time, or is no longer kept."""
    partition, offset, index, _ = decision.split("-")
    match offset[:1]:
        case verdicts.TIME:
            return None
        case kind if kind in TOPICS:
            return at(log, TOPICS[kind], f"{partition}-{offset[1:]}-{index}")
        case _:
            return at(log, EVENTS.name, f"{partition}-{offset}-{index}")
