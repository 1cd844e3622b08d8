"""The producer: reads sources, matches, and appends events together with how far it has read.

Events and position are one commit, so that a crash at any moment repeats nothing and loses nothing: what was
not committed is read again from the position that was. What a filter remembers of earlier lines is part of
the position.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic, thread_time
from typing import Any, Final, Literal, Protocol

import orjson

from eventlog.clock import wall_clock_ms
from eventlog.contract import Append, Writer
from producers.contract import Chunk, Source, StartPosition
from producers.filters import filters_of
from producers.filters.connections import address_of
from producers.filters.plan import Plan
from producers.filters.rows import EventRow
from producers.frames import EventOrigin, appends, auth_lines, in_line_order
from producers.library import AUTO
from producers.names import Names, Waiting
from producers.sources import open_source
from producers.stamps import LineClock
from producers.status import ProducerStatus
from schemas.bounds import MOST_POSITION
from schemas.codec import AuthLine
from schemas.errors import InvalidMessage

NO_ADDRESS: Final = "events of something else than an address, which nothing here can ban"
TOO_FAR: Final = "lines so far from its beginning that no log is as long; they are not read"
NO_FIELDS: Final[Mapping[str, str]] = {}
WRITER: Final = "producer"
READ_BYTES: Final = 1 << 20
PIECE_BYTES: Final = 16 << 10
LEAST_BYTES: Final = 2 << 10
"""What was read is matched in pieces, so that lines which cost much can be left for the next turn: each twice
as large as the one before, up to PIECE_BYTES, but not so large that it takes longer than a turn."""
TURN_MS: Final = 50
"""After so much of the processor's time a source's turn ends, behind a piece."""
ROUND_MS: Final = 200
"""After so long a poll ends, and the next goes on with the source that would have been next."""
FARTHEST: Final = MOST_POSITION // 2
"""4 PiB: only a sparse file made for it is larger."""
IDLE_COMMIT_MS: Final = 5_000
"""Lines that hold no event move the stored position this late: reading them again would find nothing."""


BEGINS: Final = {"recent": "from its recent lines", "beginning": "from its beginning", "end": "from its end"}


@dataclass(frozen=True, slots=True)
class WatchedSource:
    """What to read, and how.

    Attributes:
        source: the source's spec.
        filters: the names of the filters that see every line.
        auto: lines that none of those takes are for whichever filter of the library they are of.
        labels: put on every event.
        start: where the first reading ever begins.
        recent_ms: how far back `recent` goes, in milliseconds: the longest findtime that uses the source.
    """

    source: str
    filters: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    start: Literal["recent", "beginning", "end"] = "recent"
    recent_ms: int = 600_000
    auto: bool = False

    def names(self) -> str:
        """Its filters, for people."""
        return ", ".join((*self.filters, *([AUTO] if self.auto else [])))


class Outlet(Protocol):
    """Where events and positions go, all or nothing: a log (eventlog.contract), or a spool."""

    @property
    def partitions(self) -> int:
        """How many partitions the events have."""
        ...

    def position(self, reader: str) -> bytes | None:
        """The position last committed for this reader; None when there never was one."""
        ...

    def writer(self, name: str) -> Writer:
        """A writer; it fences every older one of its name."""
        ...


@dataclass(frozen=True, slots=True)
class _Handed:
    """An outlet whose writer is handed on, so that nobody is fenced."""

    outlet: Outlet
    given: Writer

    @property
    def partitions(self) -> int:
        return self.outlet.partitions

    def position(self, reader: str) -> bytes | None:
        return self.outlet.position(reader)

    def writer(self, name: str) -> Writer:
        del name
        return self.given


class _Stream:
    """One watched source: its matchers, per file, and the position after what they have seen."""

    def __init__(
        self, watch: WatchedSource, stored: bytes | None, now_ms: Callable[[], int], host: str, names: Names
    ) -> None:
        saved: dict[str, Any] = orjson.loads(stored) if stored is not None else {}
        self.watch = watch
        self._mark = f"{host}/" if host else ""
        self.filters = filters_of(watch.filters, auto=watch.auto)
        self.plans: dict[str, Plan] = {}
        self.counts = Counter(text for each in self.filters for text in each.warnings())
        self.waiting = Waiting(names, saved.get("names", {}))
        for origin, states in saved.get("matchers", {}).items():
            self._load(origin, states)
        start = StartPosition(watch.start, watch.recent_ms)
        self.source: Source = open_source(watch.source, saved.get("source"), start, now_ms)
        self.resume: Mapping[str, Any] | None = None
        self.appends: list[Append] = []
        self.read_bytes = 0
        self._chunk: Chunk | None = None
        self._at = 0
        self._piece_bytes = LEAST_BYTES
        self._found: list[AuthLine] = []

        self.begins = "from where it was left" if stored is not None else BEGINS[watch.start]
        if stored is None:
            self.resume = self.source.position()

    @property
    def reader(self) -> str:
        return f"source/{self.watch.source}"

    def work(self, now_ms: int, partitions: int) -> bool:
        """Match some of what it read, or reads now, until its turn ends; whether there was something."""
        until_s = thread_time() + TURN_MS / 1_000
        if not self.busy:
            chunk = self.source.read(READ_BYTES)
            if chunk is None:
                return False
            self.read_bytes += len(chunk.data)
            self._chunk, self._at = chunk, 0
        while self._chunk is not None and (started_s := thread_time()) < until_s:
            self._match_piece(self._chunk, now_ms, partitions)
            fitting = self._piece_bytes * TURN_MS / 1_000 / max(thread_time() - started_s, 1e-6)
            self._piece_bytes = int(max(LEAST_BYTES, min(PIECE_BYTES, 2 * self._piece_bytes, fitting)))
        return True

    @property
    def busy(self) -> bool:
        """It is in the midst of what it read: its position and what its filters remember do not agree."""
        return self._chunk is not None

    def _match_piece(self, chunk: Chunk, now_ms: int, partitions: int) -> None:
        """Match the next piece; behind the last one the position is past the chunk."""
        start, data = self._at, chunk.data
        end = (
            data.rfind(b"\n", start, start + self._piece_bytes) + 1
            or data.find(b"\n", start) + 1
            or len(data)
        )
        if start < end:
            self._found += self.events(
                replace(chunk, data=data[start:end], start=chunk.start + start), now_ms
            )
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
            if rows:
                origin = EventOrigin(each, chunk.origin, incarnation, chunk.start, now_ms, self.watch.labels)
                named = self._with_addresses(chunk.data, rows, origin)
                if named:
                    found.append(auth_lines(chunk.data, named, origin))
        return in_line_order(found) if found else []

    def take_late(self, now_ms: int, partitions: int) -> bool:
        """Take the events of hosts whose addresses have become known; whether there were some."""
        due = self.waiting.due(now_ms) if len(self.waiting) else []
        self.appends += appends(due, partitions) if due else []
        return bool(due)

    def position(self) -> bytes:
        """The position, and what the matchers remember."""
        matchers = {origin: plan.save() for origin, plan in self.plans.items()}
        names = self.waiting.save()
        state = {"v": 1, "source": self.resume, "matchers": matchers, **({"names": names} if names else {})}
        return orjson.dumps(state)

    def notices(self) -> Counter[str]:
        """What the source and the filters have to say."""
        found = self.counts + self.waiting.counts + Counter(self.source.notices())
        for origin, plan in self.plans.items():
            found.update({f"{origin}: {text}": count for text, count in plan.notices().items()})
        return found

    def _with_addresses(self, data: bytes, rows: list[EventRow], origin: EventOrigin) -> list[EventRow]:
        """The rows that name an address; host names are asked for, and of other ids there is a notice."""
        if not any(row[10] for row in rows):
            return rows
        named: list[EventRow] = []
        for row in rows:
            fields = row[10] or NO_FIELDS
            if "dns" in fields:
                self.waiting.add(auth_lines(data, [row], origin))
            elif address_of(row[2].encode()) is None:
                self.counts[NO_ADDRESS] += 1
            else:
                named.append(row)
        return named

    def _plan_of(self, origin: str) -> Plan:
        found = self.plans.get(origin)
        if found is None:
            found = self.plans[origin] = Plan(self.filters, len(self.watch.filters))
        return found

    def _load(self, origin: str, states: Mapping[str, Any]) -> None:
        for name, state in states.items():
            try:
                self._plan_of(origin).load(name, state)
            except InvalidMessage as error:
                self.counts[f"{origin}: what filter {name} remembered is of another version: {error}"] += 1


class Producer:
    """All watched sources of one process, and the log they go to.

    `host` makes the incarnations of a fleet's files differ: machines made from one image have equal files.
    """

    def __init__(
        self,
        log: Outlet,
        watches: Sequence[WatchedSource],
        now_ms: Callable[[], int] | None = None,
        host: str = "",
        names: Names | None = None,
    ) -> None:
        """Go on where the sources were left, then fence every older producer of this log."""
        self._now_ms = now_ms or wall_clock_ms
        self._log = log
        self._host = host
        self._names = names or Names()
        self._streams: list[_Stream] = []
        self._read_bytes = self._events = self._turn = 0
        self._last_event_at_ms: int | None = None
        try:
            for watch in watches:
                stored = log.position(f"source/{watch.source}")
                self._streams.append(_Stream(watch, stored, self._now_ms, host, self._names))
            self._writer = log.writer(WRITER)
        except BaseException:
            self.release()
            raise
        self._moved = {index for index, stream in enumerate(self._streams) if stream.resume is not None}
        self._moved_at_ms = 0

    def filenos(self) -> list[int]:
        """Descriptors that become readable when there is more; look every second as well."""
        return [fileno for stream in self._streams for fileno in stream.source.filenos()]

    def poll(self) -> bool:
        """Read some of each source and commit what it holds; true when there is more to do at once.

        Raises:
            Transient: nothing was written or moved; the next poll tries the same again.
            Fenced, LogError: as the log's commit.
        """
        if self._held():
            self._commit()
        more = False
        until_s = monotonic() + ROUND_MS / 1_000
        for index in self._in_turn():
            if monotonic() > until_s:
                more = True
                break
            self._turn = (index + 1) % len(self._streams)
            more = self._work(index) or more
        if self._held() or (self._moved and self._now_ms() - self._moved_at_ms >= IDLE_COMMIT_MS):
            self._commit()
        return more

    def _in_turn(self) -> list[int]:
        """Each source, beginning behind the one that was read last."""
        numbers = list(range(len(self._streams)))
        return numbers[self._turn :] + numbers[: self._turn]

    def _work(self, index: int) -> bool:
        """Let a source have its turn; whether there was something."""
        stream, now_ms = self._streams[index], self._now_ms()
        worked = stream.work(now_ms, self._log.partitions)
        if worked:
            self._moved_at_ms = self._moved_at_ms or now_ms
        if stream.take_late(now_ms, self._log.partitions) or worked:
            self._moved.add(index)
        return worked

    def _held(self) -> bool:
        """Whether there are events to be committed: not of a source that is in the midst of what it read."""
        return any(stream.appends and not stream.busy for stream in self._streams)

    def prepared(self, watches: Sequence[WatchedSource]) -> Producer:
        """Another that goes on where this one stands, with other watches; `release` this one before it polls.

        Whatever is raised, this one is as it was. Raises as `poll`, and what opening a source raises.
        """
        if self._moved:
            self._commit()
        outlet = _Handed(self._log, self._writer)
        new = Producer(outlet, watches, self._now_ms, self._host, self._names)
        new._read_bytes, new._events = self._bytes_read(), self._events
        new._last_event_at_ms = self._last_event_at_ms
        return new

    def release(self) -> None:
        """Let go of the sources, without a word to the log: somebody else goes on."""
        for stream in self._streams:
            stream.source.close()

    def close(self) -> None:
        """Store where it stands, and let go. Raises as `poll`, after letting go."""
        try:
            if self._moved:
                self._commit()
        finally:
            self.release()
            self._writer.close()

    def describe(self) -> list[str]:
        """What is watched, a sentence each."""
        return [
            f"{stream.source.id} with filter {stream.watch.names()}, {stream.begins}"
            for stream in self._streams
        ]

    def status(self) -> ProducerStatus:
        """How it is now."""
        return ProducerStatus(
            sources=tuple(self.describe()),
            read_bytes=self._bytes_read(),
            events=self._events,
            last_event_at_ms=self._last_event_at_ms,
        )

    def notices(self) -> Mapping[str, int]:
        """What went wrong and was survived: a sentence, and how often."""
        return sum((stream.notices() for stream in self._streams), Counter())

    def _bytes_read(self) -> int:
        return self._read_bytes + sum(stream.read_bytes for stream in self._streams)

    def _commit(self) -> None:
        """Commit events and positions, but for sources that are in the midst of what they read."""
        ready = {index: self._streams[index] for index in self._moved if not self._streams[index].busy}
        held = [append for stream in ready.values() for append in stream.appends]
        if not ready:
            return
        self._writer.commit(held, {stream.reader: stream.position() for stream in ready.values()})
        if held:
            self._events += sum(append.value.count(b"\n") + 1 for append in held)
            self._last_event_at_ms = self._now_ms()
        for stream in ready.values():
            stream.appends = []
        self._moved.difference_update(ready)
        self._moved_at_ms = self._now_ms() if self._moved else 0
