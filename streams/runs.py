"""Authentication events as the decider folds them: rows, in runs that take the same route."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol

RunRow = tuple[str, int, str, int, *tuple[Any, ...]]
"""One event: kind, at_ms, ip, index from its run's base; then, where jails ask, anything, user, port, for how
many requests it stands, path."""


USER: Final = 5
"""Where in a row the user stands, and PORT the port."""
PORT: Final = 6
TIMES: Final = 7
"""Where it says for how many requests it stands, and PATH the path."""
PATH: Final = 8
NO_DECOY: Final = ""
USER_KEPT: Final = 64
"""So much of a user's name is remembered, by the million: whoever makes names up makes them long."""


def value_in(row: RunRow, place: int, usual: Any = None) -> Any:
    """What stands in a row at a place that not every row has."""
    values: Sequence[Any] = row
    return values[place] if len(values) > place else usual


def user_in(row: RunRow) -> str | None:
    """Whom an event names, where its row says it; of a name that is longer than any user's its digest too."""
    user: str | None = value_in(row, USER)
    if user is None or len(user) <= USER_KEPT:
        return user
    digest = blake2b(user.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{user[:USER_KEPT]}...{digest}"


class Rows(Protocol):
    """Rows, gone through as often as one likes."""

    def __len__(self) -> int:
        """How many."""
        ...

    def __iter__(self) -> Iterator[RunRow]:
        """One after the other."""
        ...


class Whence(Protocol):
    """An event, as far as it says where its address is."""

    @property
    def country(self) -> str | None:
        """The country."""
        ...

    @property
    def asn(self) -> int | None:
        """The autonomous system."""
        ...

    @property
    def as_name(self) -> str | None:
        """Whose that is."""
        ...


EventOf = Callable[[int], Whence | None]


class Run(NamedTuple):
    """Authentication events that take the same route.

    Attributes:
        base: the reference (streams.window) of index 0: the frame's offset, shifted.
        route: which jails they concern (streams.routes).
        decoy: the user whom they name, where that is a decoy of some jail: then it is one event.
        event_of: from a row's index to its event; None where there is only the row.
    """

    base: int
    route: str
    rows: Rows
    decoy: str = NO_DECOY
    event_of: EventOf | None = None


Routed = tuple[str, str, RunRow]
"""A route, a decoy, and an event that takes the one and names the other."""


def runs_of(base: int, routed: Iterable[Routed]) -> Iterator[Run]:
    """Events as runs, in their order."""
    for (route, decoy), same in groupby(routed, itemgetter(0, 1)):
        rows = [row for _, _, row in same]
        if decoy:
            yield from (Run(base, route, [row], decoy) for row in rows)
        else:
            yield Run(base, route, rows)


@dataclass(slots=True)
class Columns:
    """Rows, kept as columns of the same length: a row exists only while it is looked at.

    Attributes:
        values: users, ports, how many requests an event stands for, and paths, where a jail asks for such.
    """

    kinds: Sequence[str]
    at_ms: Sequence[int]
    ips: Sequence[str]
    indexes: Sequence[int]
    values: tuple[Sequence[str | int | None], ...] | None = None

    def __len__(self) -> int:
        return len(self.ips)

    def __iter__(self) -> Iterator[RunRow]:
        if self.values is None:
            return zip(self.kinds, self.at_ms, self.ips, self.indexes, strict=True)
        return zip(self.kinds, self.at_ms, self.ips, self.indexes, self.indexes, *self.values, strict=True)


def addresses_of(rows: Rows) -> Sequence[str]:
    """The address of each row."""
    return rows.ips if isinstance(rows, Columns) else [row[2] for row in rows]
