"""What one partition has folded and not committed yet: when it is due, and when there is no room for more.

A decision is due at once, a position COMMIT_S after its message, a checkpoint of the state now and then. Far
behind the end of the log nothing is urgent: then a decision waits as a position does, for the next ones, and
a checkpoint for CHECKPOINT_EVENTS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from eventlog.contract import Append, Message
from schemas.topics import COMMANDS, DECISIONS, EVENTS
from streams.order import Again
from streams.partition import Partition

COMMIT_S: Final = 0.2
"""A position is committed at least so often while messages come; a decision at once."""
MOST_MESSAGES: Final = 16
MOST_TOLD: Final = 16 * MOST_MESSAGES
"""They are small, and to read them from the log takes longer than to fold them."""
MOST_BYTES: Final = 16 * 1024 * 1024
CHECKPOINT_S: Final = 5.0
CHECKPOINT_EVENTS: Final = 1_000_000
"""A restart has to fold so many again at most, which takes some ten seconds."""
CHECKPOINT_BYTES_PER_S: Final = 250_000
"""What checkpoints write on average at most, but for one each CHECKPOINT_EVENTS: a large state is written
seldom."""
NEVER: Final = float("inf")


@dataclass(slots=True)
class BatchTally:
    """What one owner has done since it was made.

    Attributes:
        events, decisions, refused: folded, made, and sent to the dead letters; what was not committed before
            a failure counts twice.
        commits: transactions.
        committed_at: the instant of the last one; None before the first.
    """

    events: int = 0
    decisions: int = 0
    refused: int = 0
    commits: int = 0
    committed_at: float | None = None


class Batch:
    """A partition, and the messages folded since the last commit began.

    Attributes:
        partition: the decider and where it stands; a new one whenever the state is taken from the log.
        tally: what was done.
    """

    def __init__(self, number: int, partitions: int) -> None:
        """Of partition `number` of `partitions`."""
        self.partition = Partition(number, partitions=partitions)
        self.tally = BatchTally()
        self._partitions = partitions
        self._folded = False
        self._appends: list[Append] = []
        self._messages = self._heard = self._bytes = 0
        self._due_at = NEVER
        self._checkpoint_at = 0.0
        self._checkpoint_events = 0
        self._urgent = True

    @property
    def full(self) -> bool:
        """Whether no more events are taken: before a commit, or before the first rules."""
        return self._full or not self.partition.takes_events

    def holds(self, topic: str) -> bool:
        """Whether no more messages of a topic are taken; what partitions tell each other has more room."""
        if topic == EVENTS.name:
            return self.full
        return self._heard >= MOST_TOLD or self._bytes >= MOST_BYTES or not self.partition.takes_events

    @property
    def wake_at(self) -> float:
        """When something will be due."""
        return min(self._due_at, self._checkpoint_at if self._urgent and self.partition.dirty else NEVER)

    def next_offset(self, topic: str) -> int:
        """The first offset of an input that is not folded."""
        return self.partition.next_offsets[topic]

    def restore(self, state: Mapping[str, bytes], begins: Mapping[str, int], end: int) -> Again:
        """Forget everything, and take over what is in the log; what is to be folded again."""
        self._take()
        self._checkpoint_events = 0
        passed_over = self.partition.passed_over
        self.partition = Partition(self.partition.number, partitions=self._partitions, begins=begins)
        self.partition.passed_over = passed_over
        return self.partition.restore(state, begins, end)

    def opened(self, now: float) -> None:
        """Messages come from now on; the first checkpoint has time."""
        self._checkpoint_at = now if self.partition.passed_over else now + CHECKPOINT_S

    def fold(self, message: Message, now: float, *, urgent: bool) -> None:
        """Fold a message of the events, unless it was seen before.

        `urgent`: it is a new one, not one of many that wait.
        """
        partition, tally = self.partition, self.tally
        if message.offset < partition.next_offset:
            return
        self._urgent = urgent
        events, refused = partition.fold.events, partition.refused
        appends = partition.decide((message,))
        tally.events += partition.fold.events - events
        tally.refused += partition.refused - refused
        self._messages += 1
        self._bytes += len(message.value)
        self._keep(appends, now if urgent and (appends or partition.decider.sends) else now + COMMIT_S)

    def obey(self, message: Message, now: float) -> None:
        """Fold a message of the commands, unless it was seen before; nothing waits for more."""
        if message.offset >= self.partition.next_offsets[COMMANDS.name]:
            self._keep(self._told(COMMANDS.name, message), now)

    def hear(self, topic: str, message: Message, now: float) -> None:
        """Fold what another partition tells, unless it was seen before."""
        if message.offset >= self.partition.next_offsets[topic]:
            waiting = self.partition.decider.sends
            appends = self._told(topic, message)
            self._heard += 1
            self._bytes += len(message.value)
            answered = bool(appends) or self.partition.decider.sends > waiting
            self._keep(appends, now if answered else now + COMMIT_S)

    def pass_time(self, at_ms: int, now: float) -> None:
        """End the bans whose time has come by an instant."""
        appends = self.partition.pass_time(at_ms)
        if self.partition.untold:
            self._keep(appends, now)

    def due(self, now: float, *, last: bool = False) -> bool:
        """Whether to commit now; `last`: whatever there is."""
        if self._folded and (last or now >= self._due_at or self._full):
            return True
        return self._checkpoint_due(now, last=last)

    def take(self, now: float, *, last: bool = False) -> tuple[Append, ...]:
        """What is to be committed, the position last; the batch is empty then."""
        appends = self.partition.sealed([*self.partition.tell(), *self._take(), *self.partition.post()])
        if self._checkpoint_due(now, last=last):
            appends += self._checkpoint(now)
        return (*appends, self.partition.position_message())

    @property
    def _full(self) -> bool:
        return self._messages >= MOST_MESSAGES or self._heard >= MOST_TOLD or self._bytes >= MOST_BYTES

    def _keep(self, appends: list[Append], due_at: float) -> None:
        for append in appends:
            if append.topic == DECISIONS.name:
                self.tally.decisions += append.value.count(b"\n") + 1
        self._appends += appends
        self._folded = True
        self._due_at = min(self._due_at, due_at)

    def _told(self, topic: str, message: Message) -> list[Append]:
        refused = self.partition.refused
        appends = self.partition.obey(topic, (message,))
        self.tally.refused += self.partition.refused - refused
        return appends

    def _take(self) -> list[Append]:
        appends, self._appends = self._appends, []
        self._folded = False
        self._messages = self._heard = self._bytes = 0
        self._due_at = NEVER
        return appends

    def _checkpoint_due(self, now: float, *, last: bool) -> bool:
        events = self.partition.fold.events - self._checkpoint_events
        return self.partition.dirty and (
            last or events >= CHECKPOINT_EVENTS or (self._urgent and now >= self._checkpoint_at)
        )

    def _checkpoint(self, now: float) -> list[Append]:
        appends = self.partition.checkpoint()
        size = sum(len(append.value) for append in appends)
        self._checkpoint_events = self.partition.fold.events
        self._checkpoint_at = now + max(CHECKPOINT_S, size / CHECKPOINT_BYTES_PER_S)
        return appends
