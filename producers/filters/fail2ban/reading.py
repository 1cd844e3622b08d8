"""The instants that found dates mean, remembered: a second's lines bear the same text."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import Final

from producers.filters.fail2ban.datepatterns import Template
from producers.filters.fail2ban.instants import Moment, Parts, instant_of
from producers.stamps import Clock

MOST_REMEMBERED: Final = 4_096
LAST_MS: Final = 59_000
LONG_DIGITS: Final = 13
MICRO_DIGITS: Final = 16


class Instants:
    """Reads dates against the clock of a buffer."""

    def __init__(self, local: tzinfo, offset_minutes: int | None) -> None:
        self._local = local
        self._offset_minutes = offset_minutes
        self._now_ms = -1
        self._moment: Moment | None = None
        self._known: dict[tuple[Template, str], int | None] = {}

    def begin(self, clock: Clock) -> bool:
        """Set the clock for the lines that follow; whether it has moved."""
        moved = clock.now_ms != self._now_ms
        if moved:
            self._now_ms = clock.now_ms
            self._moment = None
            self._known.clear()
        return moved

    def read(self, match: re.Match[str], template: Template) -> int | None:
        """The Unix milliseconds that a found date means; None when it names no real instant."""
        key = (template, match.group())
        known = self._known
        if key in known:
            return known[key]
        if len(known) >= MOST_REMEMBERED:
            known.clear()
        try:
            at_ms = self._read(match, template)
        except (ValueError, OverflowError, KeyError, OSError):
            at_ms = None
        known[key] = at_ms
        return at_ms

    def minute(self, match: re.Match[str]) -> int | None:
        """The Unix milliseconds at which a date's minute begins; None: its seconds do not just add."""
        try:
            first, last = (self._instant({**match.groupdict(), "S": second}) for second in ("00", "59"))
        except (ValueError, OverflowError, KeyError):
            return None
        return first if last - first == LAST_MS else None

    def _instant(self, parts: Parts) -> int:
        if self._moment is None:
            now = datetime.fromtimestamp(self._now_ms / 1_000, self._local).replace(tzinfo=None)
            self._moment = Moment(now, self._local, self._offset_minutes)
        return instant_of(parts, self._moment) * 1_000

    def _read(self, match: re.Match[str], template: Template) -> int:
        match template.kind:
            case "parts":
                return self._instant(match.groupdict())
            case "tai64n":
                return int(match[1][2:17], 16) * 1_000
            case "epoch" | "long epoch":
                return _milliseconds(match[template.group], long=template.kind == "long epoch")


def _milliseconds(number: str, *, long: bool) -> int:
    if long and len(number) >= LONG_DIGITS:
        return round(float(number) / (1_000 if len(number) >= MICRO_DIGITS and "." not in number else 1))
    return round(float(number) * 1_000)
