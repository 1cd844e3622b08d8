"""GELF 1.1 (Graylog's documentation): JSON with `short_message` and `host`, over TCP and UDP.

Over TCP a message ends with a zero byte. Over UDP a datagram is a message, plain or packed by gzip or zlib,
or a piece of one: `1e 0f`, an id of eight bytes, number and count, at most 128, all within five
seconds.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from producers.intakes.bodies import read_json
from producers.intakes.counting import BAD_MESSAGES, LOST_PIECES, REFUSED_LINES, IntakeNotices
from producers.intakes.framing import MESSAGE_LIMIT_BYTES, WholeLines, line_of
from producers.intakes.settings import AllowedSender

PIECE: Final = b"\x1e\x0f"
HEAD_BYTES: Final = 12
MOST_PIECES: Final = 128
MOST_OPEN: Final = 64
MOST_HELD_BYTES: Final = 8 << 20
"""So many messages may be in pieces, and so many bytes of them; the oldest makes room."""
PIECES_MS: Final = 5_000
LARGEST_BYTES: Final = 1 << 20
"""A message is unpacked to as much at most."""
UNPACK_ANY: Final = 32 + zlib.MAX_WBITS
PACKED: Final = (b"\x1f\x8b", b"\x78")


def lines_of(message: bytes, sender: AllowedSender, notices: IntakeNotices) -> list[bytes]:
    """The lines of a message that are of the sender's hosts; what is none is counted."""
    try:
        found = list(read_json(message))
    except (ValueError, RecursionError):
        found = []
    if not found:
        notices.add(BAD_MESSAGES, sender)
    own = [each for each in found if sender.speaks_for(each.host)]
    notices.add(REFUSED_LINES, sender, len(found) - len(own))
    return [line for each in own if (line := line_of(each.line[:MESSAGE_LIMIT_BYTES]))]


class GelfStream:
    """One connection's messages, each ended by a zero byte. Nothing is ever said there."""

    def __init__(self, senders: Sequence[AllowedSender], notices: IntakeNotices) -> None:
        self.output = bytearray()
        self.closing = self.deaf = False
        self._sender = senders[0]
        self._notices = notices
        self._rest = b""

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._rest)

    def renew(self, senders: Sequence[AllowedSender]) -> None:
        """It speaks for other hosts from now on."""
        self._sender = senders[0]

    def ended(self) -> None:
        """The connection is gone, and what had begun with it."""

    def take(self, data: bytes) -> WholeLines:
        """The messages that have ended with these bytes; one that has no end closes the connection."""
        *messages, self._rest = (self._rest + data).split(b"\0")
        self.closing = len(self._rest) > LARGEST_BYTES
        found = [line for each in messages if each.strip() for line in self._read(each)]
        if self.closing:
            self._rest = b""
            self._notices.add(BAD_MESSAGES, self._sender)
        return WholeLines(b"".join(found), len(messages), 0)

    def _read(self, message: bytes) -> list[bytes]:
        return lines_of(message, self._sender, self._notices)


class GelfPieces:
    """The datagrams of all senders: each a message, or a piece of one."""

    def __init__(self, notices: IntakeNotices) -> None:
        self._notices = notices
        self._held_bytes = 0
        self._open: dict[tuple[str, bytes], tuple[int, dict[int, bytes]]] = {}

    def take(self, data: bytes, sender: AllowedSender, peer: str, now_ms: int) -> list[bytes]:
        """The lines of the message that this datagram is, or ends."""
        if data[:2] == PIECE:
            whole = self._joined(data, peer, now_ms)
            if whole is None:
                return []
            data = whole
        if data.startswith(PACKED):
            try:
                data = zlib.decompressobj(UNPACK_ANY).decompress(data, LARGEST_BYTES)
            except zlib.error:
                data = b""
        return lines_of(data, sender, self._notices)

    def _joined(self, data: bytes, peer: str, now_ms: int) -> bytes | None:
        """A message all of whose pieces are there; a piece of none is counted."""
        if len(data) <= HEAD_BYTES or not 0 < data[11] <= MOST_PIECES or data[10] >= data[11]:
            self._notices.add(LOST_PIECES)
            return None
        name, number, count = (peer, data[2:10]), data[10], data[11]
        begun_ms, pieces = self._open.pop(name, (now_ms, dict[int, bytes]()))
        self._held_bytes -= len(pieces.get(number, b""))
        pieces[number] = data[HEAD_BYTES:]
        self._held_bytes += len(pieces[number])
        if len(pieces) == count:
            return self._let_go(pieces)
        self._open[name] = begun_ms, pieces
        while self._open and self._is_over(now_ms):
            self._let_go(self._open.pop(next(iter(self._open)))[1])
            self._notices.add(LOST_PIECES)
        return None

    def _is_over(self, now_ms: int) -> bool:
        """Whether the oldest message has to make room, or its time is up."""
        too_many = len(self._open) > MOST_OPEN or self._held_bytes > MOST_HELD_BYTES
        return too_many or now_ms - next(iter(self._open.values()))[0] > PIECES_MS

    def _let_go(self, pieces: dict[int, bytes]) -> bytes:
        """The pieces together, which are held no longer."""
        whole = b"".join(pieces[each] for each in sorted(pieces))
        self._held_bytes -= len(whole)
        return whole
