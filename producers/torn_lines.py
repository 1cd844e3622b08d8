r"""The lines that a container's runtime has torn, put together again: per origin and stream, and read whole.

Docker and containerd cut what a container writes at 16 KiB and put each piece into an envelope of its own. A
client who makes a service write a long line chooses where it is cut: what a piece begins or ends with may be
his words. So a line is read when all its pieces are there, or not at all:

| what is seen | what is handed on |
|---|---|
| a piece that is not the last | an empty line |
| the last piece, and all before it are there | the line, in the envelope and at the position of that piece |
| the last piece, and one is missing, or the line is too long | an empty line, and it is counted |

Lines that are not torn pass unchanged. The pieces of a container's two streams may be mixed. What is held is
bounded, for a stream and for all together. A position holds where the pieces stand, not their text: after a
restart they are read again from there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from producers.contract import LINE_LIMIT_BYTES, stored
from producers.filters.entries import json_object
from producers.filters.partial_lines import may_be_split, piece_of
from schemas.errors import InvalidMessage

MOST_PIECES: Final = 1_024
"""As many may a line have: of 16 KiB each 64 are enough."""
MOST_HELD_BYTES: Final = 32 << 20
"""As much is held of the open lines of all containers."""
NOT_JOINED: Final = "long lines of containers that could not be put together, and are not read"
EMPTY: Final = b"\n"
CRI_FIELDS: Final = 4
"""Time, stream, flag and text."""

BytesAgain = Callable[[str, int, int], bytes]
"""The bytes of an incarnation, from an offset, so many; fewer where they are not to be had."""


class HeldRoom:
    """What all open lines of a process may take together, in bytes."""

    def __init__(self, most_bytes: int = MOST_HELD_BYTES) -> None:
        self.left_bytes = most_bytes


@dataclass(slots=True)
class OpenLine:
    """A line whose end has not been seen.

    Attributes:
        pieces: its pieces, without envelopes.
        places: where they stand.
        size: their bytes.
        lost: it cannot be put together any more; nothing is held of it.
    """

    pieces: list[bytes] = field(default_factory=list)
    places: list[Any] = field(default_factory=list)
    size: int = 0
    lost: bool = False


class OpenLines(dict[str, OpenLine]):
    """Lines whose ends have not been seen, by the stream that they are of."""

    def __init__(self, room: HeldRoom) -> None:
        super().__init__()
        self._room = room

    def add(self, name: str, text: bytes, place: Any) -> None:
        """Hold one more piece of a line, if there is room for it."""
        opened = self.setdefault(name, OpenLine())
        if opened.lost:
            return
        opened.pieces.append(text)
        opened.places.append(place)
        opened.size += len(text)
        self._room.left_bytes -= len(text)
        if opened.size > LINE_LIMIT_BYTES or len(opened.pieces) > MOST_PIECES or self._room.left_bytes < 0:
            self.lose(name)

    def lose(self, name: str) -> None:
        """Hold nothing of a line any more: one of its pieces is missing."""
        opened = self.setdefault(name, OpenLine())
        self._room.left_bytes += opened.size
        self[name] = OpenLine(lost=True)

    def end(self, name: str) -> bytes | None:
        """The whole of a line that ends; None where it is lost."""
        opened = self.pop(name, OpenLine(lost=True))
        self._room.left_bytes += opened.size
        return None if opened.lost else b"".join(opened.pieces)

    def save(self) -> dict[str, Any]:
        """Where the pieces stand, as JSON; null for a line that is lost."""
        return {name: None if line.lost else line.places for name, line in self.items()}


class TornLines:
    """The open lines of one origin, by stream."""

    def __init__(self, room: HeldRoom | None = None) -> None:
        self._notices: Counter[str] = Counter()
        self._open = OpenLines(room or HeldRoom())

    def join(self, incarnation: str, start: int, data: bytes) -> list[tuple[int, bytes]]:
        """Whole lines, with the position of the first byte of each stretch: none of them a piece."""
        if not self._open and not may_be_split(data):
            return [(start, data)]
        found: list[tuple[int, bytes]] = []
        done = at = 0
        while at < len(data):
            end = data.find(b"\n", at) + 1 or len(data)
            line = data[at:end]
            streams, last = piece_of(line)
            if not last or not streams.isdisjoint(self._open):
                if done < at:
                    found.append((start + done, data[done:at]))
                for name in streams:
                    self._open.add(name, _text_of(line), (incarnation, start + at, end - at))
                    if len(streams) > 1:
                        self._open.lose(name)
                found.append((start + at, self._ended(line, streams) if last else EMPTY))
                done = end
            at = end
        if done < len(data):
            found.append((start + done, data[done:]))
        return found

    def save(self) -> dict[str, Any]:
        """Where the pieces of its open lines stand, as JSON."""
        return self._open.save()

    def load(self, saved: Mapping[str, Any], reread: BytesAgain) -> None:
        """Read the pieces again that `save` told the places of. Raises InvalidMessage."""
        for name in saved:
            if saved[name] is None:
                self._open.lose(name)
                continue
            for place in stored(saved, name, list):
                try:
                    incarnation, start, length = str(place[0]), int(place[1]), int(place[2])
                except (ValueError, TypeError, LookupError) as error:
                    raise InvalidMessage(f"not the place of a piece: {place!r:.80}") from error
                line = reread(incarnation, start, length)
                if len(line) != length or piece_of(line) != (frozenset({name}), False):
                    self._open.lose(name)
                self._open.add(name, _text_of(line), (incarnation, start, length))

    def notices(self) -> Mapping[str, int]:
        """How many lines were not put together."""
        return self._notices

    def _ended(self, line: bytes, streams: frozenset[str]) -> bytes:
        """What is handed on in the place of the last piece."""
        (name,) = streams
        text = self._open.end(name)
        whole = b"" if text is None else _in_envelope(line, text)
        if 0 < len(whole) <= LINE_LIMIT_BYTES:
            return whole + EMPTY
        self._notices[NOT_JOINED] += 1
        return EMPTY


def _text_of(line: bytes) -> bytes:
    """What a piece holds, without its envelope and without a newline of the envelope's."""
    if line[:1] == b"{":
        value = json_object(line)
        return b"" if value is None else str(value["log"]).encode("utf-8", "replace")
    return line.rstrip(b"\r\n").split(b" ", CRI_FIELDS - 1)[-1]


def _in_envelope(line: bytes, text: bytes) -> bytes:
    """A text in the envelope of a piece, without a newline."""
    if line[:1] == b"{":
        return orjson.dumps({**(json_object(line) or {}), "log": text.decode("utf-8", "replace")})
    return b" ".join([*line.split(b" ", CRI_FIELDS - 1)[:-1], text])
