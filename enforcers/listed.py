"""Which lists of whom to ban are in force in a log, and who passes all the same: read from its commands.

| who passes | by |
|---|---|
| whom some jail never counts | the rules in force: `ignoreip`, and the lists that they name |
| whom an operator allowed | commands |
| whom this host never bans | its enforcer, which adds them |

A log without a list of whom to ban costs a look at each command. A list that would ban too much, or whose
parts are not what they say, is refused: the one of its name that is in force stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, NamedTuple

from eventlog.contract import EventLog, Message
from eventlog.follower import Follower, located
from schemas.errors import InvalidMessage
from schemas.lists import BAN, DIGEST_CHARACTERS, PrefixTable, digest_of, too_much
from schemas.records import Command, ListChanged, RulesChanged
from schemas.rules import Rules
from schemas.topics import COMMANDS

BATCH: Final = 512
SIGN: Final = b'"name":"ban:'
"""What a part of a list of whom to ban has in it."""
NONE: Final = digest_of(())


class Targets(NamedTuple):
    """What a firewall is to hold; `digest` stands for all of it, and is empty where it is nothing."""

    listed: PrefixTable
    spared: PrefixTable
    digest: str

    @classmethod
    def of(cls, listed: PrefixTable, spared: PrefixTable) -> Targets:
        """With its digest."""
        if not len(listed):
            return NOBODY
        return cls(listed, spared, sha256(f"{listed.digest()} {spared.digest()}".encode()).hexdigest()[:32])


NOBODY: Final = Targets(PrefixTable(), PrefixTable(), "")


@dataclass(slots=True)
class ListComing:
    """A list of which not all parts have come."""

    digest: str
    tables: list[PrefixTable] = field(default_factory=list)
    hashed: Any = field(default_factory=sha256)


class ListsInForce:
    """Follows the commands of a log.

    Attributes:
        refused: why a list of whom to ban is not in force as it was told last, by its name.
    """

    def __init__(self, log: EventLog) -> None:
        """Stand at the beginning. Raises LogError and Transient."""
        self._log = log
        self._follower = Follower(log, [COMMANDS])
        self._active = False
        self._coming: dict[tuple[str, int], ListComing] = {}
        self._in_force: dict[tuple[str, int], PrefixTable] = {}
        self._allowed: dict[str, tuple[int, int | None, bool]] = {}
        self._spares: dict[int, Rules] = {}
        self.refused: dict[str, str] = {}

    def follow(self) -> bool:
        """Take in what has been told since; whether that may change anything. Raises LogError, Transient."""
        changed = False
        while messages := self._follower.read(BATCH):
            if not self._active and any(SIGN in message.value for _, message in messages):
                self._active = True
                self._follower = Follower(self._log, [COMMANDS])
                continue
            for _, message in messages if self._active else ():
                changed = self._take(message) or changed
        return changed

    def targets(self, never: Iterable[str], now_ms: int) -> Targets:
        """Whom lists name, and who is spared of them, besides `never`."""
        listed = [table for (name, _), table in self._in_force.items() if name.startswith(BAN)]
        if not listed:
            return NOBODY
        jails = [jail for rules in self._spares.values() for jail in rules.jails]
        names = {name for jail in jails for name in jail.spared_by}
        own = {prefix for jail in jails for prefix in jail.ignoreip}.union(never)
        own.update(
            prefix
            for prefix, (_, until_ms, holds) in self._allowed.items()
            if holds and (until_ms is None or until_ms > now_ms)
        )
        sparing = [table for (name, _), table in self._in_force.items() if name in names]
        return Targets.of(PrefixTable.union(listed), PrefixTable.union([PrefixTable(own), *sparing]))

    def changes_at_ms(self, now_ms: int) -> int | None:
        """When an operator's word ends next; None where none does."""
        ends = (until_ms for _, until_ms, holds in self._allowed.values() if holds and until_ms is not None)
        return min((until_ms for until_ms in ends if until_ms > now_ms), default=None)

    def names(self) -> list[str]:
        """The lists of whom to ban that are in force."""
        return sorted({name for name, _ in self._in_force if name.startswith(BAN)})

    def _take(self, message: Message) -> bool:
        changed = False
        for each in located(COMMANDS.name, message):
            match each.record:
                case ListChanged() as part:
                    changed = self._take_part(part, message.partition) or changed
                case RulesChanged() as rules:
                    changed = self._take_rules(rules, message.partition) or changed
                case Command(verb="allow" | "disallow", prefix=str(prefix)) as word:
                    changed = self._take_word(prefix, word) or changed
                case _:
                    pass
        return changed

    def _take_rules(self, change: RulesChanged, partition: int) -> bool:
        try:
            self._spares[partition] = Rules.from_wire(change.rules)
        except InvalidMessage:
            return False
        return True

    def _take_word(self, prefix: str, word: Command) -> bool:
        known = self._allowed.get(prefix)
        if known is not None and known[0] > word.at_ms:
            return False
        until_ms = None if word.duration_ms is None else word.at_ms + word.duration_ms
        self._allowed[prefix] = word.at_ms, until_ms, word.verb == "allow"
        return True

    def _take_part(self, part: ListChanged, partition: int) -> bool:
        """Whether a list is another one now."""
        place = part.name, partition
        if part.part == 0:
            self._coming[place] = ListComing(part.digest)
        coming = self._coming.get(place)
        if coming is None or coming.digest != part.digest or len(coming.tables) != part.part:
            self._coming.pop(place, None)
            return self._refuse(part, "a part of it is missing")
        try:
            coming.tables.append(PrefixTable(part.prefixes))
        except (ValueError, InvalidMessage):
            del self._coming[place]
            return self._refuse(part, "it holds what is no prefix")
        coming.hashed.update("".join(f"{prefix}\n" for prefix in part.prefixes).encode())
        if part.part + 1 < part.parts:
            return False
        del self._coming[place]
        if coming.hashed.hexdigest()[:DIGEST_CHARACTERS] != part.digest:
            return self._refuse(part, "its parts are not what its digest says")
        return self._put_in_force(part, place, PrefixTable.union(coming.tables))

    def _put_in_force(self, part: ListChanged, place: tuple[str, int], table: PrefixTable) -> bool:
        if part.digest == NONE:
            self.refused.pop(part.name, None)
            return self._in_force.pop(place, None) is not None
        if part.name.startswith(BAN):
            others = [held for at, held in self._in_force.items() if at[0] == part.name and at != place]
            why = too_much(PrefixTable.union([table, *others]))
            if why is not None:
                return self._refuse(part, why)
        self.refused.pop(part.name, None)
        self._in_force[place] = table
        return True

    def _refuse(self, part: ListChanged, why: str) -> bool:
        if part.name.startswith(BAN):
            self.refused[part.name] = why
        return False
