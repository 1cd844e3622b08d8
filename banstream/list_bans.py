"""Which lists of whom to ban name an address, and whether it passes all the same: as the log has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from banstream.allowed import allowed
from banstream.config import Settings
from banstream.lists.in_log import bans_in, lists_in
from banstream.reading import heartbeat, rules_in_force
from eventlog.contract import EventLog
from eventlog.urls import is_shared
from schemas.lists import BAN, PrefixTable
from schemas.prefixes import PrefixSet
from schemas.topics import partition_of, spans_partitions


class ListedBy(NamedTuple):
    """A list that names a prefix.

    Attributes:
        name: the list's, as the configuration has it.
        entry: the entry that holds the prefix, or that the prefix holds.
        passes: who says that it passes all the same, wholly or in part; None where nobody does.
    """

    name: str
    entry: str
    passes: str | None

    @property
    def sentence(self) -> str:
        """All of it."""
        if self.passes is not None:
            return f"the list {self.name} names it ({self.entry}), but it passes: {self.passes}"
        return f"refused by the list {self.name} ({self.entry})"

    def to_wire(self) -> dict[str, Any]:
        """As JSON has it."""
        return self._asdict()


def lists_of_bans(log: EventLog) -> dict[str, int]:
    """The lists of whom to ban that are in force in a log, and in how many partitions."""
    found: dict[str, int] = {}
    for names in bans_in(log):
        for name in names:
            found[name.removeprefix(BAN)] = found.get(name.removeprefix(BAN), 0) + 1
    return found


def listed(log: EventLog, settings: Settings, prefix: str, now_ms: int) -> list[ListedBy]:
    """The lists that name a prefix, some of it or what holds it."""
    if not any(bans_in(log)):
        return []
    numbers = range(log.partitions)
    if not spans_partitions(prefix):
        numbers = range(number := partition_of(prefix, log.partitions), number + 1)
    found: dict[str, ListedBy] = {}
    for number in numbers:
        tables = {name: each.table for name, each in lists_in(log, number).in_force.items()}
        for name, table in tables.items():
            entry = table.covering(prefix) or (table.inside(prefix) if "/" in prefix else None)
            if name.startswith(BAN) and entry is not None:
                passes = next(_passes(log, settings, prefix, now_ms, tables), None)
                found.setdefault(name, ListedBy(name.removeprefix(BAN), entry, passes))
    return list(found.values())


def _passes(
    log: EventLog, settings: Settings, prefix: str, now_ms: int, tables: dict[str, PrefixTable]
) -> Iterator[str]:
    """Who says that a prefix is never refused."""
    for word in allowed(log, now_ms):
        if prefix in PrefixSet([word.prefix]):
            yield f"{word.who} allows {word.prefix}"
    rules = rules_in_force(log)
    for jail in () if rules is None else rules.jails:
        if entry := PrefixSet(jail.ignoreip).covering(prefix):
            yield f"jail {jail.name} ignores {entry}"
        for name in jail.spared_by:
            if name in tables and (entry := tables[name].covering(prefix)):
                yield f"{entry} is in the list {name}"
    if entry := PrefixSet(settings.enforcer.never_ban).covering(prefix):
        yield f"[enforcer] never_ban has {entry}"
    yield from _held_off(log, settings, prefix)


def _held_off(log: EventLog, settings: Settings, prefix: str) -> Iterator[str]:
    """What `up` says it never bans; and that nothing is enforced here."""
    enforcer = None if is_shared(settings.log_url) else (heartbeat(log) or {}).get("enforcer")
    if enforcer is None:
        return
    if enforcer["observing"]:
        yield f"nothing is enforced: {enforcer['observing']}"
    for never in enforcer["never_ban"]:
        network, _, why = never.partition(" ")
        if prefix in PrefixSet([network]):
            yield f"never banned: {network} {why}"
