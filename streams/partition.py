"""One partition of the events, decided: frames in, one commit out. What the hosts of the decider share.

The state in memory runs ahead of the log only within one `decide`; what it yields is written in one commit:
decisions, the bans they change, dead letters, the position, and now and then the state (a checkpoint). After
a crash the last checkpoint is loaded and the events since are folded again: decisions up to the position of
the last commit are in the log already and are dropped, the rest are made as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from eventlog.contract import Append, EventLog, Message
from schemas.codec import encode, encode_frame
from schemas.errors import InvalidMessage
from schemas.records import LINE_BYTES, DeadLetter, Decision
from schemas.topics import BANS, DEADLETTERS, DECISIONS, EVENTS, STATE
from streams.decider import Decider
from streams.fold import Fold
from streams.inputs import Frame
from streams.rules import Rules
from streams.state import WHOLE, dump_buckets, dump_whole, load_bucket, load_whole


class Partition:
    """The decider of one partition of a log, and where it stands.

    Attributes:
        next_offset: the first offset of the events not folded yet.
        fold: the decider, and what it has seen.
        refused: lines sent to the dead letters since the start of this process.
    """

    def __init__(self, log: EventLog, number: int = 0) -> None:
        """Load the state as the last checkpoint left it; nothing is folded yet."""
        self.number = number
        self.refused = 0
        position = log.position(self.reader)
        self.decided_offset = -1 if position is None else int(orjson.loads(position)["offset"])
        empty = Decider(Rules(jails=()), partition=number, tracking=True)
        self.fold = Fold(empty, partitions=log.partitions)
        self.next_offset = 0
        self._load(log)

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
        """Whether a checkpoint would write anything."""
        return bool(self.decider.touched)

    def decide(self, messages: Iterable[Message]) -> list[Append]:
        """Fold messages; what has to be written because of them, none for what was decided before."""
        appends: list[Append] = []
        for message in messages:
            decisions, frame = self.fold.take(message)
            self.next_offset = message.offset + 1
            if message.offset > self.decided_offset:
                appends += self._letters(message, frame)
                appends += self._outcome(decisions)
        return appends

    def position(self) -> dict[str, bytes]:
        """The position to be committed along with what `decide` gave."""
        self.decided_offset = max(self.decided_offset, self.next_offset - 1)
        return {self.reader: orjson.dumps({"offset": self.decided_offset})}

    def checkpoint(self) -> list[Append]:
        """The state as it is now, as messages: the whole, and the buckets that have changed."""
        buckets = dump_buckets(self.decider, self.decider.touched)
        self.decider.touched.clear()
        whole = dump_whole(self.decider, self.next_offset - 1, self.fold.marks)
        return [
            Append(STATE.name, value, key=key, partition=self.number)
            for key, value in (*buckets.items(), (WHOLE, whole))
        ]

    def _load(self, log: EventLog) -> None:
        buckets: list[bytes] = []
        whole = None
        for message in log.latest(STATE.name, self.number):
            if message.key == WHOLE:
                whole = message.value
            else:
                buckets.append(message.value)
        if whole is None:
            self.next_offset = log.begin(EVENTS.name, self.number)
            return
        self.fold.decider, offset, self.fold.marks = load_whole(whole, self.number)
        for value in buckets:
            load_bucket(self.decider, value)
        self.decider.resume()
        self.next_offset = offset + 1

    def _outcome(self, decisions: list[Decision]) -> list[Append]:
        if not decisions:
            return []
        last = {decision.prefix: decision for decision in decisions}
        appends = [Append(DECISIONS.name, encode_frame(decisions), partition=self.number)]
        for prefix, decision in last.items():
            standing = self.decider.standing(prefix, decision)
            appends.append(Append(BANS.name, b"" if standing is None else encode(standing), key=prefix))
        return appends

    def _letters(self, message: Message, frame: Frame) -> list[Append]:
        if not frame.refused:
            return []
        self.refused += len(frame.refused)
        lines = message.value.split(b"\n")
        letters = [self._letter(message, index, lines[index], error) for index, error in frame.refused]
        return [Append(DEADLETTERS.name, encode_frame(letters))]

    def _letter(self, message: Message, index: int, line: bytes, error: InvalidMessage) -> DeadLetter:
        return DeadLetter(
            topic=EVENTS.name,
            partition=self.number,
            offset=message.offset,
            index=index,
            reason=str(error),
            at_ms=message.at_ms,
            line=line[:LINE_BYTES].decode("utf-8", "backslashreplace"),
        )
