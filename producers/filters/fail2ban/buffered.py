"""A filter whose expressions see several lines at once: fail2ban's obsolete `maxlines`.

The last `maxlines` lines are kept without their dates. Each new line is added, and the expressions are tried
on all of them together. What a match covers leaves the buffer; the lines that `<SKIPLINES>` passed over and
those around the match stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final

from producers.filters.fail2ban.expressions import Captured
from producers.filters.fail2ban.matcher import Fail2banMatcher
from producers.filters.fail2ban.plan import Plan
from schemas.errors import InvalidMessage

SKIPPED: Final = "skiplines"


class BufferedMatcher(Fail2banMatcher):
    """A filter of several lines at a time."""

    def __init__(self, plan: Plan, zone: tzinfo | None = None) -> None:
        super().__init__(plan, zone)
        self._lines: list[str] = []

    def save(self) -> dict[str, Any]:
        """What the next lines need, the last lines among it."""
        return {**super().save(), "lines": self._lines}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on where `save` was called."""
        lines = saved.get("lines")
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise InvalidMessage("expected an array of lines", field="lines")
        super().load(saved)
        self._lines = lines

    def _find(self, text: str) -> Captured | None:
        """Add a line; what the expressions find in all that are there."""
        rules = self._plan.rules
        whole = self._lines = [*self._lines, text][-self._plan.maxlines :]
        joined = "".join(whole)
        if rules.early and rules.ignores(joined):
            return None
        before = None
        if rules.prefix is not None:
            before = rules.prefix.searcher(joined)
            if before is None:
                return None
            content = before.groupdict().get("content")
            if content:
                joined = f"{content}\n"
                self._lines = [joined]
        for at, expression in enumerate(rules.failures):
            match = expression.pattern.search(joined)
            if match is not None:
                covered, self._lines = parted(whole, match)
                if rules.ignored and rules.ignores("".join(covered)):
                    return None
                captured = rules.merged(at, before, expression.captured(match))
                return {name: value for name, value in captured.items() if not name.startswith(SKIPPED)}
        return None


def parted(lines: Sequence[str], match: re.Match[str]) -> tuple[list[str], list[str]]:
    """The lines that a match covers, and those it does not or only passes over. Each has its newline."""
    if len(lines) <= 1:
        return list(lines), []
    text = match.string
    begin = text.rfind("\n", 0, match.start() + 1) + 1
    end = text.find("\n", match.end() - 1) + 1 or len(text)
    first, last = text.count("\n", 0, begin), text.count("\n", 0, end)
    covered, rest = list(lines[first:last]), list(lines[:first])
    skipped = "".join(value or "" for name, value in match.groupdict().items() if name.startswith(SKIPPED))
    at = 0
    for line in skipped.splitlines():
        for place in range(at, len(covered)):
            if covered[place] == f"{line}\n":
                rest.append(covered.pop(place))
                at = place
                break
    return covered, [*rest, *lines[last:]]
