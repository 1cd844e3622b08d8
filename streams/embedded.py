"""The decider in one process with everything else: it follows the inputs in an embedded log and commits."""

from __future__ import annotations

from collections.abc import Callable
from logging import getLogger
from time import perf_counter

from eventlog.contract import Append, EventLog, Message
from schemas.codec import encode
from schemas.records import RulesChanged
from schemas.rules import Rules
from schemas.topics import COMMANDS, DECISIONS, EVENTS, RULES, SUBJECTS, VERDICTS
from streams.barrier import PassedOver, Unfoldable
from streams.partition import Hear, Partition
from streams.status import DeciderStatus

MESSAGES_A_POLL = 16
CHECKPOINT_MS = 5_000
CHECKPOINT_EVENTS = 200_000
CHECKPOINT_SHARE = 20
"""Checkpoints take at most this part of the time: one twentieth."""


logger = getLogger("banstream.streams")


class EmbeddedDecider:
    """All partitions of a log, decided in turn.

    `poll` folds what has come and commits what follows from it. A commit that fails with Transient is kept
    and tried again before anything else is folded, so nothing is lost and nothing is decided twice.
    """

    def __init__(self, log: EventLog, *, now_ms: Callable[[], int], hear: Hear | None = None) -> None:
        """Take up what is in the log; `hear` is given new decisions as they are made."""
        self._log = log
        self._now_ms = now_ms
        self._hear = hear
        self._writer = log.writer("decider")
        self._of_others = (SUBJECTS.name, VERDICTS.name) if log.partitions > 1 else ()
        self.partitions = [self._loaded(number) for number in range(log.partitions)]
        self._pending: tuple[Partition, list[Append], dict[str, bytes]] | None = None
        self._checkpoint_at_ms = now_ms() + CHECKPOINT_MS
        self._events_at_checkpoint = 0
        self._behind = False

    def govern(self, rules: Rules) -> None:
        """Make these the rules in force from here on, unless they are already; `catch_up` first."""
        now_ms, version = self._now_ms(), rules.version
        behind = [each for each in self.partitions if each.decider.version != version]
        if not behind:
            return
        record = encode(RulesChanged(version=version, at_ms=now_ms, rules=rules.to_wire()))
        appends = [Append(COMMANDS.name, record, partition=each.number) for each in behind]
        appends += [Append(RULES.name, record, key=version)]
        self._log.append(appends)

    def catch_up(self) -> None:
        """Fold everything that is in the log."""
        while self.poll():
            pass

    def poll(self) -> bool:
        """Fold what has come and commit what follows; whether there is more at once. Raises Transient."""
        self._flush()
        more = behind = False
        for partition in tuple(self.partitions):
            commands = self._read(COMMANDS.name, partition)
            try:
                appends = partition.obey(COMMANDS.name, commands)
                first = len(commands) < MESSAGES_A_POLL and partition.takes_events
                told = [(topic, self._read(topic, partition)) for topic in self._of_others if first]
                for topic, messages in told:
                    appends += partition.obey(topic, messages)
                events = self._read(EVENTS.name, partition) if first else []
                appends += partition.decide(events)
            except Unfoldable as error:
                self.partitions[partition.number] = self._loaded(
                    partition.number, error, partition.passed_over
                )
                more = True
                continue
            more = more or bool(commands or events) or any(messages for _, messages in told)
            behind = behind or bool(events)
            if appends or partition.untold:
                whole = partition.sealed([*partition.tell(), *appends, *partition.post()])
                self._commit(partition, whole, partition.position())
        self._behind = behind
        if self._checkpoint_due():
            self.checkpoint()
        return more

    def tick(self) -> None:
        """End the bans whose time has come; while events wait, time passes with them. Raises Transient."""
        self._flush()
        if self._behind:
            return
        now_ms = self._now_ms()
        for partition in self.partitions:
            appends = partition.pass_time(now_ms)
            if partition.untold:
                whole = partition.sealed([*partition.tell(), *appends, *partition.post()])
                self._commit(partition, whole, partition.position())

    def next_expiry_ms(self) -> int | None:
        """When the next ban ends, or None."""
        return min(filter(None, (each.decider.next_expiry_ms() for each in self.partitions)), default=None)

    def offsets(self) -> dict[tuple[str, int], int]:
        """By topic and partition, the first offset that is not folded yet: for who waits for more."""
        return {
            (topic, each.number): offset
            for each in self.partitions
            for topic, offset in each.next_offsets.items()
            if topic == COMMANDS.name or (each.takes_events and topic in {EVENTS.name, *self._of_others})
        }

    def digests(self) -> list[dict[str, str]]:
        """By partition, the digests of the lists in force, by name."""
        return [
            {name: each.digest for name, each in partition.decider.lists.in_force.items()}
            for partition in self.partitions
        ]

    def status(self) -> DeciderStatus:
        """How it is now, over all partitions."""
        jails: dict[str, dict[str, int]] = {}
        for partition in self.partitions:
            for name, jail in partition.decider.jails.items():
                total = jails.setdefault(name, {})
                for noun, count in jail.counts().items():
                    total[noun] = total.get(noun, 0) + count
                if (baseline := partition.decider.baselines.get(name)) is not None:
                    total["alerts"] = total.get("alerts", 0) + baseline.alerts
                    total["unusual"] = total.get("unusual", 0) + len(baseline.left)
        return DeciderStatus(
            jails=jails,
            next_offsets=tuple(each.next_offset for each in self.partitions),
            next_commands=tuple(each.next_offsets[COMMANDS.name] for each in self.partitions),
            events=self._events(),
            sent_again=sum(each.fold.sent_again for each in self.partitions),
            refused=sum(each.refused for each in self.partitions),
            stepped_back=sum(each.fold.witness.stepped_back for each in self.partitions),
        )

    def checkpoint(self) -> None:
        """Write the state, so that a restart has little to fold again. Raises Transient."""
        self._flush()
        started = perf_counter()
        for partition in self.partitions:
            if partition.dirty:
                self._commit(partition, partition.checkpoint(), {})
        self._events_at_checkpoint = self._events()
        cost_ms = int((perf_counter() - started) * 1_000)
        self._checkpoint_at_ms = self._now_ms() + max(CHECKPOINT_MS, CHECKPOINT_SHARE * cost_ms)

    def close(self) -> None:
        """Write the state and let go."""
        self.checkpoint()
        self._writer.close()

    def _checkpoint_due(self) -> bool:
        grown = self._events() - self._events_at_checkpoint >= CHECKPOINT_EVENTS
        return grown or self._now_ms() >= self._checkpoint_at_ms

    def _events(self) -> int:
        return sum(each.fold.events for each in self.partitions)

    def _loaded(
        self, number: int, error: Unfoldable | None = None, passed_over: PassedOver | None = None
    ) -> Partition:
        """A partition as the log has it; whatever cannot be folded is passed over."""
        passed_over = passed_over or PassedOver()
        while True:
            if error is not None:
                logger.error("A message cannot be folded, and is passed over reason=%s", error)
                passed_over.add(error.topic, error.offset, error.reason)
            try:
                loaded = Partition.load(self._log, number, passed_over)
            except Unfoldable as another:
                error = another
            else:
                loaded.hear = self._hear
                return loaded

    def _read(self, topic: str, partition: Partition) -> list[Message]:
        offset = partition.next_offsets[topic]
        return self._log.read(topic, partition.number, offset, limit=MESSAGES_A_POLL)

    def _commit(self, partition: Partition, appends: list[Append], positions: dict[str, bytes]) -> None:
        self._pending = partition, appends, positions
        self._flush()

    def _flush(self) -> None:
        if self._pending is None:
            return
        partition, appends, positions = self._pending
        offsets = self._writer.commit(appends, positions)
        self._pending = None
        for append, offset in zip(appends, offsets, strict=True):
            if append.topic == DECISIONS.name:
                partition.told(offset)
