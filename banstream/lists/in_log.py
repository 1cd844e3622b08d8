"""Which lists a log has: read from its commands, which are kept for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import orjson

from banstream.reading import messages
from eventlog.contract import EventLog
from eventlog.follower import located
from schemas.codec import encode
from schemas.errors import InvalidMessage
from schemas.records import ListChanged
from schemas.rules import Jail
from schemas.topics import COMMANDS
from streams.lists import Lists, key_of

PART: Final = b'{"type":"list"'
"""How a part of a list begins."""


def parts_in(log: EventLog, number: int) -> Iterator[ListChanged]:
    """The parts of lists that a partition was told, in order."""
    for message in messages(log, COMMANDS.name, number, log.begin(COMMANDS.name, number)):
        for each in located(COMMANDS.name, message, PART):
            if isinstance(each.record, ListChanged):
                yield each.record


def lists_in(log: EventLog, number: int) -> Lists:
    """The lists in force in a partition, once all that it was told is folded."""
    lists = Lists()
    for part in parts_in(log, number):
        with suppress(InvalidMessage):
            lists.take(part)
    return lists


def digests_in(log: EventLog) -> list[dict[str, str]]:
    """By partition, the digests of the lists in force, by name."""
    each = (lists_in(log, number).in_force for number in range(log.partitions))
    return [{name: held.digest for name, held in in_force.items()} for in_force in each]


def spared_by(lists: Lists, jail: Jail, prefix: str) -> str | None:
    """Which entry of a list keeps a jail from counting a prefix; None where none does."""
    for name in jail.spared_by:
        for table in lists.tables([name]):
            if entry := table.covering(prefix):
                return f"{entry} is in the list {name}"
    return None


def state_of_lists(log: EventLog, number: int, whole: bytes) -> dict[str, bytes]:
    """The parts that the record of a whole refers to, by their keys among the state."""
    dumped: dict[str, Any] = orjson.loads(whole).get("lists", {})
    digests = {digest for kind in dumped.values() for digest, *_ in kind.values()}
    return {
        key_of(part.name, part.digest, part.part): encode(part)
        for part in (parts_in(log, number) if digests else ())
        if part.digest in digests
    }
