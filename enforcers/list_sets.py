"""Lists of whom to ban in nftables: filled beside what is in force, changed by differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from enforcers import list_layout as layout
from enforcers.contract import Changed, Side
from enforcers.list_layout import SetKey
from schemas.errors import EnforcementFailed

CHUNK: Final = 4_096


class RunsCommands(Protocol):
    """Runs commands as one transaction; EnforcementFailed when it fails."""

    def __call__(self, commands: str) -> str:
        """The output."""
        ...


class NftablesLists:
    """Holds what lists name in `table inet NAME_lists_a`, or `_b`."""

    chunk = CHUNK

    def __init__(self, run: RunsCommands, table: str, priority: int, changed: Callable[[], Changed]) -> None:
        """`changed`: whether others touched these tables since it was asked last."""
        self._run = run
        self._tables = tables_of(table)
        self._priority = priority
        self.changed = changed
        self._table = self._tables[0]
        self._in_force: str | None = None
        self._sets: set[tuple[Side, SetKey]] = set()

    def holds(self, digest: str, keys: Iterable[tuple[Side, SetKey]]) -> bool:
        """Whether it holds just this already; its frame and its rules are put right then."""
        sets = set(keys)
        for table in self._tables:
            mark = layout.mark("delete", table, digest) + layout.mark("add", table, digest)
            with suppress(EnforcementFailed):
                self._run(mark + layout.whole(table, self._priority, sets))
                self._table = self._in_force = table
                self._sets = sets
                self._drop(*(other for other in self._tables if other != table))
                return True
        return False

    def begin(self) -> None:
        """Begin with nothing, beside what is in force."""
        first, second = self._tables
        self._table = second if self._in_force == first else first
        self._sets = set()
        self._run(layout.gone(self._table) + layout.whole(self._table, self._priority, ()))

    def unmark(self, digest: str) -> None:
        """What is in force is going to change."""
        self._run(layout.mark("delete", self._table, digest))

    def add(self, side: Side, key: SetKey, heads: Sequence[int]) -> None:
        """Add prefixes; those that are there stay."""
        commands = layout.elements("add", self._table, side, key, heads)
        more: set[tuple[Side, SetKey]] = {(side, key)}
        sets = self._sets | more
        if sets != self._sets:
            commands = layout.whole(self._table, self._priority, sets) + commands
        self._run(commands)
        self._sets = sets

    def remove(self, side: Side, key: SetKey, heads: Sequence[int]) -> None:
        """Remove prefixes; it fails where one is not there."""
        self._run(layout.elements("delete", self._table, side, key, heads))

    def finish(self, digest: str) -> None:
        """It is whole: the one before is let go of."""
        self._run(layout.mark("add", self._table, digest))
        self._in_force = self._table
        self._drop(*(table for table in self._tables if table != self._table))

    def drop(self) -> None:
        """Let everything go, and leave nothing behind."""
        self._drop(*self._tables)
        self._in_force, self._sets = None, set()

    def _drop(self, *tables: str) -> None:
        self._run("".join(map(layout.gone, tables)))


def tables_of(table: str) -> tuple[str, str]:
    """The names of the two tables of lists beside a table of bans."""
    first, second = (f"{table}_lists_{generation}" for generation in layout.GENERATIONS)
    return first, second
