"""One partition of a log, decided: messages in, one commit out. What the hosts of the decider share.

The state in memory runs ahead of the log until the next commit, which holds all that follows from what was
folded: first in which order that was (streams.order), then decisions, the bans they change, dead letters, the
position, and now and then the state (a checkpoint). After a crash the last checkpoint is loaded, and what was
decided since is folded again in that order: it yields nothing, as it is in the log already. What was folded
and not committed is as if it had never been.

A partition without rules takes no events: they wait, and are decided under its first ones.

Where the position is kept is the host's choice: `load` has it from the log's positions, a worker keeps it
among the state under the key POSITION.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final, Self

import orjson

from eventlog.contract import Append, EventLog, Message
from schemas.behaviours import Alert
from schemas.codec import encode, lines_of
from schemas.errors import InvalidMessage, LogError
from schemas.records import LINE_CHARACTERS, DeadLetter, Decision
from schemas.rules import Rules
from schemas.topics import BANS, COMMANDS, DEADLETTERS, DECISIONS, EVENTS, STATE
from streams import lists
from streams.barrier import PassedOver, Unfoldable
from streams.chain import Chains
from streams.decider import Decider
from streams.floods import Floods
from streams.fold import Fold
from streams.hosts import Hosts
from streams.inputs import Frame, refused_whole
from streams.messages import packed, posted
from streams.order import INPUTS, TOLD, Again, Goal, Steps, digest_of, digest_of_time, read_again
from streams.state import WHOLE, dump_buckets, dump_whole, load_bucket, load_whole

POSITION: Final = "position"
FoldCall = Callable[[Message], tuple[list[Decision], Frame]]
Hear = Callable[[list[Decision | Alert]], None]
UNRULED: Final = Rules(jails=())
MOST_SHOWN: Final = 5
"""Of the senders whose messages are put aside so many are named."""
LAST_MESSAGES: Final = 8
"""A worker's commit ends with its position; behind it stands the end of the transaction."""


class Partition:
    """The decider of one partition of a log, and where it stands.

    Attributes:
        next_offsets: by input, the first offset that is not folded yet.
        decisions_from: the first offset of the decisions at which a step may stand that is not folded.
        digest: of all inputs folded, in order.
        fold: the decider, and what it has seen.
        refused: lines sent to the dead letters since the start of this process.
        passed_over: messages that cannot be folded.
        chains: over what was decided and obeyed.
        hear: is given new decisions as they are made, before they are committed.
    """

    def __init__(
        self,
        number: int = 0,
        *,
        partitions: int = 1,
        begins: Mapping[str, int] | None = None,
        shared: bool = True,
    ) -> None:
        """An empty state of partition `number` of `partitions`.

        Args:
            number: the partition's.
            partitions: how many the log has.
            begins: the oldest offset, by input.
            shared: others than this machine write the log.
        """
        self.number = number
        self.refused = 0
        self.digest = 0
        self.decisions_from = 0
        self.next_offsets = dict.fromkeys(INPUTS, 0) | dict(begins or {})
        decider = Decider(UNRULED, partition=number, tracking=True)
        self.fold = Fold(decider, partitions=partitions, shared=shared)
        self.passed_over = PassedOver()
        self.hear: Hear | None = None
        self.chains = Chains()
        self._steps = Steps()
        self._passed_ms = -1
        self._begin = self.next_offset
        self._again = False
        self._saved = self._place()

    @classmethod
    def load(cls, log: EventLog, number: int = 0, passed_over: PassedOver | None = None) -> Self:
        """The state of this machine's own log, as it was at the last commit.

        LogError where the log is not what was decided from.

        `passed_over`: what else is to be passed over. Raises Unfoldable where more is.
        """
        begins = {topic: log.begin(topic, number) for topic in INPUTS}
        partition = cls(number, partitions=log.partitions, begins=begins, shared=False)
        partition.passed_over = passed_over or PassedOver()
        state = {message.key or "": message.value for message in log.latest(STATE.name, number)}
        position = log.position(partition.reader)
        state = state if position is None else {**state, POSITION: position}
        again = partition.restore(state, begins, log.end(EVENTS.name, number))
        read_again(log, number, again)
        partition.resumed(again)
        return partition

    def restore(self, state: Mapping[str, bytes], begins: Mapping[str, int], end: int) -> Again:
        """Take over what checkpoints wrote, by key, and the position; then fold again, and call `resumed`.

        Args:
            state: by key; a whole is in every checkpoint.
            begins: the oldest offset kept, by input.
            end: the end of the events: in a log of before, up to there commands may stand among them.

        Raises:
            LogError: the log is not what was decided from.
        """
        whole: dict[str, Any] = {}
        if WHOLE in state:
            decider, whole, self.fold.marks = load_whole(state[WHOLE], self.number, state)
            self.fold.govern(decider)
            for key, value in state.items():
                if key not in {WHOLE, POSITION} and not key.startswith(lists.KEY):
                    load_bucket(self.decider, value)
            self.decider.resume()
            self.fold.hosts = Hosts.load(whole.get("hosts", {}), require=self.decider.rules.require_enrolled)
            self.fold.floods = Floods(whole.get("floods", ()))
            self.next_offsets[EVENTS.name] = whole["offset"] + 1
            self.next_offsets |= {topic: whole.get(name, -1) + 1 for topic, name in TOLD.items()}
            self.digest = whole.get("digest", 0)
            self.decisions_from = whole.get("decisions", 0)
            self._steps = Steps(whole.get("steps", 0))
        position: dict[str, Any] = orjson.loads(state[POSITION]) if POSITION in state else {}
        for each in (whole, position):
            self.passed_over.load(each.get("passed_over", ()))
        known = [each["authority"] for each in (position, whole) if "authority" in each]
        self.fold.authority_from = known[0] if known else end if whole or position else 0
        self.chains = Chains.load(position.get("chains", {}))
        self._saved = self._place()
        self._again = True
        steps = max(position.get("steps", 0), self._steps.count)
        events = max(position.get("offset", -1), self.next_offsets[EVENTS.name] - 1)
        if (whole or position) and end <= events:
            raise LogError(
                f"partition {self.number}: the events end at {end}, and were decided up to {events}: the log "
                "lost its end, or is another's. Put the backup back"
            )
        self._begin = begins[EVENTS.name]
        kept = self._begin <= (self.next_offset if whole else 0)
        compared = kept and (events, steps) == (position.get("offset"), position.get("steps"))
        goal = Goal(events, steps, position["digest"] if compared else None)
        return Again(
            self, goal, self._steps.count, {**self.next_offsets, DECISIONS.name: self.decisions_from}
        )

    def resumed(self, again: Again) -> None:
        """What was decided is folded again: what comes from now on is new. LogError where it differs."""
        goal = again.goal
        if goal.digest is not None and goal.digest != self.digest:
            raise LogError(
                f"partition {self.number}: the log is not what was decided from: its events and commands up "
                f"to offset {goal.events} are others, or stand in another order. It was changed, or mixed "
                "with another log; put the backup back"
            )
        self.next_offsets[EVENTS.name] = max(goal.events + 1, self.next_offset, self._begin)
        self._steps = Steps(goal.steps)
        self._again = False
        self.decider.take_sent()  # it is in the log

    @property
    def decider(self) -> Decider:
        """The decider itself."""
        return self.fold.decider

    @property
    def reader(self) -> str:
        """The name under which the log keeps this partition's position."""
        return reader_of(self.number)

    @property
    def next_offset(self) -> int:
        """The first offset of the events that is not folded."""
        return self.next_offsets[EVENTS.name]

    @property
    def takes_events(self) -> bool:
        """Whether there are rules to decide events under."""
        return self.decider.version != UNRULED.version or self.next_offset < self.fold.authority_from

    @property
    def dirty(self) -> bool:
        """Whether anything was folded since the last checkpoint: rules and commands change the state, too."""
        return self._place() != self._saved

    @property
    def untold(self) -> bool:
        """Whether there is a step, or something for other partitions, that no commit has told yet."""
        return bool(self._steps) or self.decider.sends

    def aside(self) -> dict[str, int]:
        """The senders whose messages are put aside, as of what was folded last, and until when at least."""
        aside = self.fold.floods.aside(self.decider.log_ms)
        return {str(sender): until_ms for sender, until_ms in islice(aside, MOST_SHOWN)}

    def decide(self, messages: Iterable[Message]) -> list[Append]:
        """Fold messages of the events; what has to be written because of them. Raises Unfoldable."""
        appends: list[Append] = []
        for message in messages:
            appends += self._folded(EVENTS.name, message, *self._taken(EVENTS.name, message, self.fold.take))
        return appends

    def obey(self, topic: str, messages: Iterable[Message]) -> list[Append]:
        """Fold messages of another input; what has to be written because of them, but for the step.

        Raises Unfoldable.
        """
        appends: list[Append] = []
        for message in messages:
            appends += self._folded(
                topic, message, *self._taken(topic, message, partial(self.fold.obey, topic))
            )
            if not self._again:
                self._steps.obeyed(self.next_offset - 1, topic, message.offset)
        return appends

    def pass_time(self, at_ms: int) -> list[Append]:
        """Let time pass, where a ban's end is due; what has to be written for it, but for the step.

        What becomes due at an instant that has passed already ends at the next: an instant names decisions,
        so each passes once.
        """
        end_ms = self.decider.next_expiry_ms()
        if not self._again and (end_ms is None or end_ms > at_ms or at_ms == self._passed_ms):
            return []
        self._passed_ms = at_ms
        decisions = self.fold.pass_time(at_ms)
        self.digest = digest_of_time(self.digest, at_ms)
        if self._again:
            return []
        self._steps.passed(self.next_offset - 1, at_ms)
        return self._outcome(decisions)

    def tell(self) -> list[Append]:
        """What comes first in the commit: the steps taken since the last one, if there were any."""
        return self._steps.take(self.number)

    def sealed(self, appends: list[Append]) -> list[Append]:
        """All of a commit, with what vouches for the last ones where that is due. Before its position."""
        return self.chains.sealed(appends, self.number)

    def post(self) -> list[Append]:
        """What the commit has for other partitions; it is told then."""
        return list(posted(self.decider.take_sent()))

    def told(self, offset: int) -> None:
        """The last message of the decisions that a commit wrote stands at this offset."""
        self.decisions_from = offset + 1

    def position(self) -> dict[str, bytes]:
        """The position to be committed along with what was folded."""
        return {self.reader: self._position()}

    def position_message(self) -> Append:
        """The position as a message among the state."""
        return Append(STATE.name, self._position(), key=POSITION, partition=self.number)

    def checkpoint(self) -> list[Append]:
        """The state as it is now, as messages: the whole, and the buckets that have changed."""
        buckets = dump_buckets(self.decider, self.decider.touched)
        self.decider.touched.clear()
        self._saved = self._place()
        self.passed_over.forget(self.next_offsets)
        place = {
            **self._saved,
            "decisions": self.decisions_from,
            "hosts": self.fold.hosts.dump(),
            "floods": self.fold.floods.dump(),
            "passed_over": self.passed_over.dump(),
        }
        whole = dump_whole(self.decider, place, self.fold.marks)
        return [
            Append(STATE.name, value, key=key, partition=self.number)
            for key, value in (*buckets.items(), *self.decider.lists.unsaved(), (WHOLE, whole))
        ]

    def _place(self) -> dict[str, int]:
        return {
            "offset": self.next_offset - 1,
            **self._told(),
            "steps": self._steps.count,
            "digest": self.digest,
            "authority": self.fold.authority_from,
        }

    def _told(self) -> dict[str, int]:
        """Up to where each input besides events is folded; of users only where there was anything."""
        last = {name: self.next_offsets[topic] - 1 for topic, name in TOLD.items()}
        return {name: offset for name, offset in last.items() if offset >= 0 or name == "commands"}

    def _position(self) -> bytes:
        position = {
            **self._place(),
            "chains": self.chains.dump(),
            **({"aside": aside} if (aside := self.aside()) else {}),
            **({"passed_over": passed_over} if (passed_over := self.passed_over.dump()) else {}),
        }
        return orjson.dumps(position)

    def _taken(self, topic: str, message: Message, fold: FoldCall) -> tuple[list[Decision], Frame]:
        reason = self.passed_over.reason(topic, message.offset)
        if reason is not None:
            return [], refused_whole(reason)
        try:
            return fold(message)
        except Exception as error:
            raise Unfoldable(topic, self.number, message.offset, error) from error

    def _folded(self, topic: str, message: Message, decisions: list[Decision], frame: Frame) -> list[Append]:
        self.next_offsets[topic] = message.offset + 1
        self.digest = digest_of(self.digest, topic, message)
        if self._again:
            return []
        if topic == COMMANDS.name:
            self.chains.obeyed(message)
        return [*self._letters(topic, message, frame), *self._outcome(decisions)]

    def _outcome(self, decisions: list[Decision]) -> list[Append]:
        alerts = self.decider.alerts()
        if not decisions and not alerts:
            return []
        if self.hear is not None:
            self.hear([*decisions, *alerts])
        last = {decision.prefix: decision for decision in decisions if not decision.shadow}
        appends = packed(DECISIONS.name, [*decisions, *alerts], self.number)
        for prefix, decision in last.items():
            standing = self.decider.standing(prefix, decision)
            appends.append(Append(BANS.name, b"" if standing is None else encode(standing), key=prefix))
        return appends

    def _letters(self, topic: str, message: Message, frame: Frame) -> list[Append]:
        if not frame.refused:
            return []
        self.refused += len(frame.refused)
        # Whatever is one line is its own: a frame that was refused as a whole is not taken apart here either.
        lines = lines_of(message.value) if len(frame.lines) > 1 else [message.value]
        letters = [self._letter(topic, message, index, lines[index], error) for index, error in frame.refused]
        return packed(DEADLETTERS.name, letters, 0)

    def _letter(
        self, topic: str, message: Message, index: int, line: bytes, error: InvalidMessage
    ) -> DeadLetter:
        return DeadLetter(
            topic=topic,
            partition=self.number,
            offset=message.offset,
            index=index,
            reason=str(error),
            at_ms=message.at_ms,
            line=line[:LINE_CHARACTERS].decode("utf-8", "backslashreplace"),
        )


def reader_of(number: int) -> str:
    """The name under which a machine's own log keeps a partition's position."""
    return f"decider/{number}"


def position_of(log: EventLog, number: int) -> dict[str, Any]:
    """How far a partition is decided, wherever its host keeps that; empty where it is not."""
    state = {message.key: message.value for message in log.latest(STATE.name, number)}
    values = (log.position(reader_of(number)), state.get(POSITION), state.get(WHOLE))
    found: list[dict[str, Any]] = [orjson.loads(value) for value in values if value is not None]
    return max(found, key=lambda each: (each["offset"], each.get("steps", 0)), default={})


def newest_position(log: EventLog, number: int) -> dict[str, Any]:
    """How far a fleet's partition is decided, from the end of its state alone; empty where it is not."""
    end = log.end(STATE.name, number)
    found = log.read(STATE.name, number, max(log.begin(STATE.name, number), end - LAST_MESSAGES))
    values = [message.value for message in found if message.key == POSITION]
    position: dict[str, Any] = orjson.loads(values[-1]) if values else {}
    return position


def is_own(log: EventLog, number: int) -> bool:
    """Whether a partition is of a machine's own log: its decider alone keeps its position there."""
    return log.position(reader_of(number)) is not None
