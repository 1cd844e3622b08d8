"""Which rules are in force in a fleet: those pushed last; on a new log the first worker's own.

Rules change for all partitions at once, in one transaction: a RulesChanged among the events of each, and the
text by its version. What a partition decides from there on, it decides under them, and so does any replay.
"""

from __future__ import annotations

from eventlog.contract import Append, EventLog
from schemas.codec import encode
from schemas.errors import Fenced, Transient
from schemas.records import RulesChanged
from schemas.rules import Rules
from schemas.topics import EVENTS, RULES

WRITER = "rules"


def put_in_force(log: EventLog, rules: Rules, now_ms: int) -> str:
    """The version of the rules in force; on a log that has none, these are put in force first.

    Of workers that do so at once one comes first: the others are fenced, or find its rules.

    Raises:
        Transient: another worker is about to, or was killed at it: look again later, rather than fence it.
        LogError: nothing was written.
    """
    while (version := in_force(log)) is None:
        writer = log.writer(WRITER)
        try:
            if in_force(log) is None:
                writer.commit(_changes(log, rules, now_ms), {})
        except Fenced as error:
            if in_force(log) is None:
                raise Transient("another worker is putting rules in force") from error
        finally:
            writer.close()
    return version


def push(log: EventLog, rules: Rules, now_ms: int) -> bool:
    """Put rules in force from here on; False when they are already, and nothing was written.

    Raises:
        Fenced: another push came at the same moment.
        LogError, Transient: nothing was written.
    """
    writer = log.writer(WRITER)
    try:
        if in_force(log) == rules.version:
            return False
        writer.commit(_changes(log, rules, now_ms), {})
    finally:
        writer.close()
    return True


def in_force(log: EventLog) -> str | None:
    """The version of the rules in force; None on a log that never had any."""
    newest = None
    for message in log.latest(RULES.name):
        newest = message.key
    return newest


def _changes(log: EventLog, rules: Rules, now_ms: int) -> list[Append]:
    record = encode(RulesChanged(version=rules.version, at_ms=now_ms, rules=rules.to_wire()))
    appends = [Append(EVENTS.name, record, partition=number) for number in range(log.partitions)]
    return [*appends, Append(RULES.name, record, key=rules.version)]
