"""To a file, or to standard output: one line an item.

A file is appended to, made for its owner alone, and opened anew where somebody moved it away (logrotate).
What a kill or a full disk left of a line at its end is cut off: that item is sent again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from schemas.errors import Transient
from sinks.contract import TAKEN, Option, Options, Parcel, Sending, SentBy, SinkAnswer, TransportKind

LONGEST_LINE: Final = 1 << 20
MOST_OLD: Final = 100


class FileTransport:
    """Appends to one file; with a size it is rotated: NAME.1 is the newest of the old ones."""

    def __init__(self, path: Path, header: bytes, options: Options) -> None:
        """`options`: `fsync`, `rotate` (bytes, or None), `keep`: how many old ones."""
        self._path = path
        self._header = header
        self._fsync = bool(options["fsync"])
        self._most_bytes: int | None = options["rotate"]
        self._keep = int(options["keep"])
        self._file: int | None = None

    def send(self, batch: Sequence[Sending]) -> Sequence[SinkAnswer]:
        """Append all, or nothing. Raises Transient."""
        lines = b"".join([sending.body + b"\n" for sending in batch])
        try:
            file = self._opened()
            size = os.fstat(file).st_size
            if size == 0 and self._header:
                lines = self._header + b"\n" + lines
            self._append(file, lines, size)
            if self._fsync:
                os.fsync(file)
            if self._most_bytes is not None and size + len(lines) >= self._most_bytes:
                self._rotate()
        except OSError as error:
            self.close()
            raise Transient(f"{self._path}: {error.strerror}") from error
        return [TAKEN] * len(batch)

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        """The file's descriptor; of the one that has its name now."""
        if self._file is not None:
            with suppress(FileNotFoundError):
                there, ours = self._path.stat(), os.fstat(self._file)
                if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                    return self._file
            self.close()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(self._path, flags, 0o600)
        _cut_torn_line(self._file)
        return self._file

    @staticmethod
    def _append(file: int, lines: bytes, size: int) -> None:
        view = memoryview(lines)
        try:
            while view:
                view = view[os.write(file, view) :]
        except OSError:
            os.ftruncate(file, size)
            raise

    def _rotate(self) -> None:
        self.close()
        for number in range(self._keep, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
            with suppress(FileNotFoundError):
                newer.replace(older)


class StdoutTransport:
    """Writes to standard output."""

    def __init__(self, header: bytes) -> None:
        """`header`: the first line."""
        self._header = header

    def send(self, batch: Sequence[Sending]) -> Sequence[SinkAnswer]:
        """Writing all. Raises Transient where nobody reads."""
        lines = [sending.body for sending in batch]
        if self._header:
            lines.insert(0, self._header)
            self._header = b""
        try:
            sys.stdout.buffer.write(b"\n".join(lines) + b"\n")
            sys.stdout.buffer.flush()
        except OSError as error:
            raise Transient(f"standard output: {error.strerror}") from error
        return [TAKEN] * len(batch)

    def close(self) -> None:
        """Nothing to let go of."""


def _cut_torn_line(file: int) -> None:
    """Cut off what stands after the last line break."""
    size = os.fstat(file).st_size
    begin = max(0, size - LONGEST_LINE)
    tail = os.pread(file, LONGEST_LINE, begin)
    if tail and not tail.endswith(b"\n"):
        os.ftruncate(file, begin + tail.rfind(b"\n") + 1)


def path_of(to: str) -> str:
    """The path of `file:/path`; also of `file:///path`."""
    path = to.partition(":")[2]
    return f"/{path.lstrip('/')}" if path.startswith("//") else path


def _doubt(to: str, options: Options) -> str | None:
    path = path_of(to)
    if not path.startswith("/") or path.endswith("/"):
        return "file: and an absolute path, such as file:/var/log/banstream/bans.json"
    if not 1 <= options["keep"] <= MOST_OLD:
        return f"keep from 1 to {MOST_OLD}"
    return None


def _open_file(to: str, options: Options, parcel: Parcel, _: SentBy) -> FileTransport:
    return FileTransport(Path(path_of(to)), parcel.header, options)


def _open_stdout(_: str, __: Options, parcel: Parcel, ___: SentBy) -> StdoutTransport:
    return StdoutTransport(parcel.header)


FILE: Final = TransportKind(
    _open_file,
    options={"fsync": Option("flag", default=False), "rotate": Option("size"), "keep": Option("whole", 5)},
    doubt=_doubt,
)
STDOUT: Final = TransportKind(_open_stdout)
