"""Where in a log something is told of a subject: an address, a prefix, a decision's id.

It is never the truth. Whoever asks gets the messages that may be about it, newest first, and looks himself.
None that is about it is missing: what the index does not have yet is looked through as it is asked.

| found in the file | is |
|---|---|
| a block whose last message stands in the log as it did | believed: a log only grows, and loses its oldest |
| the last block, where another or no message stands there | of another log, or of one put back: made again |
| a block before the oldest message | forgotten |
| a wrong seal, a file that is none | thrown away; all of it is made again |

It is brought up to date by who asks, and kept where that may write (beside the log, or in a folder of the
user's own where the log is on a cluster); else it goes with the process.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import gettempdir
from typing import Final
from zlib import crc32

from eventlog.contract import EventLog, Message, Place
from eventlog.index_file import (
    HASH_BITS,
    OFFSET_BITS,
    SHARD_BITS,
    Block,
    IndexFile,
    Pairs,
    UnusableIndexError,
)
from eventlog.subjects import HashSpan, hashes_of
from schemas.errors import LogError

PAGE: Final = 256
MOST_AHEAD: Final = 64
MOST_AHEAD_BYTES: Final = 8 << 20
"""So many messages, and about so many bytes, are read ahead of who takes them, newest first."""
NEAR: Final = 8
"""Messages so close are read in one go, with what is between."""
FULL_PAIRS: Final = 65_536
"""A block is closed once it has so many."""
MOST_OFFSETS: Final = 1 << 31
WORTH_KEEPING: Final = 16
WORTH_KEEPING_BYTES: Final = 1 << 20
"""Fewer messages, and of fewer bytes, are looked through again rather than kept."""
LONG_BYTES: Final = 128 << 20
"""To read so much takes a second."""
MOST_TROUBLES: Final = 3
"""A file that was damaged, or changed by others, so often while one command asks is done without."""
OFFSET_MASK: Final = (1 << OFFSET_BITS) - 1


class Index:
    """The index of one log; not for two threads at once."""

    def __init__(
        self,
        log: EventLog,
        path: Path | None = None,
        beside: Path | None = None,
        wait: Callable[[], None] | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            log: the log.
            path: where it is kept.
            beside: the log's file, where it has one.
            wait: called once, where to bring it up to date takes long.
        """
        self._log = log
        self._wait, self._read_bytes = wait, 0
        self._path, self._beside = path, beside
        self._own = IndexFile.private()
        self._kept: IndexFile | None = None
        self._opened = False
        self._blocks: dict[Place, list[tuple[Block, IndexFile]]] = {}
        self._troubles = 0

    def messages(self, place: Place, spans: Sequence[HashSpan]) -> Iterator[Message]:
        """The messages of a place that may be about subjects of these hashes, newest first."""
        offsets, amount = self.offsets(place, spans), 1
        while some := list(islice(offsets, amount)):
            messages = list(read_at(self._log, place, some[::-1]))
            large = sum(len(message.value) for message in messages) >= MOST_AHEAD_BYTES
            amount = max(1, amount // 2) if large else min(2 * amount, MOST_AHEAD)
            yield from reversed(messages)

    def offsets(self, place: Place, spans: Sequence[HashSpan]) -> Iterator[int]:
        """Where they stand, newest first. Raises LogError and Transient, as the log does."""
        below: int | None = None
        while True:
            try:
                for offset in self._offsets(place, spans, below):
                    below = offset
                    yield offset
            except UnusableIndexError as error:
                self._begin_anew(error)
            else:
                return

    def close(self) -> None:
        """Let go of its files; the log stays open. Idempotent."""
        self._own.close()
        if self._kept is not None:
            self._kept.close()

    def _offsets(self, place: Place, spans: Sequence[HashSpan], below: int | None) -> Iterator[int]:
        if not spans:
            return
        if place not in self._blocks:
            self._take_in(place)
        for block, file in reversed(self._blocks[place]):
            for offset in sorted(_found(file, block, spans), reverse=True):
                if below is None or offset < below:
                    yield offset

    def _take_in(self, place: Place) -> None:
        """Take in what the log has of a place: from then on it is all in blocks that are known."""
        if not self._opened:
            self._opened = True
            self._kept = None if self._path is None else IndexFile.open(self._path, self._beside)
        kept = self._kept
        known, page = self._believed(kept, place)
        blocks = [] if kept is None else [(block, kept) for block in known]
        file, growing = kept if kept is not None and kept.writable else self._own, _Growing(place)
        while page:
            self._count(page)
            for message in page:
                growing.add(message)
                if growing.full:
                    file = self._close(growing, file, blocks)
                    growing = _Growing(place)
            page = self._log.read(*place, page[-1].offset + 1, limit=PAGE)
        if growing.last is not None:
            self._close(growing, file if growing.worth_keeping else self._own, blocks)
        self._blocks[place] = blocks

    def _count(self, page: Sequence[Message]) -> None:
        self._read_bytes += sum(len(message.value) for message in page)
        if self._wait is not None and self._read_bytes >= LONG_BYTES:
            self._wait()
            self._wait = None

    def _close(self, growing: _Growing, file: IndexFile, blocks: list[tuple[Block, IndexFile]]) -> IndexFile:
        """Keep what has grown, in a file or, where others were first there, in this process; where it is."""
        last, its_file = blocks[-1] if blocks else (None, None)
        if file is not self._own:
            small = last is not None and last.pairs < FULL_PAIRS and growing.fits(last)
            before = last if small and its_file is file else None
            block, pairs = growing.closed(before, None if before is None else file.pairs(before))
            if file.put(block, pairs, before):
                blocks[len(blocks) - (before is not None) :] = [(block, file)]
                if block.pairs >= FULL_PAIRS:
                    self._forget(file, growing.place)
                return file
        block, pairs = growing.closed()
        if not self._own.put(block, pairs):
            raise LogError(f"the index of the log can be kept neither in memory nor in {gettempdir()}")
        blocks.append((block, self._own))
        return self._own

    def _believed(self, kept: IndexFile | None, place: Place) -> tuple[list[Block], list[Message]]:
        """The blocks in the file that still hold, and the first messages that are in none."""
        stored = [] if kept is None else kept.blocks(place)
        known, start = list(stored), 0
        page: list[Message] = []
        while known and not start:
            last, *page = self._log.read(*place, known[-1].last, limit=PAGE) or (None,)
            if last is not None and known[-1].ends_with(last):
                start = known[-1].next
            else:
                known.pop()
                page = []
        if kept is not None and kept.writable and len(known) < len(stored):
            kept.forget(stored[len(known) :])
        return known, page or self._log.read(*place, start, limit=PAGE)

    def _forget(self, file: IndexFile, place: Place) -> None:
        """Forget the blocks of messages that the log has no longer."""
        begin = self._log.begin(*place)
        gone = [block for block in file.blocks(place) if block.next <= begin]
        if gone:
            file.forget(gone)

    def _begin_anew(self, error: UnusableIndexError) -> None:
        """Throw the file away where it is damaged, look again where it has changed, or do without it."""
        self._troubles += 1
        if self._kept is not None and error.why == "damaged":
            self._kept.discard()
        elif self._kept is not None:
            self._kept.close()
        if error.why == "busy" or self._troubles > MOST_TROUBLES:
            self._path = None
        self._own.close()
        self._own, self._kept, self._opened = IndexFile.private(), None, False
        self._blocks.clear()


def read_at(log: EventLog, place: Place, offsets: Sequence[int]) -> Iterator[Message]:
    """The messages at ascending offsets; those that lie close together are read at once."""
    start = 0
    for number, offset in enumerate(offsets, 1):
        last = number == len(offsets) or offsets[number] - offset > NEAR
        if last or offset - offsets[start] >= MOST_AHEAD:
            wanted = set(offsets[start:number])
            yield from (each for each in _run(log, place, offsets[start], offset) if each.offset in wanted)
            start = number


def _run(log: EventLog, place: Place, first: int, last: int) -> Iterator[Message]:
    """The messages from one offset to another."""
    while first <= last and (found := log.read(*place, first, limit=last - first + 1)):
        yield from found
        first = found[-1].offset + 1


class _Growing:
    """Messages that come to be a block."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.last: Message | None = None
        self._first = self._messages = self._bytes = 0
        self._pairs: Pairs[int] = array("Q")

    @property
    def full(self) -> bool:
        """Whether it is time to close it."""
        return len(self._pairs) >= FULL_PAIRS or (
            self.last is not None and self.last.offset - self._first >= MOST_OFFSETS
        )

    @property
    def worth_keeping(self) -> bool:
        """Whether to look through them again would be more work than to keep them."""
        return self._messages >= WORTH_KEEPING or self._bytes >= WORTH_KEEPING_BYTES

    def fits(self, before: Block) -> bool:
        """Whether they can be one with the block before."""
        return self.last is not None and self.last.offset - before.first < MOST_OFFSETS

    def add(self, message: Message) -> None:
        """Take in the next message."""
        if self.last is None:
            self._first = message.offset
        offset = message.offset - self._first
        self._pairs.extend(
            [number << OFFSET_BITS | offset for number in hashes_of(self.place[0], message.value)]
        )
        self.last = message
        self._messages += 1
        self._bytes += len(message.value)

    def closed(
        self, before: Block | None = None, pairs: Pairs[int] | None = None
    ) -> tuple[Block, Pairs[int]]:
        """The block, one with the block before, whose pairs these are; and its pairs, in order."""
        if self.last is None:
            raise ValueError("there are no messages")
        last, first = self.last, self._first
        merged = self._pairs
        if before is not None and pairs is not None:
            moved, first = self._first - before.first, before.first
            merged = pairs + array("Q", [pair + moved for pair in self._pairs])
        offsets = first, last.offset + 1, last.offset
        block = Block(*self.place, *offsets, last.at_ms, crc32(last.value), len(merged))
        return block, array("Q", sorted(merged))


def _found(file: IndexFile, block: Block, spans: Sequence[HashSpan]) -> set[int]:
    """The offsets in a block at which something may be of these hashes."""
    found: set[int] = set()
    shards: dict[int, Pairs[int]] = {}
    for span in spans:
        number = span.first >> (HASH_BITS - SHARD_BITS)
        pairs = shards[number] = shards[number] if number in shards else file.shard(block, number)
        start = bisect_left(pairs, span.first << OFFSET_BITS)
        end = bisect_left(pairs, (span.last + 1) << OFFSET_BITS, start)
        found.update(block.first + (pair & OFFSET_MASK) for pair in pairs[start:end])
    return found
