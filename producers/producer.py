"""The producer: reads sources, matches, and appends events together with how far it has read.

Events and position are one commit, so that a crash at any moment repeats nothing and loses nothing: what was
not committed is read again from the position that was. What a filter remembers of earlier lines is part of
the position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

from eventlog.clock import wall_clock_ms
from eventlog.contract import Writer
from producers.atlas import Atlas, WhereaboutsFiles
from producers.names import Names
from producers.sparing import Sparer
from producers.status import ProducerStatus
from producers.stream import Stream, StreamContext, WatchedSource
from producers.torn_lines import HeldRoom

__all__ = ["Outlet", "Producer", "WatchedSource"]

WRITER: Final = "producer"
ROUND_MS: Final = 200
"""After so long a poll ends, and the next goes on with the source that would have been next."""
IDLE_COMMIT_MS: Final = 5_000
"""Lines that hold no event move the stored position this late: reading them again would find nothing."""


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


class Producer:
    """All watched sources of one process, and the log they go to.

    `host` makes the incarnations of a fleet's files differ: machines made from one image have equal files.
    """

    def __init__(  # noqa: PLR0913 - what most callers leave as it is comes last
        self,
        log: Outlet,
        watches: Sequence[WatchedSource],
        now_ms: Callable[[], int] | None = None,
        host: str = "",
        names: Names | None = None,
        *,
        atlas: Atlas | None = None,
        sparer: Sparer | None = None,
    ) -> None:
        """Go on where the sources were left, then fence every older producer of this log."""
        self._now_ms = now_ms or wall_clock_ms
        self._log = log
        self._host = host
        self._names = names or Names()
        self._atlas = atlas or Atlas(WhereaboutsFiles())
        self._sparer = sparer or Sparer()
        self._streams: list[Stream] = []
        self._read_bytes = self._events = self._turn = 0
        self._last_event_at_ms: int | None = None
        shared = StreamContext(host, self._names, HeldRoom(), self._atlas, self._sparer)
        try:
            for watch in watches:
                stored = log.position(f"source/{watch.source}")
                self._streams.append(Stream(watch, stored, self._now_ms, shared))
            self._writer = log.writer(WRITER)
        except BaseException:
            self.release()
            raise
        self._moved = {index for index, stream in enumerate(self._streams) if stream.is_new}
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
        """Whether there is what cannot wait: not of a source that is in the midst of what it read."""
        return any((stream.appends or stream.asked) and not stream.busy for stream in self._streams)

    def prepared(self, watches: Sequence[WatchedSource], files: WhereaboutsFiles | None = None) -> Producer:
        """Another that goes on where this one stands, with other watches; `release` this one before it polls.

        `files`: of where addresses are, from now on.

        Whatever is raised, this one is as it was. Raises as `poll`, and what opening a source raises.
        """
        if self._moved:
            self._commit()
        outlet = _Handed(self._log, self._writer)
        filters = {stream.watch.source: stream.filters for stream in self._streams}
        knowing = [watch.knowing(filters.get(watch.source, ())) for watch in watches]
        files = files or WhereaboutsFiles()
        atlas = self._atlas if files == self._atlas.files else Atlas(files)
        atlas.refresh()
        new = Producer(
            outlet, knowing, self._now_ms, self._host, self._names, atlas=atlas, sparer=self._sparer
        )
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
        shared = self._atlas.notices() + self._sparer.failures
        return sum((stream.notices() for stream in self._streams), shared)

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
            stream.settled()
        self._moved.difference_update(ready)
        self._moved_at_ms = self._now_ms() if self._moved else 0
