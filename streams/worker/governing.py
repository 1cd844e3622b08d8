"""Which rules are in force in a fleet: those pushed last; on a new log the first worker's own.

Which they are is settled in one place, the newest record of the rules topic: of two that push at once the
older is fenced. Then each partition is told by a RulesChanged among its commands; what it decides from there
on, it decides under them, and so does any replay. Who is killed in between has settled it: whoever comes
next, a worker or another push, tells the partitions that have not heard.
"""

from __future__ import annotations

from logging import getLogger

from eventlog.contract import Append, EventLog, Message
from schemas.codec import decode, encode
from schemas.errors import Fenced, InvalidMessage, LogError, Transient
from schemas.records import RulesChanged
from schemas.rules import Rules
from schemas.topics import COMMANDS, RULES

WRITER = "rules"
PAGE = 256

logger = getLogger("banstream.streams")


def put_in_force(log: EventLog, rules: Rules, now_ms: int) -> str:
    """The version of the rules in force; on a log that has none, these are put in force first.

    Of workers that do so at once one comes first: the others are fenced, or find its rules.

    Raises:
        Transient: another worker is about to, or was killed at it: look again later, rather than fence it.
        LogError: nothing was written.
    """
    while (version := in_force(log)) is None:
        try:
            _settle(log, rules, now_ms)
        except Fenced as error:
            if in_force(log) is None:
                raise Transient("another worker is putting rules in force") from error
    try:
        tell(log)
    except LogError as error:  # in a secured cluster it is the operator's
        logger.warning(
            "Not every partition knows of the rules in force; `banstream rules push` tells them reason=%s",
            error,
        )
    return version


def push(log: EventLog, rules: Rules, now_ms: int, who: str | None = None) -> bool:
    """Put rules in force from here on; False when they are already, and nothing was written.

    `who`: the operator.

    Raises:
        Fenced: another push came at the same moment.
        LogError, Transient: not every partition may know of it yet; whoever comes next tells the others.
    """
    changed = in_force(log) != rules.version
    if changed:
        _settle(log, rules, now_ms, who, over=True)
    return tell(log) or changed


def tell(log: EventLog) -> bool:
    """Tell the partitions of the rules in force that have not heard of them; whether there were any.

    Raises LogError where this version cannot read the rules in force.
    """
    told = False
    while (newest := _newest(log)) is not None:
        try:
            version = decode(newest.value).version  # type: ignore[union-attr]  # what is none raises, too
        except (InvalidMessage, AttributeError) as error:
            raise LogError(
                f"the rules in force, {newest.key}, cannot be read by this version: {error}"
            ) from error
        behind = [number for number in range(log.partitions) if _heard(log, number) != version]
        if not behind:
            break
        log.append([Append(COMMANDS.name, newest.value, partition=number) for number in behind])
        told = True
    return told


def in_force(log: EventLog) -> str | None:
    """The version of the rules in force; None on a log that never had any."""
    newest = _newest(log)
    return None if newest is None else newest.key


def _settle(log: EventLog, rules: Rules, now_ms: int, who: str | None = None, *, over: bool = False) -> None:
    """Make these the rules in force; `over`: over others. Raises Fenced where another does so, too."""
    record = encode(RulesChanged(version=rules.version, at_ms=now_ms, rules=rules.to_wire(), who=who))
    writer = log.writer(WRITER)
    try:
        if over or in_force(log) is None:
            writer.commit([Append(RULES.name, record, key=rules.version)], {})
    finally:
        writer.close()


def _newest(log: EventLog) -> Message | None:
    newest = None
    for message in log.latest(RULES.name):
        newest = message
    return newest


def _heard(log: EventLog, number: int) -> str | None:
    """The version of the rules that a partition was told last."""
    version, offset = None, log.begin(COMMANDS.name, number)
    while messages := log.read(COMMANDS.name, number, offset, limit=PAGE):
        for message in messages:
            try:
                record = decode(message.value)
            except InvalidMessage:
                continue
            if isinstance(record, RulesChanged):
                version = record.version
        offset = messages[-1].offset + 1
    return version
