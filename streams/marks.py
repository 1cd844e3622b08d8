"""How far each source is folded: so that what is sent again counts once. Bounded, and fair to each sender.

There are MOST_MARKS at most, and MOST_BYTES of their names, as they are in every checkpoint. Beyond that the
mark goes that moved least recently: of the sender who brought the new one, where he has more than his share.
So one who makes up sources loses his own marks, and nobody else's.
"""

from __future__ import annotations

from collections import Counter
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
        self._positions = dict(known)
        self._senders = Counter(map(_sender, self._positions))
        self._bytes = sum(map(_size, self._positions))

    def __getitem__(self, mark: Mark) -> int:
        return self._positions[mark]

    def __iter__(self) -> Iterator[Mark]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)

    def move(self, mark: Mark, position: int) -> None:
        """A source is folded up to here."""
        if self._positions.pop(mark, None) is None:
            self._senders[_sender(mark)] += 1
            self._bytes += _size(mark)
        self._positions[mark] = position
        while len(self._positions) > MOST_MARKS or self._bytes > MOST_BYTES:
            self._drop(_sender(mark))

    def _drop(self, sender: str) -> None:
        own = (mark for mark in self._positions if _sender(mark) == sender)
        mark = next(own) if self._senders[sender] > SHARE else next(iter(self._positions))
        del self._positions[mark]
        self._bytes -= _size(mark)
        gone = _sender(mark)
        self._senders[gone] -= 1
        if not self._senders[gone]:
            del self._senders[gone]


def _sender(mark: Mark) -> str:
    """Who brought it: a host that signs."""
    return mark[3]


def _size(mark: Mark) -> int:
    return len(orjson.dumps(mark))
