"""A log in a file that goes on in memory while its disk takes nothing, for the one process that writes it.

| while the disk is full or fails | it |
|---|---|
| a stage's commit | is held in memory, in order, with the offsets it will have; its stage goes on |
| an append (rules, an operator's word) | raises Unwritable: others may write those topics too |
| a read | gives what is in the file and behind it what is held |
| more than HELD_BYTES | raise Unwritable: their stage waits |

Once a second the held commits are tried again, the oldest first, each whole, with the instants at which they
were told to the log. So what is in the file is at any moment what was told up to some instant. A process
that ends before loses all that came after it, positions too: at its next start it reads the same lines again.

Of commits that only replace what the one before them said the newest is held: of a state that is saved
again, of positions that move without a message.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from logging import getLogger
from operator import attrgetter
from threading import RLock
from typing import Final

from eventlog.contract import Append, Message, Place, Shrunk
from eventlog.sqlite import LogCommit, SqliteLog
from eventlog.terms import Clock, admit
from eventlog.writer import LogWriter
from schemas.errors import LogError, Transient, Unwritable
from schemas.topics import STATE

HELD_BYTES: Final = 128 << 20
"""Values and positions: of a quiet machine's events those of half a day."""
RETRY_S: Final = 1.0
SETTLE_BYTES: Final = 4 << 20
"""So much is written in one transaction, or one commit."""
COMMIT_BYTES: Final = 500
"""What a held commit takes beside its values."""
HELD: Final = "commits are held in memory: the log cannot be written; decisions and the firewall go on"

log = getLogger("banstream.eventlog")

_offset = attrgetter("offset")
WriterEpoch = tuple[str, int]


@dataclass(slots=True)
class _Held:
    """A commit that waits, and the offsets its messages were given."""

    commit: LogCommit
    offsets: list[int]
    size: int = field(init=False)

    def __post_init__(self) -> None:
        values = sum(len(append.value) for append in self.commit.appends)
        self.size = COMMIT_BYTES + values + sum(map(len, self.commit.positions.values()))


class HoldingLog:
    """The contract, over a log in a file."""

    def __init__(self, file: SqliteLog, now_ms: Clock) -> None:
        self._file = file
        self._now_ms = now_ms
        self._lock = RLock()
        self._retry_at_s = 0.0
        self._forget()

    @property
    def partitions(self) -> int:
        """How many partitions every topic has."""
        return self._file.partitions

    def append(self, appends: Sequence[Append]) -> list[int]:
        """Append messages, all or nothing; Unwritable while anything is held."""
        with self._lock:
            if not self._settled():
                raise Unwritable(self._reason)
            return self._file.append(appends)

    def read(self, topic: str, partition: int, offset: int, *, limit: int = 1_000) -> list[Message]:
        """Up to `limit` messages from `offset` on; empty at the end."""
        with self._lock:
            found = self._file.read(topic, partition, offset, limit=limit)
            held = self._messages.get((topic, partition))
            if found or held is None:
                return found
            first = bisect_left(held, offset, key=_offset)
            return held[first : first + limit]

    def wait(self, offsets: Mapping[Place, int], *, timeout_ms: int) -> bool:
        """Whether one of these places has a message at or after its offset; sleeps until one has."""
        with self._lock:
            held = any(
                place in self._messages and self._ends[place] > offset for place, offset in offsets.items()
            )
        return held or self._file.wait(offsets, timeout_ms=timeout_ms)

    def begin(self, topic: str, partition: int = 0) -> int:
        """The offset of the oldest message kept; `end` when there is none."""
        return self._file.begin(topic, partition)

    def end(self, topic: str, partition: int = 0) -> int:
        """The offset that the next message will get."""
        with self._lock:
            place = topic, partition
            return self._ends[place] if place in self._ends else self._file.end(topic, partition)

    def offset_at(self, topic: str, partition: int, at_ms: int) -> int:
        """The offset of the first message appended at or after an instant; `end` when there is none."""
        with self._lock:
            found = self._file.offset_at(topic, partition, at_ms)
            held = self._messages.get((topic, partition), ())
            if not held or found < self._file.end(topic, partition):
                return found
            return next((each.offset for each in held if each.at_ms >= at_ms), self.end(topic, partition))

    def latest(self, topic: str, partition: int = 0) -> Iterator[Message]:
        """The newest message of every key in force of a compacted topic, by offset."""
        with self._lock:
            held = {each.key: each for each in self._messages.get((topic, partition), ())}
        for message in self._file.latest(topic, partition):
            if message.key not in held:
                yield message
        yield from (each for each in sorted(held.values(), key=_offset) if each.value)

    def position(self, reader: str) -> bytes | None:
        """The position a writer's commit last gave this reader; None when it never did."""
        with self._lock:
            held = self._positions.get(reader)
        return self._file.position(reader) if held is None else held

    def writer(self, name: str) -> LogWriter:
        """A writer of this name; every older one is fenced. Unwritable while anything is held."""
        with self._lock:
            if not self._settled():
                raise Unwritable(self._reason)
            return LogWriter(name, partial(self._commit, (name, self._file.new_epoch(name))))

    def retain(self, now_ms: int) -> int:
        """Drop what is past its topic's retention: room within the file, also where the disk has none."""
        return self._file.retain(now_ms)

    def shrink(self, max_bytes: int, needed: Callable[[], Mapping[Place, int]]) -> Shrunk:
        """As the file does; nothing while anything is held, since the state that it asks for is not saved."""

        def saved() -> Mapping[Place, int]:
            places = needed()
            if self._held:
                raise Unwritable(self._reason)
            return places

        with self._lock:
            return self._file.shrink(max_bytes, saved) if self._settled() else Shrunk()

    def notices(self) -> Mapping[str, int]:
        """What there is to say: how many commits are held."""
        with self._lock:
            return {f"{HELD} ({self._reason})": len(self._held)} if self._held else {}

    def close(self) -> None:
        """Let go; what still cannot be written is lost, and said. Idempotent."""
        with self._lock:
            self._retry_at_s = 0.0
            try:
                self._settled()
            except (LogError, Transient) as error:
                self._reason = str(error)
            if self._held:
                log.error(
                    "Held commits are lost, and what they tell is read again at the next start "
                    "commits=%d reason=%s",
                    len(self._held),
                    self._reason,
                )
                self._forget()
            self._file.close()

    def _commit(
        self, writer: WriterEpoch, appends: Sequence[Append], positions: Mapping[str, bytes]
    ) -> list[int]:
        commit = LogCommit(tuple(appends), self._now_ms(), dict(positions), writer)
        with self._lock:
            if not self._settled():
                return self._hold(commit)
            try:
                return self._file.write([commit])[0]
            except Unwritable as error:
                self._reason = str(error)
                self._retry_at_s = time.monotonic() + RETRY_S
                log.error("The log cannot be written, going on in memory reason=%s", error)  # noqa: TRY400 - a fact for people
                return self._hold(commit)

    def _settled(self) -> bool:
        """Whether nothing is held, after a try to write it where it is time for one."""
        if not self._held:
            return True
        if time.monotonic() < self._retry_at_s:
            return False
        amount = len(self._held)
        try:
            while self._held:
                self._write_some()
        except Unwritable as error:
            self._reason = str(error)
            self._retry_at_s = time.monotonic() + RETRY_S
            return False
        log.warning("The log can be written again, and what was held in memory is in it commits=%d", amount)
        self._forget()
        return True

    def _write_some(self) -> None:
        """Write the oldest of what is held, in one transaction."""
        some: list[int] = []
        size = 0
        for number, each in self._held.items():
            if some and size + each.size > SETTLE_BYTES:
                break
            some.append(number)
            size += each.size
        written = self._file.write([self._held[number].commit for number in some])
        for number, offsets in zip(some, written, strict=True):
            self._drop(number, offsets)

    def _drop(self, number: int, offsets: list[int]) -> None:
        """Hold a commit no longer, which is in the file at these offsets."""
        held = self._held.pop(number)
        self._size -= held.size
        for append, offset, promised in zip(held.commit.appends, offsets, held.offsets, strict=True):
            messages = self._messages[append.topic, append.partition]
            if offset != promised and append.topic != STATE.name:
                raise LogError(
                    f"{append.topic}: another process wrote to the log while its disk was full; start again: "
                    "what was not written is read again"
                )
            del messages[0]

    def _hold(self, commit: LogCommit) -> list[int]:
        for append in commit.appends:
            admit(append, self.partitions)
        given = len(commit.appends)
        number = self._replaced_by(commit)
        before = None if number is None else self._held[number]
        if before is not None:
            commit = _merged(before.commit, commit)
        held = _Held(commit, [])
        if self._size - (before.size if before else 0) + held.size > HELD_BYTES:
            raise Unwritable(f"{self._reason}; {self._size} bytes are held in memory, and no more may be")
        if number is not None:
            self._take_back(number)
        for append in commit.appends:
            place = append.topic, append.partition
            offset = self.end(*place)
            self._ends[place] = offset + 1
            held.offsets.append(offset)
            message = Message(append.partition, offset, append.key, append.value, commit.at_ms)
            self._messages.setdefault(place, []).append(message)
        self._positions.update(commit.positions)
        self._number += 1
        self._held[self._number] = held
        self._size += held.size
        self._newest[_kind(commit)] = self._number
        return held.offsets[len(held.offsets) - given :]

    def _replaced_by(self, commit: LogCommit) -> int | None:
        """The number of the held commit of its kind all of which it says again, or keeps when merged."""
        number = self._newest.get(_kind(commit))
        before = None if number is None else self._held.get(number)
        return number if before is not None and _replaces(commit) and _replaces(before.commit) else None

    def _take_back(self, number: int) -> None:
        """Hold a commit no longer: another holds what it said."""
        before = self._held.pop(number)
        self._size -= before.size
        for append, offset in zip(before.commit.appends, before.offsets, strict=True):
            held_here = self._messages[append.topic, append.partition]
            held_here[:] = [message for message in held_here if message.offset != offset]

    def _forget(self) -> None:
        self._held: dict[int, _Held] = {}
        self._messages: dict[Place, list[Message]] = {}
        self._ends: dict[Place, int] = {}
        self._positions: dict[str, bytes] = {}
        self._newest: dict[tuple[WriterEpoch | None, Place | None], int] = {}
        self._number = self._size = 0
        self._reason = ""


def _kind(commit: LogCommit) -> tuple[WriterEpoch | None, Place | None]:
    """Whose a commit is; of a state also which partition's."""
    first = commit.appends[0] if commit.appends else None
    state = first is not None and first.topic == STATE.name
    return commit.writer, (first.topic, first.partition) if first is not None and state else None


def _replaces(commit: LogCommit) -> bool:
    """Whether all that a commit says is said again by the next one like it."""
    return all(append.topic == STATE.name for append in commit.appends)


def _merged(before: LogCommit, commit: LogCommit) -> LogCommit:
    """A commit with what it leaves of the one of its kind before."""
    keys = {append.key for append in commit.appends}
    kept = [append for append in before.appends if append.key not in keys]
    return commit._replace(
        appends=(*kept, *commit.appends), positions={**before.positions, **commit.positions}
    )
