"""The lines that a container's runtime has split, known by their envelopes."""

from __future__ import annotations

import re
from typing import Final

from producers.contract import LINE_LIMIT_BYTES
from producers.filters.entries import is_docker, json_object

RUNTIME: Final = re.compile(rb'\{"log":|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) (std(?:out|err)) ([FP])')
BOTH: Final = frozenset({"stdout", "stderr"})
ENDED: Final = rb'\n","stream":"'
"""The end of the text in Docker's line; within the text its quotes would be escaped."""
DOUBTFUL: Final = rb'\\n","stream":"'
"""Perhaps no newline, but a client's backslash and `n`."""


class PartialLines:
    r"""Knows the lines of one stream that a container's runtime has split: no piece of them is read.

    Docker and containerd cut what a container writes at 16 KiB, and put each piece into an envelope of its
    own. A client who makes a service write a long line chooses where it is cut: a piece behind the first may
    begin, and one before the last may end, with anything he likes.

    | runtime | a piece that is not the last |
    |---|---|
    | Docker's json-file | `{"log":"no newline at its end","stream":"stdout",...}` |
    | containerd, CRI-O | `TIME stdout P TEXT`; the last has `F` |

    The pieces of a container's two streams may be mixed. A line of Docker's that its source has cut may be of
    either. What a buffer ends with is remembered for the next; it is not saved: nobody chooses the moment of
    a restart.
    """

    def __init__(self) -> None:
        self._open: frozenset[str] = frozenset()

    def starts(self, data: bytes) -> frozenset[int]:
        """Where the pieces of split lines start, in the whole lines that follow those of the call before."""
        if not self._open and not may_be_split(data):
            return frozenset()
        found: set[int] = set()
        start = 0
        while start < len(data):
            end = data.find(b"\n", start) + 1 or len(data)
            if self._is_piece(data[start:end]):
                found.add(start)
            start = end
        return frozenset(found)

    def _is_piece(self, line: bytes) -> bool:
        streams, last = piece_of(line)
        opened = not streams.isdisjoint(self._open)
        self._open = self._open - streams if last else self._open | streams
        return opened or not last


def may_be_split(data: bytes) -> bool:
    """Whether a line in a runtime's envelope may be split: quick, since nearly none is."""
    first = RUNTIME.match(data) or RUNTIME.match(data, data.rfind(b"\n", 0, -1) + 1)
    if first is None:
        return False
    if first[1] is not None:
        return b" stdout P" in data or b" stderr P" in data
    return data.count(b"\n") != data.count(ENDED) or DOUBTFUL in data


def piece_of(line: bytes) -> tuple[frozenset[str], bool]:
    """The streams that a line may be of, none without a runtime's envelope; and whether it ends there."""
    found = RUNTIME.match(line)
    if found is None:
        return frozenset(), True
    if found[1] is not None:
        return frozenset({found[1].decode()}), found[2] == b"F"
    value = json_object(line)
    if value is None and len(line) > LINE_LIMIT_BYTES:
        return BOTH, False
    if value is None or not is_docker(value):
        return frozenset(), True
    return frozenset({str(value.get("stream"))}), value["log"].endswith("\n")
