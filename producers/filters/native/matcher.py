"""Native filters at work on one stream of lines: several at once, each line unwrapped and routed once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from typing import Any, Final

from producers.contract import LINE_LIMIT_BYTES
from producers.filters.bounds import NO_LINE, TooSlow, bounded, skipped
from producers.filters.candidates import finder_of, line_starts
from producers.filters.connections import address_of
from producers.filters.entries import Entry, program_of, unwrap
from producers.filters.memory import Memory
from producers.filters.native.compiler import Groups, Pattern, compile_rules
from producers.filters.native.definition import Definition
from producers.filters.partial_lines import PartialLines
from producers.filters.rows import EventRow, Needles
from producers.filters.times import plain_time
from producers.stamps import LineClock, Stamps

ANY: Final = b"*"
"""What follows a program's name in syslog: `postfix/smtpd`, `wordpress(example.com)`, `prosody@1`."""
MOST_SESSIONS: Final = 1_024
CACHED_TIMES: Final = 4_096
NO_ADDRESS: Final = "an event without an address was skipped"
NAMED: Final = frozenset({"ip", "user", "port", "time", "utc", "session", "host"})
HOST_NAME: Final = re.compile(
    rb"(?!.{256})(?:[A-Za-z0-9_][\w-]{0,62}\.)*(?!\d+\.?$)[A-Za-z0-9_][\w-]{0,62}\.?"
)
"""RFC 1123, and underscores; a last label of digits alone would be a part of an address."""
Party = tuple[str, int | None]
"""Who is on a session: (address, port)."""
SessionPeer = tuple[str, int | None, bool]
"""The same, and whether it had a failure."""


@dataclass(frozen=True)
class NativeRules:
    """A definition ready to match."""

    definition: Definition

    @cached_property
    def patterns(self) -> tuple[Pattern, ...]:
        """In the order in which they are tried."""
        return compile_rules(self.definition)

    @cached_property
    def programs(self) -> frozenset[bytes]:
        """The names that its messages come under."""
        return frozenset(program.encode() for program in self.definition.programs)

    @cached_property
    def needles(self) -> Needles | None:
        """What its lines hold; None when some pattern has no needle."""
        found: set[Any] = set()
        for pattern in self.patterns:
            if pattern.needles is None:
                return None
            found |= pattern.needles
        return frozenset(found)

    def first(self, entry: Entry) -> tuple[Pattern, Groups, Entry] | None:
        """The first pattern that an entry matches, what it captures, and what the entry is taken for."""
        addressless: tuple[Pattern, Groups, Entry] | None = None
        for reading in entry.readings():
            found = self._first(reading)
            if found is None and reading.doubtful:
                found = self._first(reading.plain())
            if found is not None and ("ip" in found[1] or "session" in found[1]):
                return found
            addressless = addressless or found
        return addressless

    def _first(self, entry: Entry) -> tuple[Pattern, Groups, Entry] | None:
        """The same of one reading of a line."""
        mine = self.is_entry_mine(entry)
        taken = entry if mine else entry.plain()
        addressless: tuple[Pattern, Groups, Entry] | None = None
        by_pid = self.definition.sessions == "pid"
        own = not mine and (entry.program is not None or entry.headed or not self.definition.bare)
        for pattern in self.patterns:
            if mine or pattern.whole or entry.program is None:
                found = pattern.find(taken, own=own)
                if found is not None and by_pid and taken.pid:
                    found = {"session": taken.pid, **found}
                if found is not None and ("ip" in found or "session" in found):
                    return pattern, found, taken
                if found is not None:
                    addressless = pattern, found, taken
        return addressless

    def is_entry_mine(self, entry: Entry) -> bool:
        """Whether a line is this service's message: by its program, or by what its container is called."""
        if entry.program is not None:
            return self.is_mine(entry.program)
        return any(map(self.is_mine, entry.names))

    def is_mine(self, program: bytes) -> bool:
        """Whether a program's messages are this service's: `postfix/smtpd` is of `postfix`."""
        programs = self.programs
        return program in programs or ANY in programs or program_of(program) in programs


class NativeMatcher:
    """One filter on one stream: it remembers its sessions' addresses. `rules` may be shared."""

    def __init__(self, rules: NativeRules, stamps: Stamps | None = None) -> None:
        self._rules = rules
        self._stamps = stamps or Stamps()
        self._utc = Stamps(UTC)
        self._sessions: Memory[str, SessionPeer] = Memory(MOST_SESSIONS)
        self._partial = PartialLines()
        self._times: dict[tuple[bytes, bool], tuple[int, bool]] = {}
        self._notices: Counter[str] = Counter()

    @property
    def by_entry(self) -> NativeMatcher:
        """Itself: what is found out about a line is shared."""
        return self

    def begin(self, clock: LineClock) -> None:
        """The clock for the entries that follow."""
        self._stamps.begin(clock)
        self._utc.begin(clock)
        self._times.clear()

    def scan(self, data: bytes, clock: LineClock, starts: Sequence[int] | None = None) -> list[EventRow]:
        """The events in whole lines, in order."""
        self.begin(clock)
        rows: list[EventRow] = []
        partial = self._partial.starts(data)
        with bounded() as guard:
            for start in self._starts(data) if starts is None else starts:
                if start in partial:
                    continue
                try:
                    guard.at = start
                    end = data.find(b"\n", start) + 1 or len(data)
                    rows += self.take(unwrap(data[start:end].rstrip(b"\r\n")), start, end)
                    guard.at = NO_LINE
                except TooSlow:
                    self.skipped(data[start : data.find(b"\n", start)])
        return rows

    def take(self, entry: Entry, start: int, end: int) -> list[EventRow]:
        """The events of one entry, which is the line from `start` to `end`; none of a line that was cut."""
        if end - start > LINE_LIMIT_BYTES:
            return []
        found = self._rules.first(entry)
        if found is None:
            return []
        pattern, groups, entry = found
        session = self._session(entry, groups)
        ip, port = self._party(groups, session)
        kind = pattern.rule.kind
        known = self._sessions.get(session or "")
        failed = known is not None and known[2]
        if session and pattern.rule.ends:
            self._sessions.pop(session, None)
        elif session and ip and kind == "session":
            self._sessions.keep(session, (ip, port, failed))
        elif session and ip and kind == "failed":
            self._sessions.keep(session, (*(known or (ip, port))[:2], True))
        if kind == "session" or (pattern.rule.once and (failed or not session)):
            return []
        if not ip:
            self._notices[NO_ADDRESS] += 1
            return []
        return self._rows(pattern, groups, entry, (ip, port, start, end))

    def _starts(self, data: bytes) -> Iterable[int]:
        needles = self._rules.needles
        return line_starts(data) if needles is None else finder_of((needles,)).lines(data)

    def skipped(self, line: bytes) -> None:
        """A line took too long."""
        skipped(self._notices, line)

    def save(self) -> dict[str, Any]:
        """The addresses of the sessions."""
        return {"sessions": self._sessions.save(lambda name, party: [name, *party])}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on where `save` was called."""
        self._sessions.load(saved.get("sessions"), _session_of, "sessions")

    def notices(self) -> Mapping[str, int]:
        """What was seen and gave no event, or none of its time: a sentence, and how often."""
        return self._notices + Counter(self._stamps.notices()) + Counter(self._utc.notices())

    def _session(self, entry: Entry, groups: Groups) -> str | None:
        """A session's name: other hosts may use the same."""
        session = groups.get("session")
        return None if session is None else f"{entry.host or ''} {session.decode('utf-8', 'replace')}"

    def _party(self, groups: Groups, session: str | None) -> Party:
        raw = groups.get("ip")
        if raw is None:
            return self._sessions.get(session or "", ("", None, False))[:2]
        port = groups.get("port")
        ip = address_of(raw.strip(b"[]"))
        if ip is None:
            ip = raw.decode() if HOST_NAME.fullmatch(raw) else ""
        return ip, None if port is None or not port.isdigit() else int(port)

    def _rows(
        self, pattern: Pattern, groups: Groups, entry: Entry, at: tuple[str, int | None, int, int]
    ) -> list[EventRow]:
        ip, port, start, end = at
        sent, utc = entry.time or entry.sent, groups.get("utc")
        own = groups.get("time", b"") if utc is None else utc
        at_ms, skewed = self._time(sent or own, utc=utc is not None and not sent)
        user = groups.get("user")
        fields = {
            key: value.decode("utf-8", "replace")
            for key, value in groups.items()
            if key not in NAMED and not key.startswith("_")
        }
        if ":" not in ip and not ip.replace(".", "").isdigit():
            fields["dns"] = ip
        name = None if user is None else user.decode("utf-8", "replace")
        return [
            (pattern.rule.kind, at_ms, ip, start, end, name, port, entry.host, skewed, nth, fields or None)
            for nth in range(entry.times)
        ]

    def _time(self, text: bytes, *, utc: bool) -> tuple[int, bool]:
        key = text, utc
        found = self._times.get(key)
        if found is None:
            if len(self._times) >= CACHED_TIMES:
                self._times.clear()
            stamps = self._utc if utc else self._stamps
            found = stamps.read(plain_time(text))
            if not stamps.twice:
                self._times[key] = found
        return found


def _session_of(saved: Any) -> tuple[str, SessionPeer]:
    name, ip, port, *failed = saved
    return str(name), (str(ip), None if port is None else int(port), any(failed))
