"""Standard input as a source: once it has ended there is no more."""

from __future__ import annotations

import os
import re
import select
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from producers.contract import LINE_LIMIT_BYTES, Chunk, SourceKind, StartPosition
from producers.sources.lines import Cut, cut_lines, skip_line
from producers.sources.tail import CUT


class StdinSource:
    """Reads a descriptor that cannot be read twice; each run is an incarnation of its own."""

    id = "stdin"

    def __init__(self, now_ms: Callable[[], int], fd: int = 0) -> None:
        self._fd = fd
        self._incarnation = f"{now_ms():x}-{os.getpid()}"
        self._buffer = b""
        self._offset = 0
        self._skipping = False
        self._ended = False
        self._caught_up = False
        self._notices: Counter[str] = Counter()

    def filenos(self) -> list[int]:
        """The descriptor, until its end."""
        return [] if self._ended else [self._fd]

    def read(self, max_bytes: int) -> Chunk | None:
        """The next lines; at the end also a last line without a newline."""
        if not self._fill(max(max_bytes, LINE_LIMIT_BYTES + 1)):
            self._caught_up = True
        if self._skipping:
            self._take(skip_line(self._buffer, 0, len(self._buffer)))
        cut = cut_lines(self._buffer, 0, len(self._buffer))
        if not cut.end:
            return None
        start, data = self._offset, self._buffer[: cut.end] + b"\n" * cut.skipping
        self._take(cut)
        self._notices[CUT] += cut.skipping
        return Chunk(data, self._incarnation, start, {}, self._caught_up, self.id)

    def again(self, incarnation: str, start: int, length: int) -> bytes:
        """Nothing: what has been read is gone."""
        del incarnation, start, length
        return b""

    def position(self) -> Mapping[str, Any]:
        """Nothing: what has been read is gone."""
        return {}

    def notices(self) -> Mapping[str, int]:
        """How many lines were cut."""
        return +self._notices

    def close(self) -> None:
        """Nothing to let go of."""

    def _fill(self, max_bytes: int) -> bool:
        """Add to the buffer what can be read without waiting; false when there was nothing."""
        if self._ended or len(self._buffer) >= max_bytes or not select.select([self._fd], [], [], 0)[0]:
            return len(self._buffer) >= max_bytes
        data = os.read(self._fd, max_bytes - len(self._buffer))
        if not data:
            self._ended = True
            data = b"\n" if self._buffer and not self._buffer.endswith(b"\n") else b""
        self._buffer += data
        return bool(data)

    def _take(self, cut: Cut) -> None:
        self._buffer = self._buffer[cut.end :]
        self._offset += cut.end
        self._skipping = cut.skipping


def _open(
    _spec: str, _resume: Mapping[str, Any] | None, _start: StartPosition, now_ms: Callable[[], int]
) -> StdinSource:
    return StdinSource(now_ms, sys.stdin.fileno())


KIND: Final = SourceKind(spec=re.compile("stdin"), open=_open, check=lambda _: [])
