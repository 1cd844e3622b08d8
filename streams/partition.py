"""One partition of the events, decided: frames in, one commit out. What the hosts of the decider share.

The state in memory runs ahead of the log only within one `decide`; what it yields is written in one commit:
decisions, the bans they change, dead letters, the position, and now and then the state (a checkpoint). After
a crash the last checkpoint is loaded and the events since are folded again: decisions up to the position of
the last commit are in the log already and are dropped, the rest are made as if nothing had happened.

Where the position is kept is the host's choice: `load` has it from the log's positions, a worker keeps it
among the state under the key POSITION.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Self

import orjson

from eventlog.contract import Append, EventLog, Message
from schemas.codec import encode, frame_of, lines_of
from schemas.errors import InvalidMessage
from schemas.records import LINE_CHARACTERS, DeadLetter, Decision, Record
from schemas.rules import Rules
from schemas.topics import BANS, DEADLETTERS, DECISIONS, EVENTS, STATE
from streams.decider import Decider
from streams.fold import Fold
from streams.inputs import Frame
from streams.poison import Poison
from streams.state import WHOLE, dump_buckets, dump_whole, load_bucket, load_whole

POSITION: Final = "position"
FRAME_BYTES: Final = 1 << 20
"""A message that follows from a frame is closed once it has grown to this size."""


class Partition:
    """The decider of one partition of a log, and where it stands.

    Attributes:
        next_offset: the first offset of the events not folded yet.
        decided_offset: the last offset whose decisions are in the log already.
        fold: the decider, and what it has seen.
        refused: lines sent to the dead letters since the start of this process.
        poison: how much of what was read lately could not be.
        stopped: nobody goes on before a person has looked: the log says so, to whoever comes next.
    """

    def __init__(self, number: int = 0, *, partitions: int = 1, begin: int = 0) -> None:
        """An empty state: of partition `number` of `partitions`, whose oldest event is at `begin`."""
        self.number = number
        self.refused = 0
        self.stopped = False
        self.poison = Poison()
        self.decided_offset = -1
        empty = Decider(Rules(jails=()), partition=number, tracking=True)
        self.fold = Fold(empty, partitions=partitions)
        self.next_offset = self._saved_offset = begin

    @classmethod
    def load(cls, log: EventLog, number: int = 0) -> Self:
        """The state as the last checkpoint in a log left it; nothing is folded yet."""
        partition = cls(number, partitions=log.partitions, begin=log.begin(EVENTS.name, number))
        state = {message.key or "": message.value for message in log.latest(STATE.name, number)}
        position = log.position(partition.reader)
        partition.restore(state if position is None else {**state, POSITION: position})
        return partition

    def restore(self, state: Mapping[str, bytes]) -> None:
        """Take over what checkpoints wrote, by key, and the position; a whole is in every checkpoint."""
        whole = state.get(WHOLE)
        if whole is not None:
            self.fold.decider, offset, self.fold.marks = load_whole(whole, self.number)
            for key, value in state.items():
                if key not in {WHOLE, POSITION}:
                    load_bucket(self.decider, value)
            self.decider.resume()
            self.next_offset = self._saved_offset = offset + 1
            self.decided_offset = offset
        if POSITION in state:
            position = orjson.loads(state[POSITION])
            self.decided_offset = max(self.decided_offset, position["offset"])
            self.poison = Poison(position.get("lines", 0), position.get("refused", 0))
            self.stopped = position.get("stopped", False)

    @property
    def decider(self) -> Decider:
        """The decider itself."""
        return self.fold.decider

    @property
    def reader(self) -> str:
        """The name under which the log keeps this partition's position."""
        return f"decider/{self.number}"

    @property
    def dirty(self) -> bool:
        """Whether anything was folded since the last checkpoint: rules and commands change the state, too."""
        return self.next_offset > self._saved_offset

    def decide(self, messages: Iterable[Message]) -> list[Append]:
        """Fold messages; what has to be written because of them, none for what was decided before."""
        appends: list[Append] = []
        for message in messages:
            decisions, frame = self.fold.take(message)
            self.next_offset = message.offset + 1
            if message.offset > self.decided_offset:
                self.poison.count(len(frame.lines), len(frame.refused))
                appends += self._letters(message, frame)
                appends += self._outcome(decisions)
        return appends

    def stop_before(self, offset: int) -> None:
        """Stand before a message that was folded already; the state must not be written any more."""
        self.next_offset = offset
        self.stopped = True

    def position(self) -> dict[str, bytes]:
        """The position to be committed along with what `decide` gave."""
        self.decided_offset = max(self.decided_offset, self.next_offset - 1)
        return {self.reader: self._position()}

    def position_message(self) -> Append:
        """The position as a message among the state."""
        self.decided_offset = max(self.decided_offset, self.next_offset - 1)
        return Append(STATE.name, self._position(), key=POSITION, partition=self.number)

    def checkpoint(self) -> list[Append]:
        """The state as it is now, as messages: the whole, and the buckets that have changed."""
        buckets = dump_buckets(self.decider, self.decider.touched)
        self.decider.touched.clear()
        self._saved_offset = self.next_offset
        whole = dump_whole(self.decider, self.next_offset - 1, self.fold.marks)
        return [
            Append(STATE.name, value, key=key, partition=self.number)
            for key, value in (*buckets.items(), (WHOLE, whole))
        ]

    def _position(self) -> bytes:
        poison = self.poison
        position = {"offset": self.decided_offset, "lines": poison.lines, "refused": poison.refused}
        return orjson.dumps({**position, "stopped": True} if self.stopped else position)

    def _outcome(self, decisions: list[Decision]) -> list[Append]:
        if not decisions:
            return []
        last = {decision.prefix: decision for decision in decisions}
        appends = packed(DECISIONS.name, decisions, self.number)
        for prefix, decision in last.items():
            standing = self.decider.standing(prefix, decision)
            appends.append(Append(BANS.name, b"" if standing is None else encode(standing), key=prefix))
        return appends

    def _letters(self, message: Message, frame: Frame) -> list[Append]:
        if not frame.refused:
            return []
        self.refused += len(frame.refused)
        # Whatever is one line is its own: a frame that was refused as a whole is not taken apart here either.
        lines = lines_of(message.value) if len(frame.lines) > 1 else [message.value]
        letters = [self._letter(message, index, lines[index], error) for index, error in frame.refused]
        return packed(DEADLETTERS.name, letters, 0)

    def _letter(self, message: Message, index: int, line: bytes, error: InvalidMessage) -> DeadLetter:
        return DeadLetter(
            topic=EVENTS.name,
            partition=self.number,
            offset=message.offset,
            index=index,
            reason=str(error),
            at_ms=message.at_ms,
            line=line[:LINE_CHARACTERS].decode("utf-8", "backslashreplace"),
        )


def packed(topic: str, records: Iterable[Record], partition: int) -> list[Append]:
    """Records as messages of about FRAME_BYTES at most: a log refuses a message that is too large."""
    appends: list[Append] = []
    lines: list[bytes] = []
    size = 0
    for record in records:
        lines.append(encode(record))
        size += len(lines[-1])
        if size >= FRAME_BYTES:
            appends.append(Append(topic, frame_of(lines), partition=partition))
            lines, size = [], 0
    if lines:
        appends.append(Append(topic, frame_of(lines), partition=partition))
    return appends
