"""Folding events in tests: short ways to say who failed when, and an oracle that counts the plain way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from eventlog.contract import Message
from schemas.deciding import OrderStep
from schemas.records import (
    AuthEvent,
    Ban,
    Decision,
    Tick,
    Unban,
)
from schemas.rules import Jail, Rules
from schemas.topics import COMMANDS
from streams.decider import Decider
from streams.fold import Fold
from streams.order import TOLD
from streams.routes import route_to
from streams.runs import Run
from streams.state import dump_buckets, dump_whole, load_bucket, load_whole
from streams.window import reference, reference_of

T0 = 1_700_000_000_000
SECOND = 1_000
MINUTE = 60_000
ALICE, BOB, SIX = "192.0.2.1", "192.0.2.2", "2001:db8::1"


def rules(**jail: object) -> Rules:
    """Rules with one jail `sshd`: 3 failures within 10 minutes ban for 20; `jail` changes its fields."""
    fields: dict[str, object] = {
        "name": "sshd",
        "filters": ("sshd",),
        "maxretry": 3,
        "findtime_ms": 10 * MINUTE,
        "bantime_ms": 20 * MINUTE,
        **jail,
    }
    return Rules(jails=(Jail(**fields),))  # type: ignore[arg-type]


def failure(ip: str, at_ms: int, position: int, **fields: object) -> AuthEvent:
    """A failed login, seen at once, at a position of its source; `fields` are put over what is usual."""
    usual: dict[str, object] = {
        "kind": "failed",
        "at_ms": at_ms,
        "seen_at_ms": at_ms,
        "filter": "sshd",
        "filter_version": "0",
        "ip": ip,
        "source": "file:/var/log/auth.log",
        "incarnation": "0",
        "position": position,
        "line": f"Failed password for root from {ip} port 22 ssh2",
        **fields,
    }
    return AuthEvent(**usual)  # type: ignore[arg-type]


def failed(ip: str, at_s: float, kind: str = "failed") -> tuple[str, int, str]:
    """A failure of an address, `at_s` seconds after T0."""
    return kind, T0 + int(at_s * SECOND), ip


def fold(
    decider: Decider,
    events: Iterable[tuple[str, int, str]],
    *,
    frame: int = 7,
    country: str | None = None,
    asked: tuple[int, str] | None = None,
) -> list[Decision]:
    """Fold events in frames of this many, from the offset after the last; the decisions.

    `country`: from where they are. `asked`: for how many requests each stands, and the path.
    """
    more = () if asked is None else (0, None, None, *asked)
    route = "sshd"
    if decider.routes.selective:
        route = route_to("sshd", "", None, whereabouts=decider.routes.regions.of(country, None))
    rows = list(events)
    decisions: list[Decision] = []
    first = reference_of(decider._reference)[0] + 1 if decider._reference >= 0 else 0  # noqa: SLF001 - a test's way to go on after what it folded before
    for offset, start in enumerate(range(0, len(rows), frame), first):
        part = [
            (kind, at_ms, ip, index, *more)
            for index, (kind, at_ms, ip) in enumerate(rows[start : start + frame])
        ]
        decisions += decider.fold(Run(reference(offset), route, part), lambda index: f"line {index}")
    return decisions


def restarted(decider: Decider, checkpoint: dict[str, bytes] | None = None) -> Decider:
    """The same decider after a restart; `checkpoint`: the buckets saved before, which this changes."""
    saved = {} if checkpoint is None else checkpoint
    loaded, _, _ = load_whole(dump_whole(decider, {}, {}), 0)
    saved |= dump_buckets(decider, decider.touched)
    for bucket in filter(None, saved.values()):
        load_bucket(loaded, bucket)
    loaded.resume()
    loaded._reference = decider._reference  # noqa: SLF001 - where it stood is kept beside it
    return loaded


def tick(decider: Decider, at_ms: int) -> list[Decision]:
    """Let time pass, from the next place on; the decisions."""
    return decider.apply(decider._reference + 1, Tick(at_ms=at_ms))  # noqa: SLF001 - a test's way to go on


def folded_in_order(
    fold: Fold,
    told: Iterable[OrderStep],
    events: Iterable[Message],
    commands: Iterable[Message],
    others: Mapping[str, Iterable[Message]] = MappingProxyType({}),
) -> list[Decision]:
    """What a plain fold of a partition's inputs in the order told decides: an oracle.

    `others`: by topic, what other partitions told it.
    """
    waiting, orders = deque(events), {COMMANDS.name: deque(commands)}
    orders |= {topic: deque(messages) for topic, messages in others.items()}
    decided: list[Decision] = []
    for step in told:
        while waiting and waiting[0].offset <= step.events:
            decided += fold.take(waiting.popleft())[0]
        for topic, left in orders.items():
            last = getattr(step, TOLD[topic])
            while last is not None and left and left[0].offset <= last:
                decided += fold.obey(topic, left.popleft())[0]
        if step.at_ms is not None:
            decided += fold.pass_time(step.at_ms)
    assert not any(orders.values()), "something that no step tells of"
    for message in waiting:
        decided += fold.take(message)[0]
    return decided


def bans(decisions: Iterable[Decision]) -> list[tuple[str, int, int | None]]:
    """Whom, from when, until when; in seconds after T0."""
    return [
        (
            each.prefix,
            (each.at_ms - T0) // SECOND,
            None if each.until_ms is None else (each.until_ms - T0) // SECOND,
        )
        for each in decisions
        if isinstance(each, Ban)
    ]


def unbans(decisions: Iterable[Decision]) -> list[tuple[str, int, str]]:
    """Whom, when in seconds after T0, and why."""
    return [
        (each.prefix, (each.at_ms - T0) // SECOND, each.reason)
        for each in decisions
        if isinstance(each, Unban)
    ]


@dataclass
class Oracle:
    """What one jail decides about events in order of time, counted the plain way: lists, no cleverness."""

    maxretry: int
    findtime_ms: int
    bantime_ms: int

    def bans(self, events: Iterable[tuple[str, int, str]]) -> list[tuple[str, int]]:
        """(prefix, at_ms) of every ban, in order."""
        found: list[tuple[str, int]] = []
        times: dict[str, list[int]] = {}
        until: dict[str, int] = {}
        for kind, at_ms, ip in events:
            if kind != "failed" or at_ms < until.get(ip, at_ms):
                continue
            mine = times.setdefault(ip, [])
            mine.append(at_ms)
            recent = [each for each in mine if at_ms - each <= self.findtime_ms]
            if len(recent) >= self.maxretry:
                found.append((ip, at_ms))
                until[ip] = at_ms + self.bantime_ms
                times[ip] = []
        return found
