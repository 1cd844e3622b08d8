"""One sink, turned: it follows the log, writes what it selects, hands it over, and keeps its place.

| what happens | what follows |
|---|---|
| a page is read | its items wait, in order; nothing more is read until all of them are settled |
| the receiver takes an item | it is counted |
| it says: later, or says nothing | those items alone are sent again, before anything else; each time later |
| it says: never | the item is a dead letter, with what was said |
| all of a page is settled | the place is kept in the log, with the dead letters, in one commit |
| it is told to stop midway | the place before the page is kept, and the ids that are settled |
| it is killed | the page is sent again, under the same ids |
| another of the same name starts, anywhere | that one goes on, this one ends |

So it holds one page and one batch, however long a receiver is away; a sink that gathers (a digest) holds what
came meanwhile, up to what one batch may hold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from logging import getLogger
from typing import Final, NamedTuple

import orjson

from eventlog.contract import Append, EventLog, Message, Place
from eventlog.follower import Edge, Follower
from schemas.errors import Transient
from schemas.topics import ENFORCEMENTS
from sinks.contract import Item, Sending, SinkAnswer, Transport, Writing
from sinks.items import Items
from sinks.pacing import Backoff, Pace
from sinks.selection import SILENT, Selection
from sinks.settling import Settled, letter, settle
from sinks.silence import Silence
from sinks.status import SinkStatus
from sinks.techniques import TechniqueOf, technique_by_name

PAGE_MESSAGES: Final = 16
"""Of each partition at once: some thousand events, where shippers fill their messages."""
KEEP_MS: Final = 250
"""While there is more, the place is kept this often: what a kill makes it send again."""
IDLE_KEEP_MS: Final = 5_000
"""As often, where it only passed over what it does not carry."""
PROVE_MS: Final = 1_000
"""Who has not kept its place for so long asks whether it may still send: a newer one may go on."""
LOOK_MS: Final = 1_000

log = getLogger("banstream")


@dataclass(frozen=True, slots=True)
class SinkPlan:
    """What a sink is to do.

    Attributes:
        to: its receiver as it may be shown.
        most: items in a batch at most; `every_ms`, `limit_per_minute`: see sinks.pacing.Pace.
        start: where it begins the first time.
        technique_of: which technique of ATT&CK an event is a sign of.
    """

    name: str
    to: str
    format: str
    selection: Selection
    write: Writing
    transport: Transport
    most: int
    every_ms: int = 0
    limit_per_minute: int | None = None
    start: Edge = "end"
    technique_of: TechniqueOf = technique_by_name


class Timing(NamedTuple):
    """Clocks and chance.

    Attributes:
        now_ms: the wall's clock; `steady_ms`: one that never goes back.
        chance: gives numbers from 0 to 1.
    """

    now_ms: Callable[[], int]
    steady_ms: Callable[[], int]
    chance: Callable[[], float]


def reader_of(name: str) -> str:
    """Under which name the log keeps the place of a sink."""
    return f"follower/sink/{name}"


def settled_reader_of(name: str) -> str:
    """Under which name it keeps the ids that a sink has settled beyond its place."""
    return f"sink/{name}/settled"


def silent_reader_of(name: str) -> str:
    """Under which name it keeps the hosts whose silence a sink has told."""
    return f"sink/{name}/silent"


class Runner:
    """Turns one sink. One thread uses it; `status` may be read by any."""

    def __init__(
        self,
        event_log: EventLog,
        plan: SinkPlan,
        items: Items,
        *,
        times: Timing,
        log: str = "",
    ) -> None:
        """Take the sink over from whoever had it: an older one ends. Raises LogError, Transient."""
        self._log = event_log
        self._plan = plan
        self._items = items
        self._now_ms, self._steady_ms, chance = times
        self._backoff = Backoff(chance)
        self._pace = Pace(plan.limit_per_minute, plan.every_ms)
        self._settled_reader = settled_reader_of(plan.name)
        self._follower = Follower(
            event_log, plan.selection.topics, name=f"sink/{plan.name}", start=plan.start
        )
        stored = event_log.position(self._settled_reader)
        self._skip: set[str] = set(orjson.loads(stored)) if stored else set()
        self._beside = bool(self._skip)
        self._follower.commit()
        self._kept: dict[Place, int] = dict(self._follower.offsets)
        self._pending: deque[Sending] = deque()
        self._settled: list[str] = []
        self._told: dict[str, int] = {}
        self._silence = self._hearing(log)
        self._letters: list[Append] = []
        self._oldest_at_ms: int | None = None
        self._kept_at_ms = self._looked_at_ms = self._steady_ms()
        self._retry_at_ms = self._kept_at_ms
        self._waiting: str | None = None
        self._lag = 0
        self._sent = self._refused = self._retries = self._missed = 0
        self.status = self._said()

    @property
    def follower(self) -> Follower:
        """What it follows the log with."""
        return self._follower

    def turn(self) -> int:
        """Do what can be done now; for how many milliseconds there is nothing to do but to wait for the log.

        0: there is more at once. Raises Fenced, LogError; a Transient is seen to.
        """
        steady_ms = self._steady_ms()
        self._look(steady_ms)
        if (left_ms := self._retry_at_ms - steady_ms) > 0:
            return left_ms
        try:
            return self._work(steady_ms)
        except Transient as error:
            return self._failed(str(error), error.retry_after_ms)

    def stop(self) -> None:
        """Keep what is settled, and let go. Raises as `turn`, and Transient."""
        try:
            if self._pending:
                self._follower.offsets = dict(self._kept)
                self._commit([*self._skip, *self._settled])
            elif self._kept != self._follower.offsets or self._letters:
                self._commit([])
        finally:
            self.status = self._said()
            self._plan.transport.close()
            self._follower.close()

    @property
    def sent(self) -> int:
        """How many items the receiver has taken, to this moment."""
        return self._sent

    @property
    def is_busy(self) -> bool:
        """Whether something is pending, so that news of the log change nothing."""
        return bool(self._pending)

    def _work(self, steady_ms: int) -> int:
        gathers = self._plan.every_ms > 0 and len(self._pending) < self._plan.most
        more = self._fill() if gathers or not self._pending else False
        if not self._pending:
            return self._rest(steady_ms, more=more)
        if pause_ms := self._pace.pause_ms(steady_ms):
            return 0 if more else pause_ms
        if steady_ms - self._kept_at_ms >= PROVE_MS:
            self._prove()
        batch = list(islice(self._pending, self._pace.room(self._plan.most)))
        answers = self._sent_batch(batch)
        self._pace.sent(len(answers), self._steady_ms())
        settled = settle(self._plan.name, batch, answers, self._now_ms())
        if not answers:
            raise Transient("it said nothing")
        for _ in answers:
            self._pending.popleft()
        self._pending.extendleft(reversed(settled.again))
        self._count(settled)
        if settled.again:
            return self._failed(settled.why, settled.after_ms)
        self._recovered()
        if not self._pending and self._steady_ms() - self._kept_at_ms >= KEEP_MS:
            self._keep()
        return 0

    def _sent_batch(self, batch: list[Sending]) -> Sequence[SinkAnswer]:
        """What a receiver says, of so many items at most. Raises Transient."""
        try:
            return tuple(self._plan.transport.send(batch))[: len(batch)]
        except Transient:
            raise
        except Exception as error:  # transports are anybody's: one that fails is tried again, and said
            raise Transient(f"its transport has failed: {type(error).__name__}: {error}") from error

    def _hearing(self, log: str) -> Silence | None:
        """Where hosts are heard of, if that is carried at all."""
        place = ENFORCEMENTS.name, 0
        selection = self._plan.selection
        if place not in self._follower.offsets or (selection.on and SILENT not in selection.on):
            return None
        stored = self._log.position(silent_reader_of(self._plan.name))
        made = Silence(log, selection, orjson.loads(stored) if stored else {})
        made.read_back(self._log, self._follower.offsets[place])
        self._told = dict(made.told)
        return made

    def _count(self, settled: Settled) -> None:
        self._settled += settled.done
        self._letters += settled.letters
        self._sent += settled.taken
        self._refused += len(settled.letters)
        if settled.letters:
            facts = (self._plan.name, len(settled.letters))
            log.error("A receiver has refused what was sent, see the dead letters name=%s count=%d", *facts)

    def _fill(self) -> bool:
        """Read a page; whether there was one."""
        before = dict(self._follower.offsets)
        page = self._follower.read(PAGE_MESSAGES)
        if page and not self._pending:
            self._oldest_at_ms = page[0][1].at_ms
        self._count_missed(before, page)
        for topic, message in page:
            if self._silence is not None:
                self._silence.hear(topic, message)
            for item in self._items.of(topic, message):
                self._add(item)
        if not page and self._silence is not None:
            for item in self._silence.items(self._now_ms()):
                self._add(item)
        return bool(page)

    def _add(self, item: Item) -> None:
        if item.id in self._skip:
            self._skip.discard(item.id)
            self._settled.append(item.id)
            return
        try:
            body = self._plan.write(item)
        except Exception as error:  # noqa: BLE001 - formats are anybody's, and one record must not end a sink
            said = f"the format {self._plan.format} cannot write it: {type(error).__name__}: {error}"
            self._letters.append(letter(self._plan.name, item, said, self._now_ms()))
            self._refused += 1
            return
        self._pending.append(Sending(item, body))

    def _rest(self, steady_ms: int, *, more: bool) -> int:
        """Nothing is pending: keep the place, at once where something was sent."""
        passed_ms = steady_ms - self._kept_at_ms
        if not more:
            self._oldest_at_ms = None
        if (self._settled or self._letters or self._skip) and (not more or passed_ms >= KEEP_MS):
            self._skip = self._skip if more else set()
            self._keep()
        elif self._kept != self._follower.offsets and passed_ms >= IDLE_KEEP_MS:
            self._keep()
        return 0 if more else LOOK_MS

    def _keep(self) -> None:
        self._commit([*self._skip])
        self._kept_at_ms = self._steady_ms()

    def _prove(self) -> None:
        """Ask the log, by keeping the same place, whether no newer one goes on. Raises Fenced."""
        ahead, self._follower.offsets = self._follower.offsets, dict(self._kept)
        try:
            self._follower.commit()
        finally:
            self._follower.offsets = ahead
        self._kept_at_ms = self._steady_ms()

    def _commit(self, settled: list[str]) -> None:
        """Keep the place, and beside it the ids that are settled after it."""
        beside = {self._settled_reader: orjson.dumps(settled)} if settled or self._beside else {}
        if self._silence is not None and not self._pending and self._told != self._silence.told:
            self._told = dict(self._silence.told)
            beside[silent_reader_of(self._plan.name)] = orjson.dumps(self._told)
        self._follower.commit(self._letters, beside)
        self._beside = bool(settled)
        self._kept = dict(self._follower.offsets)
        self._letters, self._settled = [], []

    def _count_missed(self, before: dict[Place, int], page: list[tuple[str, Message]]) -> None:
        """The log has dropped what this sink had not read: it says how much."""
        for topic, message in page:
            expected = before.pop((topic, message.partition), None)
            if expected is not None and message.offset > expected:
                missed = self._log.begin(topic, message.partition) - expected
                if missed > 0:
                    self._missed += missed
                    facts = (self._plan.name, missed)
                    log.error("The log has dropped what a sink had not sent name=%s messages=%d", *facts)

    def _failed(self, why: str, after_ms: int) -> int:
        self._retries += 1
        if self._waiting != why:
            log.error("A sink waits to send again name=%s reason=%s", self._plan.name, why)
        self._waiting = why
        wait_ms = max(1, self._backoff.failed(after_ms))
        self._retry_at_ms = self._steady_ms() + wait_ms
        self.status = self._said()
        return wait_ms

    def _recovered(self) -> None:
        self._backoff.succeeded()
        if self._waiting is not None:
            log.warning("A sink goes on name=%s", self._plan.name)
        self._waiting = None

    def _look(self, steady_ms: int) -> None:
        """Once a second, say how it is."""
        if steady_ms - self._looked_at_ms >= LOOK_MS:
            self._looked_at_ms = steady_ms
            self.status = self._said()

    def _said(self) -> SinkStatus:
        plan, oldest = self._plan, self._oldest_at_ms
        behind = oldest is not None and bool(self._pending)
        if behind:
            with suppress(Transient):
                places = self._kept.items()
                self._lag = sum(max(0, self._log.end(*place) - offset) for place, offset in places)
        return SinkStatus(
            name=plan.name,
            to=plan.to,
            format=plan.format,
            sent=self._sent,
            refused=self._refused,
            retries=self._retries,
            missed=self._missed,
            lag_messages=self._lag if behind else 0,
            lag_ms=max(0, self._now_ms() - oldest) if behind and oldest is not None else 0,
            waiting=self._waiting,
        )
