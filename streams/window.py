"""The exact window: whether some `maxretry` failures of one subject lie within `findtime`, in event time.

A failure is one integer, `at_ms << 64 | reference`, so that a sorted list of them is sorted by time and a
window is compared without taking anything apart. The reference is where the event stands in its partition:
`offset << 20 | index`. A subject's failures are one such integer while there is one (most addresses fail
once), a sorted list of them from the second on.

| arrives | then |
|---|---|
| in order | only the window that ends at it can be new: compare it with its `maxretry - 1`th predecessor |
| late | it is put where it belongs, and every window that contains it is tried, earliest first |
| more than `keep_ms` older than the subject's newest | it is too late to matter, and is put in all the same |
| more than MOST_KEPT, or `maxretry` where that is more | the oldest are dropped, when the list is trimmed |
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

AT_SHIFT: Final = 64
INDEX_BITS: Final = 20
INDEX_MASK: Final = (1 << INDEX_BITS) - 1
REFERENCE_MASK: Final = (1 << AT_SHIFT) - 1
MOST_KEPT: Final = 64


def at_ms_of(failure: int) -> int:
    """When the failure happened."""
    return failure >> AT_SHIFT


def reference(offset: int, index: int = 0) -> int:
    """The place of an event in its partition as one integer; `offset` below 2**44, `index` below 2**20."""
    return offset << INDEX_BITS | index


def reference_of(failure: int) -> tuple[int, int]:
    """The (offset, index) of a failure's event, or of a bare reference."""
    reference = failure & REFERENCE_MASK
    return reference >> INDEX_BITS, reference & INDEX_MASK


def flat(failures: Iterable[int]) -> list[int]:
    """Failures as they are saved: the instant and the reference of each in turn."""
    return [part for each in failures for part in (each >> AT_SHIFT, each & REFERENCE_MASK)]


def unflat(saved: Sequence[int]) -> list[int]:
    """Failures as they were before they were saved."""
    return [at_ms << AT_SHIFT | place for at_ms, place in zip(saved[::2], saved[1::2], strict=True)]


def trim(failures: list[int], keep_ms: int, most: int) -> None:
    """Drop what is more than `keep_ms` older than the newest, and the oldest beyond `most`."""
    oldest = failures[-1] - (keep_ms << AT_SHIFT) & ~REFERENCE_MASK
    surplus = max(len(failures) - most, 0)
    while surplus < len(failures) and failures[surplus] < oldest:
        surplus += 1
    del failures[:surplus]


def full_window(
    failures: Sequence[int], failure: int, findtime_ms: int, maxretry: int, first: int = 0
) -> int | None:
    """Where the earliest full window that contains a failure starts, or None.

    `failures` are sorted; only those from the place `first` on count.
    """
    place = bisect_left(failures, failure)
    first = max(first, place - maxretry + 1)
    last = min(place, len(failures) - maxretry)
    for start in range(first, last + 1):
        if at_ms_of(failures[start + maxretry - 1]) - at_ms_of(failures[start]) <= findtime_ms:
            return start
    return None
