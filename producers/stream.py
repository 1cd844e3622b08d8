"""One watched source: what it reads, matched; and the position after what its filters have seen.

A turn ends when it has cost enough: then the source is in the midst of what was read, and neither events nor
position of it may be stored before it is through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import thread_time
from typing import Any, Final, Literal

import orjson

from eventlog.contract import Append
from producers.atlas import Atlas
from producers.contract import Chunk, Source, Spoken, StartPosition
from producers.filters import Filter, filters_of
from producers.filters.connections import address_of
from producers.filters.plan import Plan
from producers.filters.rows import EventRow
from producers.frames import EventOrigin, appends, auth_lines, in_line_order
from producers.intakes.settings import Intake
from producers.library import AUTO
from producers.names import Names, Waiting
from producers.notices import gathered
from producers.requests import REQUEST, RequestSieve
from producers.sources import open_source
from producers.sparing import Arguments, Sparer, SparingWait
from producers.stamps import LineClock
from producers.torn_lines import HeldRoom, TornLines
from producers.zones import zone_of
from schemas.bounds import MOST_POSITION
from schemas.codec import AuthLine
from schemas.errors import InvalidMessage

NO_ADDRESS: Final = "events of something else than an address, which nothing here can ban"
TOO_FAR: Final = "lines so far from its beginning that no log is as long; they are not read"
NAMES_LEFT: Final = (
    "host names instead of addresses; their lines are no events: have the service write addresses, or set "
    'usedns = "yes"'
)
NO_FIELDS: Final[Mapping[str, str]] = {}
READ_BYTES: Final = 1 << 20
PIECE_BYTES: Final = 32 << 10
LEAST_BYTES: Final = 2 << 10
"""What was read is matched in pieces, so that lines which cost much can be left for the next turn: each twice
as large as the one before, up to PIECE_BYTES, but not so large that it takes longer than a turn."""
TURN_MS: Final = 50
"""After so much of the processor's time a source's turn ends, behind a piece."""
FARTHEST: Final = MOST_POSITION // 2
"""4 PiB: only a sparse file made for it is larger."""
BEGINS: Final = {"recent": "from its recent lines", "beginning": "from its beginning", "end": "from its end"}


@dataclass(frozen=True, slots=True)
class WatchedSource:
    """What to read, and how.

    Attributes:
        source: the source's spec.
        filters: the names of the filters that see every line.
        auto: lines that none of those takes are for whichever filter of the library they are of.
        timezone: of times that name none (`producers.zones`); empty: the local one.
        layout: how the lines of access logs begin, where it has to be said; empty: as they show themselves.
        labels: put on every event.
        start: where the first reading ever begins.
        usedns: whether host names in lines become addresses (producers.names); None: as each filter says.
        kept: the names of filters that stay as they were loaded before, whatever their files hold now.
        known: those, where they were.
        decoy_paths: the requests that are events of their own; `rated`: all others are counted.
        commands: by filter, what is asked whom to spare.
        recent_ms: how far back `recent` goes, in milliseconds: the longest findtime that uses the source.
        intake: who may send, where the source is an address that is listened on.
    """

    source: str
    filters: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    start: Literal["recent", "beginning", "end"] = "recent"
    recent_ms: int = 600_000
    intake: Intake | None = None
    auto: bool = False
    usedns: bool | None = None
    timezone: str = ""
    layout: str = ""
    kept: frozenset[str] = frozenset()
    known: Mapping[str, Filter] = field(default_factory=dict)
    decoy_paths: frozenset[str] = frozenset()
    rated: bool = False
    commands: Mapping[str, frozenset[Arguments]] = field(default_factory=dict)

    def knowing(self, before: Sequence[Filter]) -> WatchedSource:
        """The same, with those of the filters that it had before which it is to keep."""
        known = {each.name: each for each in before if each.name in self.kept}
        return replace(self, known=known) if known else self

    def names(self) -> str:
        """Its filters, for people."""
        return ", ".join((*self.filters, *([AUTO] if self.auto else [])))


@dataclass(frozen=True, slots=True)
class StreamContext:
    """What the streams of a producer have in common: the host, whom they ask, room for lines."""

    host: str
    names: Names
    room: HeldRoom
    atlas: Atlas
    sparer: Sparer


class Stream:
    """One watched source: its matchers, per file, and the position after what they have seen."""

    def __init__(
        self, watch: WatchedSource, stored: bytes | None, now_ms: Callable[[], int], shared: StreamContext
    ) -> None:
        saved: dict[str, Any] = orjson.loads(stored) if stored is not None else {}
        self.watch = watch
        self._mark = f"{shared.host}/" if shared.host else ""
        self.filters = filters_of(
            watch.filters,
            auto=watch.auto,
            journal=watch.source.startswith("journald:"),
            layout=watch.layout,
            known=watch.known,
        )
        self.plans: dict[str, Plan] = {}
        self._zone = zone_of(watch.timezone) if watch.timezone else None
        self.counts = Counter(text for each in self.filters for text in each.warnings())
        self.waiting = Waiting(shared.names, saved.get("names", {}))
        self._spared = SparingWait(shared.sparer, watch.commands, saved.get("spared", {}))
        self._room = shared.room
        self._atlas = shared.atlas
        self._requests = RequestSieve(watch.decoy_paths, counted=watch.rated)
        for origin, states in saved.get("matchers", {}).items():
            self._load(origin, states)
        self.source = self._opened(saved.get("source"), now_ms)
        self._spoken = self.source if isinstance(self.source, Spoken) else None
        self.torn: dict[str, TornLines] = {}
        for origin, lines in saved.get("torn", {}).items():
            self._torn_of(origin).load(lines, self.source.again)
        self.resume: Mapping[str, Any] | None = saved.get("source")
        self.is_new = stored is None
        self.appends: list[Append] = []
        self.read_bytes = 0
        self._chunk: Chunk | None = None
        self._at = 0
        self._piece_bytes = LEAST_BYTES
        self._found: list[AuthLine] = []

        self.begins = "from where it was left" if stored is not None else BEGINS[watch.start]
        if stored is None:
            self.resume = self.source.position()
        if watch.intake is not None and not watch.intake.is_topic:
            self.begins = "from what is sent now on"

    def _opened(self, position: Mapping[str, Any] | None, now_ms: Callable[[], int]) -> Source:
        watch = self.watch
        start = StartPosition(watch.start, watch.recent_ms, self._zone)
        if watch.intake is not None and watch.intake.is_topic:
            from producers.intakes.topic import TopicSource  # noqa: PLC0415 - an extra, and much to load

            return TopicSource(watch.intake, position, start, now_ms)
        if watch.intake is not None:
            from producers.intakes.source import IntakeSource  # noqa: PLC0415 - TLS is much to load

            return IntakeSource(watch.intake, position, now_ms)
        return open_source(watch.source, position, start, now_ms)

    @property
    def reader(self) -> str:
        """The name of its position."""
        return f"source/{self.watch.source}"

    def work(self, now_ms: int, partitions: int) -> bool:
        """Match some of what it read, or reads now, until its turn ends; whether there was something."""
        until_s = thread_time() + TURN_MS / 1_000
        if not self.busy:
            chunk = self._read()
            if chunk is None:
                return False
            self.read_bytes += len(chunk.data)
            self._chunk, self._at = chunk, 0
        while self._chunk is not None and (started_s := thread_time()) < until_s:
            self._match_piece(self._chunk, now_ms, partitions)
            fitting = self._piece_bytes * TURN_MS / 1_000 / max(thread_time() - started_s, 1e-6)
            self._piece_bytes = int(max(LEAST_BYTES, min(PIECE_BYTES, 2 * self._piece_bytes, fitting)))
        return True

    def _read(self) -> Chunk | None:
        """What the source has; its trouble is its own, and ends nobody else's work."""
        try:
            return self.source.read(READ_BYTES)
        except OSError as error:
            self.counts[f"{self.watch.source}: not read just now: {error.strerror or error}"] += 1
            return None

    @property
    def busy(self) -> bool:
        """It is in the midst of what it read: its position and what its filters remember do not agree."""
        return self._chunk is not None

    @property
    def asked(self) -> bool:
        """Whether somebody waits to hear that what was read is stored."""
        return self._spoken is not None and not self.busy and self._spoken.asked

    def settled(self) -> None:
        """Its position is stored."""
        if self._spoken is not None and self.resume is not None:
            self._spoken.settled(self.resume)

    def _match_piece(self, chunk: Chunk, now_ms: int, partitions: int) -> None:
        """Match the next piece; behind the last one the position is past the chunk."""
        start, data = self._at, chunk.data
        end = (
            data.rfind(b"\n", start, start + self._piece_bytes) + 1
            or data.find(b"\n", start) + 1
            or len(data)
        )
        torn = self._torn_of(chunk.origin)
        for position, lines in torn.join(chunk.incarnation, chunk.start + start, data[start:end]):
            if lines:
                self._found += self.events(replace(chunk, data=lines, start=position), now_ms)
        self._at = end
        if end == len(data):
            self.appends += appends(self._found, partitions) if self._found else []
            self.resume = chunk.resume
            self._chunk, self._found = None, []

    def events(self, chunk: Chunk, now_ms: int) -> list[AuthLine]:
        """The events of some lines."""
        if chunk.start > FARTHEST:
            self.counts[f"{chunk.origin}: {TOO_FAR}"] += 1
            return []
        clock = LineClock(now_ms, "live" if chunk.live else "backlog")
        found: list[list[AuthLine]] = []
        plan = self._plan_of(chunk.origin)
        incarnation = self._mark + chunk.incarnation
        for each, rows in zip(plan.filters, plan.scan(chunk.data, clock), strict=True):
            if self._spoken is not None and rows:
                rows = self._said_by(chunk.origin, rows)  # noqa: PLW2901 - nobody may want the others
            if rows:
                origin = EventOrigin(each, chunk.origin, incarnation, chunk.start, now_ms, self.watch.labels)
                asked = self._requests.sift(rows) if rows[0][0] == REQUEST else rows
                named = self._with_addresses(chunk.data, asked, origin)
                if named:
                    found.append(auth_lines(chunk.data, named, origin))
        ordered = in_line_order(found) if found else []
        self._atlas.mark(ordered)
        return self._spared.sift(ordered)

    def _said_by(self, origin: str, rows: list[EventRow]) -> list[EventRow]:
        """The rows of hosts that an origin may speak for."""
        if self._spoken is None:
            return rows
        return [row for row in rows if self._spoken.speaks_for(origin, row[7])]

    def take_late(self, now_ms: int, partitions: int) -> bool:
        """Take the events of which what they waited for has become known; whether there were some."""
        due = self.waiting.due(now_ms) if len(self.waiting) else []
        self._atlas.mark(due)
        due = [*self._spared.sift(due), *(self._spared.due(now_ms) if len(self._spared) else ())]
        self.appends += appends(due, partitions) if due else []
        return bool(due)

    def position(self) -> bytes:
        """The position, and what the matchers remember."""
        matchers = {origin: plan.save() for origin, plan in self.plans.items()}
        names = self.waiting.save()
        torn = {origin: lines for origin, each in self.torn.items() if (lines := each.save())}
        kept = (("names", names), ("torn", torn), ("spared", self._spared.save()))
        more = {name: value for name, value in kept if value}
        return orjson.dumps({"v": 1, "source": self.resume, "matchers": matchers, **more})

    def notices(self) -> Counter[str]:
        """What the source and the filters have to say."""
        found = self.counts + self.waiting.counts + self._spared.counts + Counter(self.source.notices())
        told: list[tuple[str, Plan | TornLines]] = [*self.plans.items(), *self.torn.items()]
        return found + gathered(
            self.watch.source,
            ((origin, text, count) for origin, each in told for text, count in each.notices().items()),
        )

    def _with_addresses(self, data: bytes, rows: list[EventRow], origin: EventOrigin) -> list[EventRow]:
        """The rows that name an address; host names are asked for, and of other ids there is a notice."""
        if not any(row[10] for row in rows):
            return rows
        named: list[EventRow] = []
        resolves = origin.filter.usedns if self.watch.usedns is None else self.watch.usedns
        for row in rows:
            fields = row[10] or NO_FIELDS
            if "dns" in fields and not resolves:
                self.counts[NAMES_LEFT] += 1
            elif "dns" in fields:
                self.waiting.add(auth_lines(data, [row], origin))
            elif address_of(row[2].encode()) is None:
                self.counts[NO_ADDRESS] += 1
            else:
                named.append(row)
        return named

    def _plan_of(self, origin: str) -> Plan:
        found = self.plans.get(origin)
        if found is None:
            found = self.plans[origin] = Plan(self.filters, len(self.watch.filters), self._zone)
        return found

    def _torn_of(self, origin: str) -> TornLines:
        return self.torn.setdefault(origin, TornLines(self._room))

    def _load(self, origin: str, states: Mapping[str, Any]) -> None:
        for name, state in states.items():
            try:
                self._plan_of(origin).load(name, state)
            except InvalidMessage as error:
                self.counts[f"{origin}: what filter {name} remembered is of another version: {error}"] += 1
