"""Entries of the journal that Docker's driver made of one long line, put together again.

| field | says |
|---|---|
| `CONTAINER_PARTIAL_MESSAGE` | this is a piece, and not the last |
| `CONTAINER_PARTIAL_ID`, `CONTAINER_PARTIAL_ORDINAL` | of which line, and its number from 1; the last too |

Drivers of before write the first alone: there the next entry of the container's stream that lacks it is the
last. A line of which a piece is missing is not read (docs/decisions/007).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from producers.contract import stored
from producers.journal import message_of
from producers.torn_lines import HeldRoom, OpenLines

MOST_OPEN: Final = 64
"""As many lines may be open; a container that ended in the midst of one never ends it."""
PARTIAL: Final = "CONTAINER_PARTIAL_MESSAGE"
ID: Final = "CONTAINER_PARTIAL_ID"
ORDINAL: Final = "CONTAINER_PARTIAL_ORDINAL"

EntryFields = Mapping[str, Any]
PiecesAgain = Callable[[str, str, int], Sequence[EntryFields]]
"""The entries that bear an id, from a cursor on, so many at most."""


class JournalPieces:
    """The lines whose ends have not been seen."""

    def __init__(self) -> None:
        self._open = OpenLines(HeldRoom())
        self.lost = 0

    def take(self, entry: EntryFields) -> EntryFields | None:
        """The entry of a whole line; None for a piece that is not the last, or of a line that is lost.

        Raises KeyError, TypeError or ValueError when it is no entry.
        """
        container = entry.get(ID) or entry.get("CONTAINER_ID_FULL")
        if not container:
            return entry
        writer = f"{entry.get('_UID')} {entry.get('_PID')} {entry.get('PRIORITY')}"
        name = str(entry.get(ID) or f"{container} {writer}")
        if PARTIAL not in entry and ID not in entry and name not in self._open:
            return entry
        self._add(name, entry)
        if PARTIAL in entry:
            return None
        text = self._open.end(name)
        self.lost += text is None
        return None if text is None else {**entry, "MESSAGE": list(text)}

    def save(self) -> dict[str, Any]:
        """For each open line the cursor of its first piece, and how many there are; null: it is lost."""
        return {name: places and [places[0], len(places)] for name, places in self._open.save().items()}

    def load(self, saved: Mapping[str, Any], reread: PiecesAgain) -> None:
        """Read the pieces again that `save` told of. Raises InvalidMessage."""
        for name in saved:
            cursor, count = stored(saved, name, list) if saved[name] else ("", 0)
            pieces = reread(name, str(cursor), int(count)) if cursor else ()
            for entry in pieces:
                self._add(name, entry)
            if not pieces or len(pieces) < count:
                self._open.lose(name)

    def _add(self, name: str, entry: EntryFields) -> None:
        opened = self._open.get(name)
        expected = 1 if opened is None else len(opened.pieces) + 1
        if ID in entry and int(entry[ORDINAL]) != expected:
            self._open.lose(name)
        self._open.add(name, message_of(entry["MESSAGE"]), str(entry["__CURSOR"]))
        if len(self._open) > MOST_OPEN:
            self._open.end(next(iter(self._open)))
