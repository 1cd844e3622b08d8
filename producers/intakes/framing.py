r"""A stream of bytes cut into syslog messages (RFC 6587), and each made one line.

| a message begins with | it ends |
|---|---|
| digits, a blank and `<` | after as many octets as the digits say: octet counting |
| anything else | at the next newline; a zero byte before it is dropped |

Each message is looked at by itself: a relay may mix both. A newline within a counted message is written
`#012`, as rsyslog does, so that what a client wrote never begins a line. What is longer than the limit is
cut, the rest skipped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from producers.intakes.settings import AllowedSender

MESSAGE_LIMIT_BYTES: Final = 32 << 10
"""Four times what syslog daemons take by default."""
COUNT: Final = re.compile(rb"([1-9]\d{0,6}) (?=<)")
COUNT_AFTER_LINE: Final = re.compile(rb"\n[1-9]\d{0,6} <")


class WholeLines(NamedTuple):
    """Whole lines. `number`: how many; `cut`: how many of them are cut."""

    data: bytes
    number: int
    cut: int


def line_of(message: bytes) -> bytes:
    """A message as one line with its newline; nothing for an empty one."""
    text = message.rstrip(b"\r\n\0")
    if b"\n" in text:
        text = text.replace(b"\n", b"#012")
    return text + b"\n" if text else b""


class Framing:
    """One connection's stream. Nothing is ever said there. `counted`: octets may be counted, too."""

    def __init__(self, *, counted: bool = True) -> None:
        self._counted = counted
        self.output = bytearray()
        self.closing = self.deaf = False
        self._rest = b""
        self._skip_bytes = 0
        self._skips_line = False

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._rest) or self._skip_bytes > 0 or self._skips_line

    def ended(self) -> None:
        """The connection is gone, and what had begun with it."""

    def renew(self, senders: Sequence[AllowedSender]) -> None:
        """Who it is does not change how a stream is cut."""

    def take(self, data: bytes) -> WholeLines:
        """The messages that have ended with these bytes, as lines."""
        data = self._after_skipped(self._rest + data)
        self._rest = b""
        found: list[bytes] = []
        count = cut = at = 0
        while at < len(data):
            counted = COUNT.match(data, at) if self._counted else None
            if counted is not None:
                length, at = int(counted[1]), counted.end()
                if length > MESSAGE_LIMIT_BYTES and len(data) - at >= MESSAGE_LIMIT_BYTES:
                    found.append(line_of(data[at : at + MESSAGE_LIMIT_BYTES]))
                    self._skip_bytes = max(0, length - (len(data) - at))
                    cut += 1
                elif length > len(data) - at:
                    self._rest = data[counted.start() :]
                    break
                else:
                    found.append(line_of(data[at : at + length]))
                count += 1
                at += length
                continue
            end = self._lines_end(data, at)
            if end == at:
                cut += self._begun(data[at:], found)
                break
            found.append(data[at:end])
            count += data.count(b"\n", at, end)
            at = end
        return WholeLines(b"".join(found), count + cut * self._skips_line, cut)

    def _lines_end(self, data: bytes, at: int) -> int:
        """Where the whole lines from here on end that are told apart by newlines."""
        following = COUNT_AFTER_LINE.search(data, at) if self._counted else None
        return data.rfind(b"\n", at) + 1 or at if following is None else following.start() + 1

    def _begun(self, rest: bytes, found: list[bytes]) -> int:
        """Keep a line that has only begun; of one past the limit its beginning is taken: 1."""
        if len(rest) <= MESSAGE_LIMIT_BYTES:
            self._rest = rest
            return 0
        found.append(line_of(rest[:MESSAGE_LIMIT_BYTES]))
        self._skips_line = True
        return 1

    def _after_skipped(self, data: bytes) -> bytes:
        """What follows the rest of a message that was cut."""
        if self._skip_bytes:
            skipped = min(self._skip_bytes, len(data))
            self._skip_bytes -= skipped
            return data[skipped:]
        if self._skips_line:
            newline = data.find(b"\n")
            self._skips_line = newline < 0
            return b"" if newline < 0 else data[newline + 1 :]
        return data
