"""Which lists a log has: read from its commands, which are kept for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec
import orjson

from banstream.reading import messages
from eventlog.contract import EventLog
from eventlog.follower import located
from schemas.codec import encode, lines_of
from schemas.errors import InvalidMessage
from schemas.lists import digest_of
from schemas.records import ListChanged
from schemas.rules import Jail
from schemas.topics import COMMANDS
from streams.lists import Lists, key_of


class PartHead(msgspec.Struct, gc=False):
    """A part of a list, without what it holds."""

    name: str
    digest: str
    part: int
    parts: int


PART_HEAD: Final = msgspec.json.Decoder(PartHead)
BANS: Final = b'"name":"ban:'
"""What a part of a list of whom to ban has in it."""
NONE: Final = digest_of(())
"""The digest of a list that is not in force."""
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


def bans_in(log: EventLog) -> list[dict[str, str]]:
    """By partition, the digests of the lists of whom to ban, by name: what is in them is not looked at."""
    found: list[dict[str, str]] = []
    for number in range(log.partitions):
        in_force: dict[str, str] = {}
        have: dict[str, tuple[str, int]] = {}
        for message in messages(log, COMMANDS.name, number, log.begin(COMMANDS.name, number)):
            for head in _heads(message.value):
                digest, count = have.pop(head.name, ("", 0))
                count = count + 1 if digest == head.digest and head.part else 1
                if head.part + 1 != count:
                    continue
                if count < head.parts:
                    have[head.name] = head.digest, count
                elif head.digest == NONE:
                    in_force.pop(head.name, None)
                else:
                    in_force[head.name] = head.digest
        found.append(in_force)
    return found


def _heads(value: bytes) -> Iterator[PartHead]:
    """What the parts of lists of whom to ban in a message are of."""
    if BANS not in value:
        return
    for line in lines_of(value):
        if BANS in line:
            with suppress(msgspec.MsgspecError):
                yield PART_HEAD.decode(line)


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
