"""What a stream's lines leave behind for later ones: of more than so many the oldest goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from schemas.errors import InvalidMessage

K = TypeVar("K")
V = TypeVar("V")


class Memory(dict[K, V]):
    """Sessions, connections and the like of one stream by their key, oldest first.

    A dict, so that a hot path looks up and forgets (`get`, `pop`) at a dict's price.
    """

    __slots__ = ("_most",)

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def keep(self, key: K, value: V) -> None:
        """Remember this as the newest."""
        self.pop(key, None)
        while len(self) >= self._most:
            del self[next(iter(self))]
        self[key] = value

    def save(self, plain: Callable[[K, V], Any]) -> list[Any]:
        """As JSON, oldest first; `plain` gives each."""
        return [plain(key, value) for key, value in self.items()]

    def load(self, saved: Any, parsed: Callable[[Any], tuple[K, V]], field: str) -> None:
        """Go on where `save` was called; `parsed` undoes `plain`. Raises InvalidMessage, naming the field."""
        found = remembered(saved, parsed, field)
        self.clear()
        self.update(found)


def remembered(saved: Any, parsed: Callable[[Any], tuple[K, V]], field: str) -> dict[K, V]:
    """What `Memory.save` gave, parsed; InvalidMessage, naming the field, when it is none."""
    try:
        return dict(map(parsed, saved))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InvalidMessage(f"not what a filter remembered: {error!r:.120}", field=field) from error
