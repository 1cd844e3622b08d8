"""A fail2ban filter at work on one stream of lines.

Each line that may interest the filter goes the same way: its date is found and cut out, the rules read what
is left, its session is told, and what remains a failure becomes a row. Lines that hold no needle cannot
match; they are passed over, but for two things. A line without a date bears the date of the line before it,
whatever that line was, if it is no older than a minute: so the last date is looked for backwards when it is
needed, and at the end of each buffer. And which form of date is tried first depends on the lines before: so
of each stream the first 1,000 lines are looked at, every one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from itertools import chain, islice
from typing import Any, Final

from producers.filters.bounds import NO_LINE, TooSlow, bounded, skipped
from producers.filters.candidates import line_starts
from producers.filters.entries import SURE, json_object
from producers.filters.fail2ban.dates import Dates, Heads
from producers.filters.fail2ban.expressions import Captured
from producers.filters.fail2ban.identity import fields_of, identity_of, text_of
from producers.filters.fail2ban.instants import Instants
from producers.filters.fail2ban.rules import CompiledFilter
from producers.filters.fail2ban.sessions import FAILURE, NEITHER, Session, Sessions
from producers.filters.rows import EventRow
from producers.sources.journald import render
from producers.stamps import OFF, SKEW_MS, UNREAD, LineClock, difference
from producers.zones import local_zone
from schemas.errors import InvalidMessage

STAMP: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})\+00:00 ", re.ASCII)
"""How the journal source writes an entry's time (`producers.sources.journald.render`)."""
CONTAINER: Final = re.compile(r"^(\S+ )docker/([^/\[: ]+)[^\[: ]*")
CURSOR: Final = b'"__CURSOR"'
"""In an entry of the journal as JSON: what its message holds may be spelt otherwise there."""
NAMES_LEFT: Final = "failures of a host name, which usedns = no leaves alone"
LEARNT_LINES: Final = 1_000
COMMENT: Final = 0x23
RETURNS: Final = b"\r\n"
LARGEST_PORT: Final = 65_535


class Fail2banMatcher:
    """A filter of one line at a time."""

    by_entry = None

    def __init__(self, compiled: CompiledFilter, zone: tzinfo | None = None) -> None:
        self._compiled = compiled
        self._dates = Dates(compiled.templates)
        self._instants = Instants(zone or local_zone(), compiled.offset_minutes)
        self._heads = Heads(self._instants)
        self._sessions = Sessions()
        self._last_ms: int | None = None
        self._undated = False
        self._clock = LineClock(0)
        self._data = b""
        self._text: str | None = None
        self._seen = 0
        self._learning = LEARNT_LINES
        self._notices: Counter[str] = Counter()

    def scan(self, data: bytes, clock: LineClock, starts: Sequence[int] | None = None) -> list[EventRow]:
        """The failures in whole lines, in order."""
        self._clock, self._data, self._seen = clock, data, 0
        self._text = data.decode("ascii") if data.isascii() and b"\r" not in data else None
        if self._instants.begin(clock):
            self._heads.begin()
        rows: list[EventRow] = []
        offline = clock.trust == "offline"
        line_of, find = self._line, data.find
        with bounded() as guard:
            for start in self._starts(data, starts):
                end = find(b"\n", start) + 1
                if offline and data[start] <= COMMENT and _is_remark(data, start, end):
                    continue
                try:
                    guard.at = start
                    row = line_of(start, end)
                    guard.at = NO_LINE
                except TooSlow:
                    skipped(self._notices, data[start : end - 1])
                    continue
                if row is not None:
                    rows.append(row)
            try:
                guard.at = len(data)
                self._look_back(len(data))
            except TooSlow:
                skipped(self._notices, b"(the last date of a buffer)")
        self._data, self._text = b"", None
        return rows

    def _starts(self, data: bytes, found: Iterable[int] | None) -> Iterable[int]:
        """Where the lines start that are looked at: a stream's first ones, then those that hold a needle."""
        if self._compiled.needles is None or CURSOR in data:
            return line_starts(data)
        if found is None:
            found = self._compiled.starts(data)
        if self._learning == 0:
            return found
        first = list(islice(line_starts(data), self._learning))
        self._learning -= len(first)
        return chain(first, (start for start in found if start > first[-1])) if first else ()

    def save(self) -> dict[str, Any]:
        """What the next lines need."""
        return {
            "dates": self._dates.save(),
            "sessions": self._sessions.save(),
            "last_ms": self._last_ms,
            "learning": self._learning,
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on where `save` was called."""
        last_ms, learning = saved.get("last_ms"), saved.get("learning")
        if last_ms is not None and not isinstance(last_ms, int):
            raise InvalidMessage(f"expected milliseconds or null, not {last_ms!r:.80}", field="last_ms")
        if not isinstance(learning, int):
            raise InvalidMessage(f"expected a number of lines, not {learning!r:.80}", field="learning")
        self._dates.load(saved.get("dates", {}))
        self._sessions.load(saved.get("sessions"))
        self._last_ms, self._learning = last_ms, learning
        self._heads = Heads(self._instants)

    def notices(self) -> Mapping[str, int]:
        """What was seen and gave no event: a sentence, and how often."""
        return self._notices

    def _line(self, start: int, end: int) -> EventRow | None:
        line = self._decoded(start, end) if self._text is None else self._text[start : end - 1]
        self._undated = False
        entry = self._journal_entry(line)
        if entry is not None:
            text, at_ms = entry
            found = self._find(text)
            return None if found is None else self._row(found, at_ms, start, end)
        known = self._heads.read(line)
        if known is None:
            text, at_ms = self._dated(line, start, end)
        else:
            text, at_ms = known
            self._dates.repeated += 1
            self._last_ms, self._seen = at_ms, end
        found = self._find(text)
        return None if found is None else self._row(found, at_ms, start, end)

    def _journal_entry(self, line: str) -> tuple[str, int] | None:
        """What fail2ban reads of an entry of the journal, and its instant; None where it is none.

        That is `HOST IDENTIFIER[PID]: MESSAGE`, in which it looks for no date; a container's identifier is
        its name.
        """
        if line.startswith('{"'):
            value = json_object(line.encode())
            if value is None or not value.keys() >= SURE | {"MESSAGE"}:
                return None
            try:
                line = render(value).decode("utf-8", "replace").rstrip("\n")
            except (KeyError, TypeError, ValueError, OverflowError):
                return None
        elif not self._compiled.journal:
            return None
        found = STAMP.match(line)
        if found is None:
            return None
        text = CONTAINER.sub(r"\1\2", line[found.end() :], count=1)
        seconds = datetime.fromisoformat(f"{found[1]}+00:00").timestamp()
        return f"{text}\n", int(seconds) * 1_000 + int(found[2][:3])

    def _decoded(self, start: int, end: int) -> str:
        """A line as an expression sees it, but for its date."""
        return self._data[start : end - 1].rstrip(b"\r").decode("utf-8", "replace")

    def _find(self, text: str) -> Captured | None:
        return self._compiled.rules.find(text)

    def _dated(self, line: str, start: int, end: int) -> tuple[str, int]:
        """A line without its date, and the instant that counts for it."""
        found = self._dates.find(line, self._clock.now_ms)
        at_ms: int | None = None
        text = line
        if found is not None:
            match, template = found
            first, last = match.span(1)
            if first < last:
                at_ms = self._instants.read(match, template)
                text = line[:first] + line[last:]
            self._heads.learn(line, match, template)
        if at_ms is None:
            self._look_back(start)
            self._seen = end
            if self._last_ms is not None and self._last_ms > self._clock.now_ms - SKEW_MS:
                return f"{line}\n", self._last_ms
            self._undated = True
            return f"{text}\n", self._clock.now_ms
        self._last_ms, self._seen = at_ms, end
        return f"{text}\n", at_ms

    def _look_back(self, end: int) -> None:
        """Find the last date before a position, in lines not looked at yet."""
        data, seen = self._data, self._seen
        self._seen = end
        if not self._compiled.dated:
            return
        offline = self._clock.trust == "offline"
        while end > seen:
            start = data.rfind(b"\n", seen, end - 1) + 1 or seen
            at_ms = None if offline and _is_remark(data, start, end) else self._peek(start, end)
            if at_ms is not None:
                self._last_ms = at_ms
                return
            end = start

    def _peek(self, start: int, end: int) -> int | None:
        """The instant of a line that no rule reads."""
        found = self._dates.peek(self._decoded(start, end))
        return None if found is None or not found[0][1] else self._instants.read(*found)

    def _counted(self, at_ms: int) -> tuple[int, bool]:
        """The instant that counts for a failure, and whether it is the clock's because the line's is off."""
        if self._undated and self._clock.trust != "live":
            self._notices[UNREAD] += 1
            return at_ms, True
        if self._clock.trust == "offline":
            return at_ms, False
        counts_ms, off = counted(at_ms, self._clock)
        if off:
            self._notices[OFF.format(difference(at_ms - self._clock.now_ms))] += 1
        return counts_ms, off

    def _row(self, found: Captured, at_ms: int, start: int, end: int) -> EventRow | None:
        """What the rules found as a row; None when it is no failure (yet), and no login."""
        session: Session | None = None
        key = found.get("mlfid")
        if key is not None:
            session, kind = self._sessions.merge(str(key), found, self._clock.now_ms)
            found = session.fields
        else:
            kind = NEITHER if found.get("nofail") else FAILURE
        if not kind:
            return None
        identity = identity_of(found, usedns=self._compiled.usedns)
        if identity is None:
            if session is not None:
                session.pending = kind == FAILURE
            return None
        if not identity.text:
            self._notices[NAMES_LEFT] += 1
            return None
        at_ms, skewed = self._counted(at_ms)
        port = found.get("fport")
        user = found.get("user")
        return (
            kind,
            at_ms,
            identity.text,
            start,
            end,
            None if user is None else text_of(user),
            port_of(port) if isinstance(port, str) else None,
            None,
            skewed,
            0,
            fields_of(found, identity),
        )


def _is_remark(data: bytes, start: int, end: int) -> bool:
    """Whether a line is one of those that fail2ban-regex passes over: empty, or beginning with `#`."""
    return data[start] == COMMENT or not data[start:end].rstrip(RETURNS)


def counted(at_ms: int, clock: LineClock) -> tuple[int, bool]:
    """The instant that counts for a line, not offline; whether it is the clock's as the line's is off."""
    ahead = at_ms - clock.now_ms
    off = at_ms < 0 or ahead > SKEW_MS or (ahead < -SKEW_MS and clock.trust == "live")
    return (clock.now_ms, True) if off else (at_ms, False)


def port_of(text: str) -> int | None:
    """A port by its number; None when it is named otherwise."""
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text[:6]) <= LARGEST_PORT else None


SKIPPED: Final = "skiplines"


class BufferedMatcher(Fail2banMatcher):
    """A filter of several lines at a time."""

    def __init__(self, compiled: CompiledFilter, zone: tzinfo | None = None) -> None:
        super().__init__(compiled, zone)
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
        rules = self._compiled.rules
        whole = self._lines = [*self._lines, text][-self._compiled.maxlines :]
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
