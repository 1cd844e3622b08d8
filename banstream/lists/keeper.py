"""Keeps the lists in the log as they are outside of it: what has changed is appended, for every partition.

The list in force in the log is the copy that stays when its source cannot be read, after a restart, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from banstream.lists.copies import Copy, OwnAddresses, addresses_of, copy_of
from banstream.lists.in_log import NONE
from banstream.lists.wanted import Wanted
from eventlog.contract import Append, EventLog
from producers.names import Names
from schemas.codec import encode
from schemas.lists import MOST_PREFIXES, digest_of, parts_of
from schemas.topics import COMMANDS, partition_of, spans_partitions

LOOK_S: Final = 1.0
WAIT_S: Final = 0.02
Digests = Callable[[], Sequence[Mapping[str, str]]]
"""By partition, the digests of the lists in force, by name."""
FAILED_S: Final = 60.0
"""So long a name that was not resolved is not asked for again."""


class Keeper:
    """The lists that a configuration wants. All methods are for one thread, and none but `gather` waits."""

    def __init__(  # noqa: PLR0913 - what differs between the roles
        self,
        log: EventLog,
        wanted: Sequence[Wanted],
        in_force: Digests,
        now_ms: Callable[[], int],
        *,
        own: OwnAddresses,
        names: Names | None = None,
        who: str | None = None,
    ) -> None:
        """Keep lists in a log; `in_force` says which it has, `own` this machine's addresses."""
        self._log = log
        self._in_force = in_force
        self._now_ms = now_ms
        self._who = who
        names = names or Names(addresses_of, FAILED_S)
        self._copies: dict[str, Copy] = {each.name: copy_of(each, names, own) for each in wanted}
        self._sparing = [each.name for each in wanted if not each.bans]
        self._changed: set[str] = set()
        self._pushed: dict[tuple[str, int], str] = {}
        self._look_at_s = 0.0
        self._retired = False

    def turn(self) -> bool:
        """Look at the sources once a second, and append what has changed; whether anything. Transient."""
        now_s = time.monotonic()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + LOOK_S
            self._look(now_s)
            return bool([*self.push(), *self.retire()])
        return False

    def gather(self, within_s: float, *, all_of_them: bool = False) -> list[str]:
        """Wait until the lists that are not in force were read, or could not be; those that are neither.

        `all_of_them`: also those that are in force, and those of whom to ban.
        """
        asked = list(self._copies) if all_of_them else self._sparing
        held = set[str]() if all_of_them else set[str]().union(*self._in_force())
        deadline = time.monotonic() + within_s
        while True:
            self._look(time.monotonic())
            waiting = [name for name in asked if not self._copies[name].settled and name not in held]
            if not waiting or time.monotonic() >= deadline:
                return waiting
            time.sleep(WAIT_S)

    def push(self) -> list[str]:
        """Append what has changed; the names of those lists. Raises Transient."""
        pushed = []
        for name in sorted(self._changed):
            prefixes = sorted(self._copies[name].prefixes())[:MOST_PREFIXES]
            if self._append(name, prefixes):
                pushed.append(name)
            self._changed.discard(name)
            self._copies[name].pushed()
        return pushed

    def retire(self) -> list[str]:
        """Append, once, that lists are gone which are in force and not wanted; their names. Raises Transient.

        Not before the rules that want them no longer are in the log.
        """
        held = set[str]() if self._retired else set[str]().union(*self._in_force())
        gone = sorted(held - self._copies.keys())
        told = [name for name in gone if self._append(name, ())]
        self._retired = True
        return told

    def unread(self) -> list[str]:
        """The lists of which nothing is in the log, because they could not be read."""
        held = set[str]().union(*self._in_force())
        told = {name for name, _ in self._pushed} | held
        return [name for name, copy in self._copies.items() if name not in told and any(copy.problems())]

    def notices(self) -> dict[str, int]:
        """What is wrong with the lists, in a sentence each."""
        return {problem: 1 for copy in self._copies.values() for problem in copy.problems()}

    def _look(self, now_s: float) -> None:
        self._changed |= {name for name, copy in self._copies.items() if copy.look(now_s)}

    def _append(self, name: str, prefixes: Sequence[str]) -> bool:
        """Append a list to the partitions that have another; whether there were any."""
        appends: list[Append] = []
        told: dict[tuple[str, int], str] = {}
        for number, (share, held) in enumerate(
            zip(shares(prefixes, self._log.partitions), self._in_force(), strict=True)
        ):
            digest = digest_of(share)
            if digest == self._pushed.get((name, number), held.get(name, NONE)):
                continue
            parts = parts_of(name, share, self._now_ms(), self._who)
            appends += (Append(COMMANDS.name, encode(part), partition=number) for part in parts)
            told[name, number] = digest
        if appends:
            self._log.append(appends)
            self._pushed |= told
        return bool(appends)


def shares(prefixes: Iterable[str], partitions: int) -> list[list[str]]:
    """The prefixes that concern each partition: what is wider than a network concerns all."""
    found: list[list[str]] = [[] for _ in range(partitions)]
    for prefix in prefixes:
        numbers = range(partitions)
        if partitions > 1 and not spans_partitions(prefix):
            numbers = range(number := partition_of(prefix, partitions), number + 1)
        for number in numbers:
            found[number].append(prefix)
    return found
