"""Which file, and how far: a position that survives renames, copies, truncation and the reuse of an inode.

A file is what its device and inode say, as long as its bytes agree: the first HEAD_BYTES of it (fewer while
it is short) and the LAST_BYTES before the offset. A file whose bytes agree under another inode is a copy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Final

from producers.contract import stored
from schemas.errors import InvalidMessage

HEAD_BYTES: Final = 256
LAST_BYTES: Final = 64
KINDS: Final[Mapping[str, type]] = {
    **dict.fromkeys(("path", "incarnation", "head", "last"), str),
    **dict.fromkeys(("device", "inode", "offset", "head_bytes", "last_bytes"), int),
    "skipping": bool,
}
"""Of what a mark is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePosition:
    """A position in a file.

    Attributes:
        path: where the file was when last seen.
        offset: the bytes read so far.
        head_bytes: how many of the file's first bytes `head` is the hash of.
        last_bytes: how many bytes before `offset` `last` is the hash of.
        incarnation: the name of this content, in the source.
        skipping: the offset is inside a line that was cut; the rest of it is to be skipped.
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

    def moved(self, fd: int, offset: int, *, skipping: bool = False) -> FilePosition:
        """The mark at another offset of the same file, open as `fd`."""
        head_bytes, head = self.head_bytes, self.head
        if head_bytes < HEAD_BYTES:
            head_bytes = min(offset, HEAD_BYTES)
            head = _digest(os.pread(fd, head_bytes, 0))
        last_bytes = min(offset, LAST_BYTES)
        last = _digest(os.pread(fd, last_bytes, offset - last_bytes))
        return replace(
            self,
            offset=offset,
            head_bytes=head_bytes,
            head=head,
            last_bytes=last_bytes,
            last=last,
            skipping=skipping,
        )

    def agrees(self, fd: int) -> bool:
        """Whether the bytes of an open file are those that the mark remembers. Raises OSError."""
        if os.fstat(fd).st_size < self.offset:
            return False
        last = os.pread(fd, self.last_bytes, self.offset - self.last_bytes)
        return _digest(last) == (self.last or _digest(b"")) and (
            _digest(os.pread(fd, self.head_bytes, 0)) == (self.head or _digest(b""))
        )

    def is_file(self, stat: os.stat_result) -> bool:
        """Whether a stat is of the very file."""
        return (stat.st_dev, stat.st_ino) == (self.device, self.inode)

    def save(self) -> dict[str, Any]:
        """As JSON."""
        return {name: getattr(self, name) for name in FilePosition.__slots__}


def load_position(saved: Mapping[str, Any]) -> FilePosition:
    """The mark that `save` gave; InvalidMessage when it is none."""
    try:
        mark = FilePosition(**saved)
    except TypeError as error:
        raise InvalidMessage(f"not a position in a file: {error}") from error
    for name, kind in KINDS.items():
        stored(mark.save(), name, kind)
    return mark


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()
