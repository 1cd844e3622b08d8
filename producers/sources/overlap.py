"""Where a rewritten log goes on: how many of its first lines had been read before it was rewritten.

A log whose head is cut is a new file, or the old one filled anew. What was read last is known by the hashes
of its last lines, and is looked for in the new content.

| the new content | lines that have been read |
|---|---|
| begins with lines read last, up to the very last, or holds all remembered in a row | all up to there |
| is, so far, nothing but some of the lines read last, in a row | all; those that follow are expected next |
| anything else | none: it is new content |

Anybody can have a service repeat a line that bears no time. So lines that all occur more than once among
those remembered tell nothing, and of several places the first counts: what is in doubt is read again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def lines_read_before(lines: Sequence[str], remembered: Sequence[str]) -> int:
    """How many of the first lines of a content are among those read last, all by their hashes."""
    single = {line for line, count in Counter(remembered).items() if count == 1}
    if not remembered or single.isdisjoint(lines):
        return 0
    return _up_to_the_last(lines, remembered, single) or _run(lines, remembered, single)


def _up_to_the_last(lines: Sequence[str], remembered: Sequence[str], single: set[str]) -> int:
    """Past the first place where what is remembered ends; 0: there is none."""
    for end, line in enumerate(lines, start=1):
        if line != remembered[-1]:
            continue
        count = min(end, len(remembered))
        stretch = lines[end - count : end]
        if stretch == remembered[-count:] and not single.isdisjoint(stretch):
            return end
    return 0


def _run(lines: Sequence[str], remembered: Sequence[str], single: set[str]) -> int:
    """All lines, where they are some of those remembered, in a row; else 0."""
    if len(lines) > len(remembered) or single.isdisjoint(lines):
        return 0
    places = range(len(remembered) - len(lines) + 1)
    return len(lines) if any(remembered[at : at + len(lines)] == lines for at in places) else 0
