"""Sinks go on where they were when a log is laid out anew over several partitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest

from banstream.migration import Migration
from banstream.reading import records
from banstream.sinks_moving import SinksMoving
from eventlog.contract import EventLog
from eventlog.memory import MemoryLog
from eventlog.sqlite import SqliteLog
from schemas.records import Ban, Command, Enforcement
from schemas.topics import COMMANDS, DECISIONS, ENFORCEMENTS, EVENTS
from sinks.contract import TAKEN, Reception, Sending, SinkAnswer
from sinks.selection import Selection
from streams.embedded import EmbeddedDecider
from tests.sinks.following import AT_MS, LOG, Following, put
from tests.streams.folding import failure, rules

EVERYTHING = Selection(what=("events", "decisions", "enforcements", "commands"))
ATTACKERS = [f"203.0.113.{number}" for number in range(1, 9)]
POSITIONS = count()


def happen(log: EventLog, net: str) -> None:
    """Addresses fail until they are banned, firewalls obey, an operator speaks."""
    attackers = [f"{net}.{number}" for number in range(1, 9)]
    decider = EmbeddedDecider(log, now_ms=lambda: AT_MS)
    decider.govern(rules())
    for nth in range(3):
        put(log, EVENTS, *(failure(ip, AT_MS + nth, next(POSITIONS)) for ip in attackers))
    put(log, COMMANDS, Command(id=net, verb="ban", prefix=f"{net}.99", at_ms=AT_MS, who="root"))
    decider.catch_up()
    decider.close()
    for each in records(log, DECISIONS.name):
        if isinstance(ban := each.record, Ban) and ban.prefix.startswith(net):
            done = Enforcement(
                decision=ban.id, prefix=ban.prefix, verb="ban", host="w", backend="null", outcome="applied",
                at_ms=AT_MS,
            )  # fmt: skip
            put(log, ENFORCEMENTS, done)


def told(body: bytes) -> tuple[Any, ...]:
    """What an item tells, whatever it is called in a log."""
    wire = orjson.loads(body)
    names = ("type", "ip", "prefix", "at_ms", "source", "position", "verb", "outcome", "who")
    return tuple(wire.get(name) for name in names)


@pytest.mark.parametrize("partitions", [1, 4])
def test_what_a_sink_has_sent_is_not_sent_again_and_the_rest_is(tmp_path: Path, partitions: int) -> None:
    """One that was stopped in the middle of a page, too; decisions have other ids in the new log."""
    with closing(SqliteLog.open(tmp_path / "log.db", now_ms=lambda: AT_MS)) as old:
        before = Following(old, selection=EVERYTHING)
        happen(old, "203.0.113")
        before.turn(runner := before.made())
        runner.stop()
        happen(old, "198.51.100")

        def every_second(batch: Sequence[Sending]) -> Sequence[SinkAnswer]:
            return [TAKEN if nth % 2 else SinkAnswer(Reception.AGAIN, "later") for nth in range(len(batch))]

        before.receiver.replies.append(every_second)
        (runner := before.made()).turn()
        runner.stop()
        happen(old, "192.0.2")
        new = MemoryLog(partitions, now_ms=lambda: AT_MS)
        migration = Migration(old, new)
        migration.run()
        moving = SinksMoving(old, new, migration.moving, LOG)
        assert moving.keep(old.positions()) == ["test"]
        assert moving.keep(old.positions()) == []
    after = Following(new, selection=EVERYTHING)
    after.turn(runner := after.made())
    sent = Counter(map(told, [*before.receiver.taken, *after.receiver.taken]))
    kinds = Counter(key[0] for key in sent)
    assert (kinds["auth"], kinds["ban"], kinds["enforcement"], kinds["command"]) == (72, 27, 27, 3)
    assert {key: times for key, times in sent.items() if times > 1 and key[0] != "rules"} == {}
    assert len(before.receiver.taken) > 60
