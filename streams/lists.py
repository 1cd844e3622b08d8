"""The lists of prefixes in force in one partition. Pure: a list changes by records, and by nothing else.

| a part of a list | does |
|---|---|
| the first | begins the list anew, whatever had come of it |
| the next one of the same list | is kept |
| the last | puts the list in force in place of the one of its name, whole |
| any other, or where the digest is not that of the prefixes | is refused, and what had come is dropped |
| of the list that is in force already | changes nothing |

Whom a list newly holds is let go by the jails that name it, and so is his network: failures are forgotten,
bans end. What was ended so does not come back when the list lets go of him.

In a checkpoint each part is a message of its own, written once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from schemas.codec import decode, encode
from schemas.errors import InvalidMessage, LogError
from schemas.lists import BAN, PrefixTable, digest_of
from schemas.records import ListChanged
from schemas.rules import Rules
from streams.jail import JailState

if TYPE_CHECKING:
    from streams.decider import Decider

KEY: Final = "list/"
"""How the keys of parts begin among the state."""
MOST_LISTS: Final = 1_024
MOST_COMING: Final = 64
MOST_HELD: Final = 4_194_304
"""Prefixes of all lists, in force and coming; 50 MB in force."""
NOBODY: Final = PrefixTable()


@dataclass(frozen=True, slots=True)
class InForce:
    """A list in force."""

    digest: str
    parts: int
    table: PrefixTable


@dataclass(slots=True)
class Coming:
    """A list of which not all parts have come."""

    digest: str
    parts: int
    prefixes: list[str] = field(default_factory=list)
    have: int = 0


class Lists:
    """The lists in force by name, and those that are coming."""

    def __init__(self) -> None:
        self.in_force: dict[str, InForce] = {}
        self._coming: dict[str, Coming] = {}
        self._unsaved: dict[str, bytes] = {}

    def tables(self, names: Iterable[str]) -> tuple[PrefixTable, ...]:
        """What the lists of these names hold."""
        return tuple(self.in_force[name].table for name in names if name in self.in_force)

    def take(self, part: ListChanged) -> bool:
        """Take a part; whether its list has come into force, or is gone. Raises InvalidMessage."""
        held = self.in_force.get(part.name)
        if held is not None and held.digest == part.digest:
            return False
        coming = self._expected(part)
        self._unsaved[key_of(part.name, part.digest, part.part)] = encode(part)
        coming.prefixes += part.prefixes
        coming.have += 1
        if coming.have < coming.parts:
            return False
        if digest_of(coming.prefixes) != part.digest:
            self._drop(part.name)
            raise InvalidMessage(f"list {part.name}: its parts are not what its digest says", field="digest")
        self._put_in_force(part.name)
        return True

    def unsaved(self) -> Iterator[tuple[str, bytes]]:
        """What a checkpoint has to write, by key; empty for what is gone. It is saved then."""
        unsaved, self._unsaved = self._unsaved, {}
        return iter(unsaved.items())

    def dump(self) -> dict[str, Any]:
        """Which parts make up the lists: for the record of the whole."""
        return {
            "in_force": {name: [each.digest, each.parts] for name, each in self.in_force.items()},
            "coming": {name: [each.digest, each.parts, each.have] for name, each in self._coming.items()},
        }

    @classmethod
    def load(cls, dumped: Mapping[str, Any], state: Mapping[str, bytes]) -> Lists:
        """The lists that a checkpoint holds: `dump`'s, and the parts by key. Raises LogError."""
        lists = cls()
        for name, (digest, parts) in dumped.get("in_force", {}).items():
            prefixes = _loaded(state, name, digest, parts)
            lists.in_force[name] = InForce(digest, parts, PrefixTable(prefixes))
        for name, (digest, parts, have) in dumped.get("coming", {}).items():
            lists._coming[name] = Coming(digest, parts, _loaded(state, name, digest, have), have)
        return lists

    def _expected(self, part: ListChanged) -> Coming:
        """The list of which this is the next part. Raises InvalidMessage."""
        if part.part == 0:
            self._begin(part)
        coming = self._coming.get(part.name)
        if coming is None or (coming.digest, coming.parts, coming.have) != (
            part.digest,
            part.parts,
            part.part,
        ):
            self._drop(part.name)
            raise InvalidMessage(
                f"list {part.name}: part {part.part} of {part.parts} does not follow what came before; "
                "the list stays as it is",
                field="part",
            )
        held = sum(len(each.table) for each in self.in_force.values())
        held += sum(len(each.prefixes) for each in self._coming.values())
        if held + len(part.prefixes) > MOST_HELD:
            self._drop(part.name)
            raise InvalidMessage(f"list {part.name}: all lists together hold {MOST_HELD} prefixes at most")
        return coming

    def _begin(self, part: ListChanged) -> None:
        if part.name not in self.in_force and len(self.in_force) >= MOST_LISTS:
            raise InvalidMessage(f"list {part.name}: there are {MOST_LISTS} lists, and may be no more")
        self._drop(part.name)
        if len(self._coming) >= MOST_COMING:
            self._drop(next(iter(self._coming)))
        self._coming[part.name] = Coming(part.digest, part.parts)

    def _put_in_force(self, name: str) -> None:
        coming, held = self._coming.pop(name), self.in_force.pop(name, None)
        if held is not None:
            self._forget(name, held.digest, held.parts)
        if coming.prefixes:
            self.in_force[name] = InForce(coming.digest, coming.parts, PrefixTable(coming.prefixes))
        else:
            self._forget(name, coming.digest, coming.parts)

    def _drop(self, name: str) -> None:
        """What has come of a list is no use."""
        coming = self._coming.pop(name, None)
        if coming is not None:
            self._forget(name, coming.digest, coming.have)

    def _forget(self, name: str, digest: str, parts: int) -> None:
        for part in range(parts):
            self._unsaved[key_of(name, digest, part)] = b""


def key_of(name: str, digest: str, part: int) -> str:
    """The key of a part among the state."""
    return f"{KEY}{name}/{digest}/{part}"


def obey(decider: Decider, part: ListChanged) -> None:
    """Take a part of a list; where it comes into force, let go whom it newly holds. Raises InvalidMessage."""
    decider.advance(part.at_ms)
    if part.name.startswith(BAN):
        return  # enforcers follow those
    before = decider.lists.in_force.get(part.name)
    if not decider.lists.take(part):
        return
    decider.lists_changed()
    for jail in decider.jails.values():
        if part.name in jail.rules.spared_by:
            _let_go(decider, jail, part.name, NOBODY if before is None else before.table)


def adopt(decider: Decider, rules: Rules) -> None:
    """Go on under other rules; let go whom the lists hold that a jail names only now."""
    before = {name: jail.rules.spared_by for name, jail in decider.jails.items()}
    decider.adopt(rules)
    for name, known in before.items():
        jail = decider.jails[name]
        for listed in jail.rules.spared_by:
            if listed not in known:
                _let_go(decider, jail, listed, NOBODY)


def _let_go(decider: Decider, jail: JailState, listed: str, old: PrefixTable) -> None:
    """Forget the failures, and end the bans, of whom a list holds now and did not hold before."""
    for new in decider.lists.tables([listed]):
        for banned in (True, False):
            for subject in jail.inside(None, banned=banned):
                if not new.touches(subject) or old.touches(subject):
                    continue
                if banned:
                    decider.release(jail, subject, "allowed", why=f"in the list {listed}")
                else:
                    decider.forgive(jail, subject)


def _loaded(state: Mapping[str, bytes], name: str, digest: str, parts: int) -> list[str]:
    """The prefixes of so many parts. Raises LogError where the state has not got them."""
    prefixes: list[str] = []
    for part in range(parts):
        value = state.get(key_of(name, digest, part))
        record = None if value is None else decode(value)
        if not isinstance(record, ListChanged):
            raise LogError(f"the state lacks part {part} of the list {name}: it is not as it was written")
        prefixes += record.prefixes
    return prefixes
