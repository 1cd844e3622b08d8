"""What two sets of rules do differently to whom, and the failures that make the difference.

| word | means |
|---|---|
| new only, old only | the other rules ban whom these do not; these ban whom the other do not |
| sooner, later | both do, and the other rules' first ban begins before, or after |
| longer, shorter | both do, and the other rules' bans last longer in all, or less long |
| oftener, less often | both do, and the other rules more often, or less often |

The failures are those that decided the first ban which one has and the other has not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from banstream.reading import at
from banstream.show import counted
from eventlog.contract import EventLog
from producers.offline import STDIN, read_lines
from schemas.durations import format_duration
from schemas.records import AuthEvent, Ban, Decision, Prolong
from schemas.topics import EVENTS
from streams.window import reference

FOREVER_MS: Final = 1 << 60
MOST_LINES: Final = 20_000
"""So many failures are looked up."""
LINE_CHARACTERS: Final = 4_096


@dataclass(slots=True)
class BansUnder:
    """The bans under some rules, and the ends of those that were prolonged."""

    bans: list[Ban] = field(default_factory=list)
    _ends: dict[str, int | None] = field(default_factory=dict)

    def take(self, decisions: Iterable[Decision]) -> None:
        """Take what was decided."""
        for each in decisions:
            if isinstance(each, Ban):
                self.bans.append(each)
            elif isinstance(each, Prolong):
                self._ends[each.ban] = each.until_ms

    def lasts_ms(self, ban: Ban) -> int:
        """How long a ban is; FOREVER_MS where it has no end."""
        until_ms = self._ends.get(ban.id, ban.until_ms)
        return FOREVER_MS if until_ms is None else until_ms - ban.at_ms

    def by_whom(self) -> dict[tuple[str, str], list[Ban]]:
        """The bans by prefix and jail, first ban first."""
        found: dict[tuple[str, str], list[Ban]] = {}
        for ban in sorted(self.bans, key=lambda each: each.at_ms):
            found.setdefault((ban.prefix, ban.jail), []).append(ban)
        return found


@dataclass(frozen=True, slots=True)
class DecisiveFailure:
    """A failure that makes the difference: its place, and the line where that is known."""

    place: str
    source: str | None = None
    position: int | None = None
    line: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"place": self.place, "source": self.source, "position": self.position, "line": self.line}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of one prefix in one jail under the rules as they are, and under the others.

    Attributes:
        bans, other: how often it is banned.
        first_ms, other_first_ms: when first; None where never.
        lasts_ms, other_lasts_ms: for how long in all; FOREVER_MS and more where for ever.
        failures: those that make the difference; none where it is in how long bans last.
    """

    prefix: str
    jail: str
    bans: int
    other: int
    first_ms: int | None
    other_first_ms: int | None
    lasts_ms: int
    other_lasts_ms: int
    failures: tuple[DecisiveFailure, ...] = ()

    @property
    def change(self) -> str:
        """`added`, `removed`, or `changed` where both ban it."""
        return "added" if not self.bans else "removed" if not self.other else "changed"

    @property
    def how(self) -> list[str]:
        """In what it differs; nothing where it does not."""
        if self.first_ms is None or self.other_first_ms is None:
            return ["new only" if self.first_ms is None else "old only"]
        pairs = (
            (self.first_ms, self.other_first_ms, "later", "sooner"),
            (self.lasts_ms, self.other_lasts_ms, "longer", "shorter"),
            (self.bans, self.other, "oftener", "less often"),
        )
        return [more if new > old else less for old, new, more, less in pairs if new != old]

    @property
    def shown(self) -> str:
        """In what it differs, and by how much, for people."""
        told = self.how
        if self.first_ms is not None and self.other_first_ms is not None:
            by_ms = {
                **dict.fromkeys(("sooner", "later"), abs(self.first_ms - self.other_first_ms)),
                **dict.fromkeys(("longer", "shorter"), abs(self.lasts_ms - self.other_lasts_ms)),
            }
            told = [f"{word} by {_lasting(by_ms[word])}" if word in by_ms else word for word in told]
        return ", ".join(told)

    def to_wire(self) -> dict[str, Any]:
        """As `replay --diff --json` prints it."""
        return {
            "kind": "diff",
            "change": self.change,
            "how": self.how,
            "prefix": self.prefix,
            "jail": self.jail,
            "bans": self.bans,
            "other_bans": self.other,
            "first_ms": self.first_ms,
            "other_first_ms": self.other_first_ms,
            "banned_ms": self.lasts_ms if self.lasts_ms < FOREVER_MS // 2 else None,
            "other_banned_ms": self.other_lasts_ms if self.other_lasts_ms < FOREVER_MS // 2 else None,
            "failures": [each.to_wire() for each in self.failures],
        }


def _lasting(lasts_ms: int) -> str:
    return "for ever" if lasts_ms >= FOREVER_MS // 2 else format_duration(lasts_ms)


@dataclass(frozen=True, slots=True)
class Difference:
    """Whom the other rules treat otherwise; `same` prefixes are banned alike by both."""

    changes: tuple[Change, ...]
    same: int


def compare(old: BansUnder, new: BansUnder) -> Difference:
    """What changes from one set of bans to another, by prefix and jail."""
    bans, others = old.by_whom(), new.by_whom()
    keys = sorted(bans.keys() | others.keys())
    every = [_change(key, (old, bans.get(key, [])), (new, others.get(key, []))) for key in keys]
    changes = tuple(each for each in every if each.how)
    return Difference(changes, len(keys) - len(changes))


def _change(
    key: tuple[str, str], old: tuple[BansUnder, Sequence[Ban]], new: tuple[BansUnder, Sequence[Ban]]
) -> Change:
    prefix, jail = key
    (olds, bans), (news, others) = old, new
    return Change(
        prefix=prefix,
        jail=jail,
        bans=len(bans),
        other=len(others),
        first_ms=bans[0].at_ms if bans else None,
        other_first_ms=others[0].at_ms if others else None,
        lasts_ms=sum(map(olds.lasts_ms, bans)),
        other_lasts_ms=sum(map(news.lasts_ms, others)),
        failures=tuple(map(DecisiveFailure, _decisive(bans, others))),
    )


def _decisive(bans: Sequence[Ban], others: Sequence[Ban]) -> tuple[str, ...]:
    """The failures that decided the first ban which only one of them has."""
    starts = {ban.at_ms for ban in bans} ^ {ban.at_ms for ban in others}
    alone = [ban for ban in (*bans, *others) if ban.at_ms in starts]
    return min(alone, key=lambda ban: ban.at_ms).evidence if alone else ()


Lookup = Callable[[Iterable[str]], Mapping[str, DecisiveFailure]]
"""From failures' places to what is known of them."""


def told(difference: Difference, look_up: Lookup) -> Difference:
    """The same with the failures' lines, of MOST_LINES at most."""
    places = (failure.place for change in difference.changes for failure in change.failures)
    known = look_up(islice(places, MOST_LINES))
    changes = (
        replace(change, failures=tuple(known.get(each.place, each) for each in change.failures))
        for change in difference.changes
    )
    return replace(difference, changes=tuple(changes))


def in_log(log: EventLog, places: Iterable[str]) -> dict[str, DecisiveFailure]:
    """Failures, as the log has them."""
    found = {place: at(log, EVENTS.name, place) for place in set(places)}
    return {
        place: DecisiveFailure(place, event.source, event.position, event.line)
        for place, event in found.items()
        if isinstance(event, AuthEvent)
    }


def in_files(files: Sequence[str], file_bits: int, places: Iterable[str]) -> dict[str, DecisiveFailure]:
    """Failures, as the files have them: they are read once more."""
    wanted: dict[int, dict[int, str]] = {}
    for place in places:
        _, offset, index = map(int, place.split("-"))
        number, position = divmod(reference(offset, index), 1 << file_bits)
        wanted.setdefault(number, {})[position] = place
    return {
        place: DecisiveFailure(place, files[number], position, line)
        for number, positions in wanted.items()
        if files[number] != STDIN
        for position, place, line in _lines(files[number], positions)
    }


def _lines(file: str, positions: Mapping[int, str]) -> Iterator[tuple[int, str, str]]:
    left = sorted(positions, reverse=True)
    for base, data in read_lines(file):
        while left and left[-1] < base + len(data):
            position = left.pop()
            start = max(0, position - base)
            line = data[start : data.find(b"\n", start)].decode("utf-8", "replace")
            yield position, positions[position], line[:LINE_CHARACTERS]
        if not left:
            return


def summary(difference: Difference) -> str:
    """How many of each kind."""
    kinds = [each.change for each in difference.changes]
    return (
        f"{kinds.count('added')} more would be banned, {kinds.count('removed')} no longer, "
        f"{kinds.count('changed')} otherwise, {difference.same} the same."
    )


def sentences(change: Change, most: int) -> Iterator[str]:
    """A change for people: what becomes of it, and the failures that make the difference."""
    times = f"banned {counted(change.bans, 'time')}, then {change.other}"
    yield f"{change.change:8} {change.prefix}  {change.jail}  {times}: {change.shown}"
    for each in change.failures[:most]:
        where = each.place if each.source is None else f"{each.source} at {each.position}"
        yield f"         {where}  {each.line or ''}".rstrip()
    if len(change.failures) > most:
        yield f"         ... and {len(change.failures) - most} more"
