"""The filters of one stream at work together: one pass over a buffer finds every filter's candidate lines.

Filters that jails name see every line. Those that are there only because a jail says `auto` are asked for the
lines that none of the others took, one after the other, and the first that takes a line has it. They believe
the journal's JSON only where it has what journalctl alone writes: an application's may have any keys that a
client chose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final

from producers.filters.bounds import NO_LINE, TICKS, TURNS, Guard, TooSlow, bounded
from producers.filters.candidates import finder_of, line_starts
from producers.filters.entries import Entry, is_doubtful, unwrap
from producers.filters.partial_lines import PartialLines
from producers.filters.rows import EntryMatcher, EventRow, Filter, Matcher
from producers.stamps import LineClock, Stamps

MOST_MASKS: Final = 4_096


class Plan:
    """All filters of one stream.

    `named`: how many of them, the first, some jail names; `zone`: of times that name none, if not the local.
    """

    def __init__(
        self, filters: Sequence[Filter], named: int | None = None, zone: tzinfo | None = None
    ) -> None:
        self.filters = tuple(filters)
        self.matchers: tuple[Matcher, ...] = tuple(
            each.matcher() if zone is None else each.matcher(Stamps(zone)) for each in filters
        )
        self._named = len(filters) if named is None else named
        self._listed = [
            (1 << number, number, each, each.by_entry) for number, each in enumerate(self.matchers)
        ]
        self._partial = PartialLines()
        self._needles = tuple(each.needles for each in self.filters)
        self._wanted = sum(bit for bit, *_, by_entry in self._listed if by_entry)
        self._blind = sum(
            bit for bit, number, _, by_entry in self._listed if by_entry and self._needles[number] is None
        )
        self._masks: dict[int, list[tuple[int, EntryMatcher]]] = {}
        self._begun: set[int] = set()
        self._clock = LineClock(0)

    def scan(self, data: bytes, clock: LineClock) -> tuple[list[EventRow], ...]:
        """The events of each filter in whole lines, in order. How the stream is cut makes no difference."""
        if len(self.matchers) == 1:
            return (self.matchers[0].scan(data, clock),)
        lines = finder_of(self._needles).lines(data)
        rows: tuple[list[EventRow], ...] = tuple([] for _ in self.filters)
        taken: set[int] = set()
        for bit, number, matcher, by_entry in self._listed:
            if by_entry is not None:
                continue
            starts = None
            if self._needles[number] is not None:
                starts = [start for start, mask in lines.items() if mask & bit]
            found = matcher.scan(data, clock, starts)
            if number >= self._named:
                found = [row for row in found if not is_doubtful(data[row[3] : row[4]])]
            rows[number].extend(found)
            taken.update([row[3] for row in found])
        self._scan_entries(data, clock, lines, rows, taken)
        return rows

    def save(self) -> dict[str, Mapping[str, Any]]:
        """By filter, what it remembers, as JSON."""
        return {each.name: matcher.save() for each, matcher in zip(self.filters, self.matchers, strict=True)}

    def load(self, name: str, saved: Mapping[str, Any]) -> None:
        """A filter goes on where `save` was called; one that is not of this plan is let be.

        Raises InvalidMessage when it is no such state.
        """
        for each, matcher in zip(self.filters, self.matchers, strict=True):
            if each.name == name:
                matcher.load(saved)

    def notices(self) -> Mapping[str, int]:
        """What was seen and gave no event: a sentence, and how often."""
        found: dict[str, int] = {}
        for each, matcher in zip(self.filters, self.matchers, strict=True):
            for text, count in matcher.notices().items():
                found[f"filter {each.name}: {text}"] = count
        return found

    def _scan_entries(
        self,
        data: bytes,
        clock: LineClock,
        lines: Mapping[int, int],
        rows: tuple[list[EventRow], ...],
        taken: set[int],
    ) -> None:
        """The filters that are asked line by line share what is found out about a line."""
        wanted, blind = self._wanted, self._blind
        if blind:
            lines = {start: lines.get(start, 0) | blind for start in line_starts(data)}
        self._clock = clock
        self._begun.clear()
        self._masks.clear()
        partial = self._partial.starts(data)
        with bounded(TICKS // TURNS) as guard:
            for start, mask in lines.items():
                if mask & wanted and start not in partial:
                    self._ask(data, start, mask, rows, start in taken, guard)

    def _asked(self, mask: int) -> list[tuple[int, EntryMatcher]]:
        """The filters of a mask that are asked, ready for this scan; worked out once, as few masks come."""
        found = self._masks.get(mask)
        if found is None:
            if len(self._masks) >= MOST_MASKS:
                self._masks.clear()
            found = self._masks[mask] = [
                (number, by_entry) for bit, number, _, by_entry in self._listed if by_entry and bit & mask
            ]
            for number, matcher in found:
                if number not in self._begun:
                    matcher.begin(self._clock)
                    self._begun.add(number)
        return found

    def _ask(  # noqa: PLR0913, PLR0917 - hot
        self,
        data: bytes,
        start: int,
        mask: int,
        rows: tuple[list[EventRow], ...],
        taken: bool,  # noqa: FBT001 - hot
        guard: Guard,
    ) -> None:
        """Ask the filters of a mask about a line, those that jails name first.

        One that takes too long is left out and the others go on; after TURNS of them the line is let be.
        The line is in hand within the `try` alone: elsewhere nobody takes TooSlow for an answer.
        """
        end = data.find(b"\n", start) + 1 or len(data)
        entry: Entry | None = None
        turns = TURNS
        for number, matcher in self._asked(mask):
            if not turns or (taken and number >= self._named):
                break
            try:
                guard.at = start
                if entry is None:
                    entry = unwrap(data[start:end].rstrip(b"\r\n"))
                if number >= self._named and not entry.sure:
                    entry = Entry(line := data[start:end].rstrip(b"\r\n"), line)
                found = matcher.take(entry, start, end)
                guard.at = NO_LINE
            except TooSlow:
                matcher.skipped(data[start : end - 1])
                turns -= 1
                continue
            if found:
                rows[number].extend(found)
                taken = True
