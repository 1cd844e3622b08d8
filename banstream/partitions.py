"""How far each partition of a fleet is decided, and by whom.

| its oldest message that is not decided | its worker | it is |
|---|---|---|
| none, or younger than LATE_MS | one of the group | decided |
| none, or younger | nobody, while the group shares out its partitions | joining |
| any | nobody | nobody decides |
| older | one that committed within LATE_MS | behind |
| older | any other, or who that is may not be seen | nobody decides |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson
from kafka.errors import KafkaError

from banstream.backwards import pages_back
from banstream.config import Settings
from banstream.phrases import some
from banstream.show import counted, moment
from eventlog.contract import EventLog, Message
from eventlog.kafka import clients
from eventlog.kafka.options import parse_url
from schemas.topics import EVENTS, STATE
from streams.order import TOLD
from streams.partition import LAST_MESSAGES, POSITION
from streams.worker.connection import Cluster

LATE_MS: Final = 30_000
"""Longer than a group takes to share out the partitions of a worker that is gone."""
MOST_NAMED: Final = 8
SETTLED: Final = frozenset({"Stable", "Empty", "Dead"})

PartitionState = Literal["decided", "joining", "behind", "nobody decides"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Who has which partition, as the group's coordinator knows.

    Attributes:
        of: by partition, the address of its worker.
        settled: the group is not sharing them out at this moment.
    """

    of: Mapping[int, str]
    settled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionView:
    """One partition.

    Attributes:
        number: which.
        owner: its worker's address; None where it has none, or that may not be seen.
        waiting: messages of events and commands that are not decided.
        since_ms: when the log took the oldest of them.
        committed_ms: when its position was written last; None where that never was.
    """

    number: int
    state: PartitionState
    owner: str | None
    waiting: int
    since_ms: int | None
    committed_ms: int | None

    def trouble(self, now_ms: int) -> str | None:
        """What is wrong with it."""
        if self.state in {"decided", "joining"}:
            return None
        if self.state == "behind":
            return f"{self.owner or 'its worker'} falls behind"
        if self.owner is None:
            return "nobody decides"
        last = "never" if self.committed_ms is None else f"not since {moment(self.committed_ms, now_ms)}"
        return f"nobody decides: {self.owner} has it, and committed {last}"

    def to_wire(self) -> dict[str, Any]:
        """As `status --fleet --json` has it."""
        return {
            "type": "partition",
            "partition": self.number,
            "state": self.state,
            "worker": self.owner,
            "waiting": self.waiting,
            "waiting_since_ms": self.since_ms,
            "committed_at_ms": self.committed_ms,
        }


def troubles(views: Iterable[PartitionView], now_ms: int) -> Iterator[str]:
    """What is wrong with partitions, those of one trouble together."""
    found: dict[str, list[PartitionView]] = {}
    for view in views:
        if (said := view.trouble(now_ms)) is not None:
            found.setdefault(said, []).append(view)
    for said, same in found.items():
        numbers = some([view.number for view in same], MOST_NAMED)
        waiting = sum(view.waiting for view in same)
        since_ms = min((view.since_ms for view in same if view.since_ms is not None), default=None)
        waits = f"{counted(waiting, 'message')} wait{'s' if waiting == 1 else ''}"
        since = "" if since_ms is None else f", {waits} since {moment(since_ms, now_ms)}"
        yield f"partition{'s' if len(same) > 1 else ''} {numbers}: {said}{since}"


def owners(settings: Settings) -> Owners | None:
    """Who has which partition; None where this user may not see the group. Raises ConfigError."""
    cluster = Cluster(parse_url(settings.log_url), settings.decider.application)
    try:
        with closing(clients.admin(cluster.options)) as admin:
            group = admin.describe_groups([cluster.group])[cluster.group]
    except KafkaError:
        return None
    error = str(group["error"] or "")
    if error and "GroupIdNotFound" not in error:
        return None
    topic = cluster.options.prefix + EVENTS.name
    of = {
        number: member["client_host"].lstrip("/")
        for member in group["members"]
        if isinstance(member["member_assignment"], dict)
        for each in member["member_assignment"]["assigned_partitions"]
        if each["topic"] == topic
        for number in each["partitions"]
    }
    return Owners(of=of, settled=group["group_state"] in SETTLED)


def partitions(log: EventLog, owned: Owners | None, now_ms: int) -> list[PartitionView]:
    """How each partition is. Raises Transient and LogError."""
    return [_view(log, number, owned, now_ms) for number in range(log.partitions)]


def _view(log: EventLog, number: int, owned: Owners | None, now_ms: int) -> PartitionView:
    last = _last_position(log, number)
    position: dict[str, Any] = {} if last is None else orjson.loads(last.value)
    waiting, since_ms = 0, None
    for topic, key in ((EVENTS.name, "offset"), *TOLD.items()):
        start = max(log.begin(topic, number), position.get(key, -1) + 1)
        for oldest in log.read(topic, number, start, limit=1):
            waiting += log.end(topic, number) - oldest.offset
            since_ms = oldest.at_ms if since_ms is None else min(since_ms, oldest.at_ms)
    committed_ms = None if last is None else last.at_ms
    owner = None if owned is None else owned.of.get(number)
    late = since_ms is not None and now_ms - since_ms > LATE_MS
    alive = committed_ms is not None and now_ms - committed_ms <= LATE_MS
    return PartitionView(
        number=number,
        state=_state(owner, owned, late=late, alive=alive),
        owner=owner,
        waiting=waiting,
        since_ms=since_ms,
        committed_ms=committed_ms,
    )


def _state(owner: str | None, owned: Owners | None, *, late: bool, alive: bool) -> PartitionState:
    if late:
        return "behind" if alive and (owner is not None or owned is None) else "nobody decides"
    if owner is not None or owned is None:
        return "decided"
    return "nobody decides" if owned.settled else "joining"


def _last_position(log: EventLog, number: int) -> Message | None:
    """The message that says how far a partition is decided: near the end of its state, where there is one."""
    least = max(log.begin(STATE.name, number), log.end(STATE.name, number) - LAST_MESSAGES)
    found = (each for each in pages_back(log, (STATE.name, number), least) if each.key == POSITION)
    return next(found, None)
