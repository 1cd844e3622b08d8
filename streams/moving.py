"""A log of one partition laid out anew over several, so that decisions go on as if nothing had moved.

What concerns one address goes where that address belongs, what concerns all goes to every partition, and a
place is carried along wherever it is written: in decisions and their identities, in the bans, in the state.

| record | goes to |
|---|---|
| an event | the partition of its address |
| a command about one network | that network's partition |
| a wider command, rules; a tick of before | every partition |
| what could not be read | partition 0 |
| the steps of a commit | every partition |
| a decision, a subject of the state | the partition of its prefix |

Order is kept within each partition. Partition 0 begins with as many empty ticks as the old log had dropped
messages: so no new decision ever gets the identity of an old one, and to one partition every place stays
the same, byte for byte. Readers' marks and the clock of the decider go to every partition: it has seen all of
it. A record is changed as the JSON object that it is, so that what it holds beyond its fields stays where it
stands. Only unbans that fall due afterwards may be caused by another input than they would have been.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

import orjson

from eventlog.contract import Append, EventLog, Message
from schemas.codec import AuthLine, dump_line, encode, frame_of, lines_of, load_line, read_events
from schemas.errors import InvalidMessage, LogError
from schemas.records import AuthEvent, Command, ListChanged, RulesChanged, Tick
from schemas.topics import (
    BANS,
    COMMANDS,
    DEADLETTERS,
    DECISIONS,
    ENFORCEMENTS,
    EVENTS,
    RULES,
    STATE,
    Topic,
    partition_of,
    partition_of_address,
    partition_of_user,
    spans_partitions,
)
from streams.chain import SEALED
from streams.inputs import Line
from streams.lists import KEY as LISTS
from streams.order import OBEYED
from streams.pairs import UserPairs
from streams.partition import POSITION
from streams.state import WHOLE
from streams.users import Users
from streams.verdicts import COMMAND, EVENT, TIME
from streams.window import reference, reference_of

FRAMES_REMEMBERED: Final = 4_096
PAGE: Final = 256
STEPPED: Final = {"events": EVENTS, "commands": COMMANDS}
"""The fields of a step that are offsets, and of which topic; in a single partition nobody tells another."""
FILLER: Final = encode(Tick(at_ms=0))
"""Stands where the old log had dropped a message: a tick of long ago changes nothing."""

Wire = dict[str, Any]
Homes = tuple[tuple[int, ...], ...]
"""For each line of a frame, the partitions that it goes to."""


class Moving:
    """The messages that make a log of several partitions out of one of a single partition.

    The old log must be at rest, everything in it decided. `appends` gives the messages of a topic; those of
    the inputs come first: the other topics name places among them.
    """

    ORDER: Final = (EVENTS, COMMANDS, DECISIONS, ENFORCEMENTS, DEADLETTERS, BANS, STATE, RULES)
    """Rules last: a worker that finds none would put its own in force."""

    def __init__(self, source: EventLog, partitions: int) -> None:
        """Move `source` to so many partitions. Raises LogError where it has more than one itself."""
        if source.partitions != 1:
            raise LogError(f"the log has {source.partitions} partitions; only one of a single can be moved")
        self.begin = source.begin(EVENTS.name)
        self._source = source
        self._partitions = partitions
        self._all = tuple(range(partitions))
        self._moved: dict[str, list[array[int]]] = {}
        self._decided: Counter[int] = Counter()
        self._homes_at = lru_cache(FRAMES_REMEMBERED)(self._read_homes)

    def appends(self, topic: Topic) -> Iterator[Append]:
        """The messages of one topic, in order."""
        if topic in {EVENTS, COMMANDS}:
            return self._inputs(topic)
        if topic is DECISIONS:
            return self._counted(self._plainly(topic, self._decisions))
        if topic is STATE:
            return self._state()
        changes = {
            ENFORCEMENTS: self._enforcements,
            DEADLETTERS: self._letters,
            BANS: self._standing,
        }
        return self._plainly(topic, changes.get(topic))

    def place(self, topic: Topic, offset: int, index: int, near: int) -> tuple[int, int, int]:
        """Where a line of an input is now: partition, offset, index; of one that is everywhere, `near`."""
        if self._partitions == 1 or (topic is EVENTS and offset < self.begin):
            return 0, offset, index
        homes = self._homes_at(topic, offset)
        home = homes[index] if index < len(homes) else (0,)
        partition = near if near in home else home[0]
        return (
            partition,
            self._after(topic, partition, offset - 1),
            sum(partition in each for each in homes[:index]),
        )

    def identity(self, old: str, prefix: str) -> str:
        """A decision's identity, or an event's place, as it is now; `prefix`: whom the decision is about."""
        _, cause, index, *ordinal = old.split("-")
        home = self._home(prefix)
        if cause.startswith(TIME):
            return "-".join((str(home), cause, index, *ordinal))
        topic, kind = (COMMANDS, COMMAND) if cause.startswith(COMMAND) else (EVENTS, EVENT)
        partition, offset, line = self.place(topic, int(cause.removeprefix(kind)), int(index), home)
        return "-".join((str(partition), f"{kind}{offset}", str(line), *ordinal))

    def next_at(self, topic: Topic, partition: int, offset: int) -> int:
        """Where a reader goes on in a partition that had read the old log to here, once all is given."""
        return self._after(topic, partition, offset - 1)

    def _after(self, topic: Topic, partition: int, offset: int) -> int:
        """How many messages a partition has now of those up to an old offset: the next one's offset."""
        first = self.begin if topic is EVENTS and partition == 0 else 0
        return first + bisect_right(self._moved[topic.name][partition], offset)

    def _plainly(
        self, topic: Topic, change: Callable[[Message], Iterator[Append]] | None
    ) -> Iterator[Append]:
        moved = self._moved[topic.name] = [array("Q") for _ in self._all]
        for each in self._source.latest(topic.name) if topic.compacted else self._messages(topic):
            whole = [Append(topic.name, each.value, each.key)]
            for append in whole if change is None or self._partitions == 1 else change(each):
                moved[append.partition].append(each.offset)
                yield append

    def _counted(self, appends: Iterator[Append]) -> Iterator[Append]:
        self._decided = Counter()
        for append in appends:
            self._decided[append.partition] += 1
            yield append

    def _messages(self, topic: Topic) -> Iterator[Message]:
        offset = self._source.begin(topic.name)
        while page := self._source.read(topic.name, 0, offset, limit=PAGE):
            yield from page
            offset = page[-1].offset + 1

    def _home(self, prefix: str) -> int:
        return partition_of(prefix, self._partitions)

    def _homes(self, value: bytes) -> Homes:
        try:
            return tuple(map(self._home_of, read_events(value)))
        except InvalidMessage:  # too large to be taken apart
            return ((0,),)

    def _home_of(self, line: Line) -> tuple[int, ...]:
        match line:
            case AuthLine() | AuthEvent():
                return (partition_of_address(line.ip, self._partitions),)
            case Command(prefix=str(prefix)) if not spans_partitions(prefix):
                return (self._home(prefix),)
            case Command() | Tick() | RulesChanged() | ListChanged():
                return self._all
            case _:
                return (0,)

    def _read_homes(self, topic: Topic, offset: int) -> Homes:
        for message in self._source.read(topic.name, 0, offset, limit=1):
            if message.offset == offset:
                return self._homes(message.value)
        return ()

    def _inputs(self, topic: Topic) -> Iterator[Append]:
        moved = self._moved[topic.name] = [array("Q") for _ in self._all]
        for _ in range(self._source.begin(topic.name)):
            yield Append(topic.name, FILLER)
        for message in self._messages(topic):
            if self._partitions == 1:
                moved[0].append(message.offset)
                yield Append(topic.name, message.value, message.key)
                continue
            homes = self._homes(message.value)
            lines = lines_of(message.value) if len(homes) > 1 else [message.value]
            for partition in sorted({each for home in homes for each in home}):
                mine = [line for line, home in zip(lines, homes, strict=True) if partition in home]
                moved[partition].append(message.offset)
                yield Append(topic.name, frame_of(mine), message.key, partition)

    def _decisions(self, message: Message) -> Iterator[Append]:
        if message.value.startswith(OBEYED):
            yield from self._steps(load_line(message.value))
            return
        if message.value.startswith(SEALED):  # what it vouches for is written anew
            return
        by_partition: dict[int, list[bytes]] = {}
        for line in lines_of(message.value):
            wire = load_line(line)
            if "prefix" not in wire:  # an alert is about nobody
                by_partition.setdefault(0, []).append(line)
                continue
            prefix = wire["prefix"]
            for key in wire.keys() & {"id", "ban"}:
                wire[key] = self.identity(wire[key], prefix)
            if "evidence" in wire:
                wire["evidence"] = [self.identity(place, prefix) for place in wire["evidence"]]
            by_partition.setdefault(self._home(prefix), []).append(dump_line(wire))
        for partition, lines in by_partition.items():
            yield Append(DECISIONS.name, frame_of(lines), message.key, partition)

    def _steps(self, wire: Wire) -> Iterator[Append]:
        for partition in self._all:
            steps = [
                {
                    name: self._after(STEPPED[name], partition, value) - 1 if name in STEPPED else value
                    for name, value in step.items()
                }
                for step in wire["steps"]
            ]
            yield Append(DECISIONS.name, dump_line({**wire, "steps": steps}), partition=partition)

    def _enforcements(self, message: Message) -> Iterator[Append]:
        yield self._changed(ENFORCEMENTS, message, self._change_enforcement)

    def _letters(self, message: Message) -> Iterator[Append]:
        yield self._changed(DEADLETTERS, message, self._change_letter)

    def _standing(self, message: Message) -> Iterator[Append]:
        yield self._changed(BANS, message, self._change_standing)

    def _changed(self, topic: Topic, message: Message, change: Callable[[Wire], None]) -> Append:
        lines = []
        for line in lines_of(message.value):
            wire = load_line(line)
            change(wire)
            lines.append(dump_line(wire))
        return Append(topic.name, frame_of(lines), message.key)

    def _change_enforcement(self, wire: Wire) -> None:
        if wire.get("decision"):  # a heartbeat is of none
            wire["decision"] = self.identity(wire["decision"], wire["prefix"])

    def _change_letter(self, wire: Wire) -> None:
        topic = {each.name: each for each in (EVENTS, COMMANDS)}.get(wire["topic"])
        if topic is not None:
            place = self.place(topic, wire["offset"], wire["index"], 0)
            wire["partition"], wire["offset"], wire["index"] = place

    def _change_standing(self, wire: Wire) -> None:
        wire["decision"] = self.identity(wire["decision"], wire["prefix"])
        for hold in wire["holds"]:
            hold["ban"] = self.identity(hold["ban"], wire["prefix"])

    def _state(self) -> Iterator[Append]:
        """Every partition's state: the subjects that are its own, and of the rest all there is."""
        for message in self._source.latest(STATE.name):
            key = message.key or ""
            if key == WHOLE:
                shares = self._wholes(orjson.loads(message.value))
            elif key == POSITION:
                continue
            elif key.startswith(LISTS):
                shares = dict.fromkeys(self._all, message.value)
            elif self._partitions == 1:
                shares = {0: message.value}
            else:
                shares = self._buckets(orjson.loads(message.value))
            for partition, value in shares.items():
                yield Append(STATE.name, value, key, partition)

    def _wholes(self, whole: Wire) -> dict[int, bytes]:
        for name, topic in (("offset", EVENTS), ("commands", COMMANDS)):
            end = self._source.end(topic.name)
            if whole.get(name, -1) != end - 1:
                raise LogError(
                    f"the log is not at rest: decided up to {whole.get(name, -1)} of {topic.name}, "
                    f"which goes to {end - 1}"
                )
        none = {name: [0] * len(counts) for name, counts in whole["jails"].items()}
        authority = whole.get("authority", whole["offset"] + 1)
        return {  # what was counted ever is counted once: in partition 0
            partition: orjson.dumps(
                {
                    **whole,
                    "offset": self._after(EVENTS, partition, whole["offset"]) - 1,
                    "commands": self._after(COMMANDS, partition, whole.get("commands", -1)) - 1,
                    "authority": self._after(EVENTS, partition, authority - 1),
                    "decisions": self._decided[partition],
                    **({"jails": none} if partition else {}),
                }
            )
            for partition in self._all
        }

    def _buckets(self, bucket: dict[str, dict[str, dict[str, list[Any]]]]) -> dict[int, bytes]:
        shares: dict[int, dict[str, Any]] = {}
        for jail, shapes in bucket.items():
            for shape, subjects in shapes.items():
                for subject, facts in subjects.items():
                    home = self._counted_in(shape, subject)
                    mine = shares.setdefault(home, {}).setdefault(jail, {}).setdefault(shape, {})
                    mine[subject] = self._subject(shape, subject, facts)
        return {partition: orjson.dumps(share) for partition, share in shares.items()}

    def _counted_in(self, shape: str, subject: str) -> int:
        """The partition of a subject: a user's is not an address's."""
        return partition_of_user(subject, self._partitions) if shape == Users.shape else self._home(subject)

    def _subject(self, shape: str, subject: str, facts: list[Any]) -> list[Any]:
        """A subject's part of a bucket (streams.state) with its places as they are now."""
        home, moved = self._counted_in(shape, subject), facts
        match shape:
            case "f":
                moved = self._replaced(facts, home)
            case "e":
                moved = [*facts[:-1], self._replaced(facts[-1], home)]
            case "s":
                moved = [self._replaced(failures, home) for failures in facts]
            case UserPairs.shape:
                moved = [[user, self._replaced(failures, home)] for user, failures in facts]
            case "n":
                moved = [[*self._replaced(failure, home), whom] for *failure, whom in facts]
            case "b":
                moved = [self.identity(facts[0], subject), *facts[1:]]
            case Users.shape:
                moved = [
                    self.identity(part, facts[nth + 1]) if nth % 3 == 1 else part
                    for nth, part in enumerate(facts)
                ]
        return moved

    def _replaced(self, failures: list[int], home: int) -> list[int]:
        """Failures as they are saved (streams.window.flat), with their references as they are now."""
        return [
            reference(*self.place(EVENTS, *reference_of(part), home)[1:])
            if nth % 2 and failures[nth - 1] >= 0
            else part
            for nth, part in enumerate(failures)
        ]
