"""Which content, and how far: a position that survives renames, copies, truncation and the reuse of an inode.

A file is what its device and inode say, as long as its bytes agree: the first HEAD_BYTES of it (fewer while
it is short) and the LAST_BYTES before the offset. A file whose bytes agree under another inode is a copy.
Nothing of a log is kept but hashes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Final

from producers.contract import stored
from producers.sources.packed import Content
from schemas.errors import InvalidMessage

HEAD_BYTES: Final = 256
LAST_BYTES: Final = 64
MOST_LINES: Final = 64
"""So many of the lines read last are remembered, to find them again in a log that was rewritten."""
LINE_DIGITS: Final = 8
KINDS: Final[Mapping[str, type]] = {
    **dict.fromkeys(("path", "incarnation", "head", "last", "lines", "after", "packed"), str),
    **dict.fromkeys(("device", "inode", "offset", "head_bytes", "last_bytes"), int),
    "skipping": bool,
}
"""Of what a mark is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePosition:
    """A position in a content.

    Attributes:
        path: where its file was when last seen.
        offset: the bytes read so far; of a packed file, in its text.
        head_bytes: how many of the first bytes `head` is the hash of.
        last_bytes: how many bytes before `offset` `last` is the hash of.
        incarnation: the name of this content, in the source.
        skipping: the offset is inside a line that was cut; the rest of it is to be skipped.
        lines: the hashes of the lines before `offset`, MOST_LINES at most, each LINE_DIGITS long.
        after: those of the content that stood here before and vanished; while this one's first lines are
            among them they have been read (producers.sources.overlap).
        packed: what a compressed file is known by, whatever its name; empty for any other.
    """

    path: str
    device: int
    inode: int
    incarnation: str
    offset: int = 0
    head_bytes: int = 0
    head: str = ""
    last_bytes: int = 0
    last: str = ""
    skipping: bool = False
    lines: str = ""
    after: str = ""
    packed: str = ""

    def moved(
        self, content: Content, offset: int, data: bytes = b"", *, skipping: bool = False
    ) -> FilePosition:
        """The mark at another offset of the same content; `data`: the whole lines that lead there."""
        head_bytes, head = self.head_bytes, self.head
        if head_bytes < HEAD_BYTES:
            start = content.pread(HEAD_BYTES, 0)
            head_bytes, head = len(start), _digest(start)
        last_bytes = min(offset, LAST_BYTES)
        return replace(
            self,
            offset=offset,
            head_bytes=head_bytes,
            head=head,
            last_bytes=last_bytes,
            last=_digest(content.pread(last_bytes, offset - last_bytes)),
            skipping=skipping,
            lines="" if skipping else (self.lines + hashed(last_lines(data)))[-MOST_LINES * LINE_DIGITS :],
            after="",
        )

    def agrees(self, content: Content) -> bool:
        """Whether the bytes of an open file are those that the mark remembers. Raises OSError and Later."""
        head = content.pread(self.head_bytes, 0)
        if len(head) < self.head_bytes or _digest(head) != (self.head or _digest(b"")):
            return False
        last = content.pread(self.last_bytes, self.offset - self.last_bytes)
        return len(last) == self.last_bytes and _digest(last) == (self.last or _digest(b""))

    def tells(self) -> bool:
        """Whether the lines read last tell this content from others: one of them is like no other."""
        return tells(self.lines)

    def is_file(self, stat: os.stat_result) -> bool:
        """Whether a stat is of the very file."""
        return (stat.st_dev, stat.st_ino) == (self.device, self.inode)

    def save(self) -> dict[str, Any]:
        """As JSON."""
        return {name: value for name in FilePosition.__slots__ if (value := getattr(self, name)) != ""}


def load_position(saved: Mapping[str, Any]) -> FilePosition:
    """The mark that `save` gave, or a former version's; InvalidMessage when it is none."""
    try:
        mark = FilePosition(**{"path": "", "incarnation": "", **saved})
    except TypeError as error:
        raise InvalidMessage(f"not a position in a file: {error}") from error
    wire = {name: getattr(mark, name) for name in FilePosition.__slots__}
    for name, kind in KINDS.items():
        stored(wire, name, kind)
    return mark


def hashed(lines: Sequence[bytes]) -> str:
    """The hashes of lines, one after the other."""
    return "".join([_digest(line, LINE_DIGITS) for line in lines])


def split(lines: str) -> list[str]:
    """The single hashes in what `hashed` gave."""
    return [lines[at : at + LINE_DIGITS] for at in range(0, len(lines), LINE_DIGITS)]


def tells(lines: str) -> bool:
    """Whether one of these lines, at least, is like no other of them."""
    return 1 in Counter(split(lines)).values()


def last_lines(data: bytes) -> list[bytes]:
    """The last MOST_LINES of some whole lines, without their newlines."""
    start = len(data)
    for _ in range(MOST_LINES):
        if start <= 0:
            break
        start = data.rfind(b"\n", 0, start - 1) + 1
    return data[start:].split(b"\n")[:-1]


def _digest(data: bytes, digits: int = 16) -> str:
    return blake2b(data, digest_size=digits // 2).hexdigest()
