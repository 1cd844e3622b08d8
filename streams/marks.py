"""How far each source is folded: so that what is sent again counts once. Bounded, and fair to each sender.

There are MOST_MARKS at most, and MOST_BYTES of their names, as they are in every checkpoint. Beyond that the
mark goes that moved least recently: of the sender who brought the new one, where he has more than his share.
So one who makes up sources pushes out SHARE marks of others at most, then his own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import orjson

from streams.inputs import Mark

MOST_MARKS = 10_000
MOST_BYTES = 3 << 20
SHARE = 100
"""A sender has so many of his own before he loses his."""


class Marks(Mapping[Mark, int]):
    """The highest position folded, by mark; the last to move comes last."""

    def __init__(self, known: Iterable[tuple[Mark, int]] = ()) -> None:
        self._positions: dict[Mark, int] = {}
        self._of: dict[str, dict[Mark, None]] = {}
        self._bytes = 0
        for mark, position in known:
            self._put(mark, position)

    def __getitem__(self, mark: Mark) -> int:
        return self._positions[mark]

    def __iter__(self) -> Iterator[Mark]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)

    def move(self, mark: Mark, position: int) -> None:
        """A source is folded up to here."""
        self._put(mark, position)
        while len(self._positions) > MOST_MARKS or self._bytes > MOST_BYTES:
            own = self._of[_sender(mark)]
            self._drop(next(iter(own if len(own) > SHARE else self._positions)))

    def _put(self, mark: Mark, position: int) -> None:
        """Put a mark last, in all and in its sender's own."""
        own = self._of.setdefault(_sender(mark), {})
        if self._positions.pop(mark, None) is None:
            self._bytes += _size(mark)
        else:
            del own[mark]
        self._positions[mark] = position
        own[mark] = None

    def _drop(self, mark: Mark) -> None:
        del self._positions[mark]
        self._bytes -= _size(mark)
        own = self._of[_sender(mark)]
        del own[mark]
        if not own:
            del self._of[_sender(mark)]


def _sender(mark: Mark) -> str:
    """Who brought it: a host that signs."""
    return mark[3]


def _size(mark: Mark) -> int:
    return len(orjson.dumps(mark))
