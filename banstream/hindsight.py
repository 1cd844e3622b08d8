"""What an operator should know of whom a command is about: who spares or holds it, what was counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from banstream.allowed import allowed
from banstream.lists.in_log import lists_in
from banstream.reading import in_force
from eventlog.contract import EventLog
from schemas.errors import LogError
from schemas.prefixes import PrefixSet
from schemas.records import Standing
from schemas.rules import Rules
from schemas.topics import EVENTS, STATE, partition_of, spans_partitions
from streams.barrier import Unfoldable
from streams.order import INPUTS, read_again
from streams.partition import Partition, is_own

PAGE: Final = 256
MOST_PAGES: Final = 64
"""So much that no checkpoint has is folded again for one answer."""


class Spared(NamedTuple):
    """Why an address is not counted: an entry, and whose it is."""

    entry: str
    by: str


def spared(log: EventLog, rules: Rules | None, prefix: str, jail: str | None, now_ms: int) -> list[Spared]:
    """Who ignores or allows all of a prefix: these jails (None: any), by ignoreip or a list; an `allow`."""
    found: dict[Spared, list[str]] = {}
    lists = lists_in(log, partition_of(prefix, log.partitions))
    jails = () if rules is None else rules.jails
    for each in (each for each in jails if jail in {None, each.name}):
        if (entry := PrefixSet(each.ignoreip).covering(prefix)) is not None:
            found.setdefault(Spared(entry, "ignoreip"), []).append(each.name)
        for name in each.spared_by:
            for entry in filter(None, (table.covering(prefix) for table in lists.tables([name]))):
                found.setdefault(Spared(entry, f"the list {name}"), []).append(each.name)
    told = [Spared(entry, f"{by} of {', '.join(names)}") for (entry, by), names in found.items()]
    who = {each.prefix: each.who for each in allowed(log, now_ms)}
    entry = PrefixSet(who).covering(prefix)
    return told if entry is None else [*told, Spared(entry, f"`banstream allow` by {who[entry]}")]


def holders_around(log: EventLog, prefix: str) -> Iterator[Standing]:
    """The banned prefixes that contain this one, it among them."""
    found = in_force(log, lambda key: "/" in key or key == prefix)
    return (standing for standing in found if PrefixSet([standing.prefix]).covering(prefix) is not None)


def holds_any(log: EventLog, jail: str) -> bool:
    """Whether a jail holds a prefix: one that is gone from the rules may."""
    return any(hold.jail == jail for standing in in_force(log) for hold in standing.holds)


def failing(log: EventLog, prefix: str, jail: str | None) -> dict[str, int] | None:
    """Failures counted now inside a prefix, by jail, as a decider knows; None where that cannot be known."""
    wide = spans_partitions(prefix)
    numbers = range(log.partitions) if wide else (partition_of(prefix, log.partitions),)
    counted: dict[str, int] = {}
    for number in numbers:
        partition = _decided(log, number)
        if partition is None:
            return None
        jails = partition.decider.jails
        for name, state in jails.items():
            count = sum(len(state.failures_of(ip)) for ip in state.inside(prefix, banned=False))
            if count and jail in {None, name}:
                counted[name] = counted.get(name, 0) + count
    return counted


def _decided(log: EventLog, number: int) -> Partition | None:
    """A partition as its decider has it now, of whatever log; None where that is too much to fold again."""
    try:
        if is_own(log, number):
            partition = Partition.load(log, number)
        else:
            begins = {topic: log.begin(topic, number) for topic in INPUTS}
            partition = Partition(number, partitions=log.partitions, begins=begins)
            state = {message.key or "": message.value for message in log.latest(STATE.name, number)}
            again = partition.restore(state, begins, log.end(EVENTS.name, number))
            read_again(log, number, again)
            partition.resumed(again)
        for _ in range(MOST_PAGES):
            messages = log.read(EVENTS.name, number, partition.next_offset, limit=PAGE)
            if not messages or not partition.takes_events:
                return partition
            partition.decide(messages)
    except (LogError, Unfoldable):
        return None
    return None
