"""The decider in one process with everything else: it follows the events of an embedded log and commits."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from eventlog.contract import Append, EventLog
from schemas.codec import encode
from schemas.records import RulesChanged, Tick
from schemas.rules import Rules
from schemas.topics import EVENTS, RULES
from streams.partition import Partition
from streams.status import DeciderStatus

MESSAGES_A_POLL = 16
CHECKPOINT_MS = 5_000
CHECKPOINT_EVENTS = 200_000
CHECKPOINT_SHARE = 20
"""Checkpoints take at most this part of the time: one twentieth."""


class EmbeddedDecider:
    """All partitions of a log, decided in turn.

    `poll` folds what has come and commits what follows from it. A commit that fails with Transient is kept
    and tried again before anything else is folded, so nothing is lost and nothing is decided twice.
    """

    def __init__(self, log: EventLog, *, now_ms: Callable[[], int]) -> None:
        self._log = log
        self._now_ms = now_ms
        self._writer = log.writer("decider")
        self.partitions = [Partition.load(log, number) for number in range(log.partitions)]
        self._pending: tuple[list[Append], dict[str, bytes]] | None = None
        self._checkpoint_at_ms = now_ms() + CHECKPOINT_MS
        self._events_at_checkpoint = 0

    def govern(self, rules: Rules) -> None:
        """Make these the rules in force from here on, unless they are already; `catch_up` first."""
        now_ms, version = self._now_ms(), rules.version
        behind = [each for each in self.partitions if each.decider.version != version]
        if not behind:
            return
        record = encode(RulesChanged(version=version, at_ms=now_ms, rules=rules.to_wire()))
        appends = [Append(EVENTS.name, record, partition=each.number) for each in behind]
        appends += [Append(RULES.name, record, key=version)]
        self._log.append(appends)

    def catch_up(self) -> None:
        """Fold everything that is in the log."""
        while self.poll():
            pass

    def poll(self) -> bool:
        """Fold what has come and commit what follows; whether there is more at once. Raises Transient."""
        self._flush()
        more = False
        for partition in self.partitions:
            messages = self._log.read(
                EVENTS.name, partition.number, partition.next_offset, limit=MESSAGES_A_POLL
            )
            more = more or bool(messages)
            appends = partition.decide(messages)
            if appends:
                self._commit(appends, partition.position())
        if self._checkpoint_due():
            self.checkpoint()
        return more

    def tick(self) -> None:
        """Append the passing of time where a ban has come to its end."""
        now_ms = self._now_ms()
        due = [
            Append(EVENTS.name, encode(Tick(at_ms=now_ms)), partition=each.number)
            for each in self.partitions
            if (each.decider.next_expiry_ms() or now_ms + 1) <= now_ms
        ]
        if due:
            self._log.append(due)

    def next_expiry_ms(self) -> int | None:
        """When the next ban ends, or None."""
        return min(filter(None, (each.decider.next_expiry_ms() for each in self.partitions)), default=None)

    def offsets(self) -> dict[tuple[str, int], int]:
        """By topic and partition, the first offset that is not folded yet: for who waits for more."""
        return {(EVENTS.name, each.number): each.next_offset for each in self.partitions}

    def status(self) -> DeciderStatus:
        """How it is now, over all partitions."""
        jails: dict[str, dict[str, int]] = {}
        for partition in self.partitions:
            for name, jail in partition.decider.jails.items():
                total = jails.setdefault(name, {})
                for noun, count in jail.counts().items():
                    total[noun] = total.get(noun, 0) + count
        return DeciderStatus(
            jails=jails,
            next_offsets=tuple(each.next_offset for each in self.partitions),
            events=self._events(),
            sent_again=sum(each.fold.sent_again for each in self.partitions),
            refused=sum(each.refused for each in self.partitions),
        )

    def checkpoint(self) -> None:
        """Write the state, so that a restart has little to fold again."""
        started = perf_counter()
        for partition in self.partitions:
            if partition.dirty:
                self._commit(partition.checkpoint(), {})
        self._events_at_checkpoint = self._events()
        cost_ms = int((perf_counter() - started) * 1_000)
        self._checkpoint_at_ms = self._now_ms() + max(CHECKPOINT_MS, CHECKPOINT_SHARE * cost_ms)

    def close(self) -> None:
        """Write the state and let go."""
        self._flush()
        self.checkpoint()
        self._writer.close()

    def _checkpoint_due(self) -> bool:
        grown = self._events() - self._events_at_checkpoint >= CHECKPOINT_EVENTS
        return grown or self._now_ms() >= self._checkpoint_at_ms

    def _events(self) -> int:
        return sum(each.fold.events for each in self.partitions)

    def _commit(self, appends: list[Append], positions: dict[str, bytes]) -> None:
        self._pending = (appends, positions)
        self._flush()

    def _flush(self) -> None:
        if self._pending is not None:
            self._writer.commit(*self._pending)
            self._pending = None
