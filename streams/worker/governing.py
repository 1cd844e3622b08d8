"""Which rules are in force, before a worker begins: those pushed last, or on a new log this host's own."""

from __future__ import annotations

from eventlog.contract import Append, EventLog
from schemas.codec import encode
from schemas.errors import LogError
from schemas.records import RulesChanged
from schemas.topics import EVENTS, RULES
from streams.rules import Rules

WRITER = "rules"


def put_in_force(log: EventLog, rules: Rules, now_ms: int) -> str:
    """The version of the rules in force; on a log that has none, these are put in force first.

    Of workers that do so at once one comes first: the others are fenced, or find its rules.
    """
    while (version := _in_force(log)) is None:
        writer = log.writer(WRITER)
        try:
            if _in_force(log) is None:
                writer.commit(_changes(log, rules, now_ms), {})
        except LogError:
            if _in_force(log) is None:
                raise
        finally:
            writer.close()
    return version


def _in_force(log: EventLog) -> str | None:
    newest = None
    for message in log.latest(RULES.name):
        newest = message.key
    return newest


def _changes(log: EventLog, rules: Rules, now_ms: int) -> list[Append]:
    record = encode(RulesChanged(version=rules.version, at_ms=now_ms, rules=rules.to_wire()))
    appends = [Append(EVENTS.name, record, partition=number) for number in range(log.partitions)]
    return [*appends, Append(RULES.name, record, key=rules.version)]
