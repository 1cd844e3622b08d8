"""What `explain` finds of decisions: each with all that belongs to it, from the lines to the packets.

Newest first, and bounded: whoever was banned ten thousand times is told of the last few, and how many there
are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

from banstream.backwards import pages_back
from banstream.enrolled import Vouchers
from banstream.looking import Look
from banstream.reading import at, cause_of, records
from eventlog.contract import EventLog, Message
from eventlog.index import Index, read_at
from eventlog.subjects import about, span_of
from schemas.codec import to_wire
from schemas.deciding import OrderStep
from schemas.records import (
    Ban,
    Decision,
    Enforcement,
    Prolong,
    Record,
    RulesChanged,
    Unban,
)
from schemas.topics import DECISIONS, ENFORCEMENTS, EVENTS, RULES
from streams import verdicts
from streams.fold import TOPICS
from streams.hosts import Hosts
from streams.order import TOLD, steps_of

MOST_MESSAGES: Final = 2_000
"""So many messages of the decisions are looked at, and of enforcements."""
STEP_MESSAGES: Final = 4_096
"""So far before a decision its commit's steps are looked for."""


@dataclass(frozen=True, slots=True)
class Told:
    """A decision, and where the log has it; at_ms None where that is not known."""

    decision: Decision
    partition: int = 0
    offset: int = -1
    index: int = 0
    at_ms: int | None = None

    @property
    def order(self) -> tuple[int, int, int, int]:
        """By what the decisions of several partitions are put in order."""
        return self.at_ms or 0, self.partition, self.offset, self.index


class Decided(NamedTuple):
    """The decisions about somebody.

    Attributes:
        told: newest first.
        whole: these are all that the log has.
    """

    told: list[Told]
    whole: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """One decision with all that belongs to it.

    Attributes:
        evidence: the events that decided it, with their places; None where one is no longer kept.
        cause: the input that caused it: a line's event, or a command; None where it was time.
        step: where that took effect between the events; None where an event caused it.
        jail: its jail's rules, as they were then; None where they are no longer known.
        enforcements: what enforcers say they did, and whether the host that is named has signed it; None on a
            log of this machine's own, where nobody else could have written it.
    """

    decision: Decision
    evidence: list[tuple[str, Record | None]]
    cause: Record | None
    step: OrderStep | None
    jail: dict[str, Any] | None
    enforcements: list[tuple[Enforcement, bool | None]]

    @property
    def expired(self) -> bool:
        """Whether it is the end of a ban whose time was over."""
        return isinstance(self.decision, Unban) and self.decision.reason == "expired"

    @property
    def refusals(self) -> list[Enforcement]:
        """What became of it on each host that does not hold to it, going by that host's last word."""
        last = {each.host: each for each, signed in self.enforcements if signed is not False}
        return [each for each in last.values() if each.outcome != "applied"]

    def to_wire(self) -> dict[str, Any]:
        """The chain as a JSON object."""
        return {
            "decision": to_wire(self.decision),
            "evidence": [
                {"place": place, "event": to_wire(event) if event else None} for place, event in self.evidence
            ],
            "cause": to_wire(self.cause) if self.cause else None,
            "after_event": self.step.events if self.step else None,
            "jail": self.jail,
            "enforcements": [
                to_wire(each) | ({} if signed is None else {"signed": signed})
                for each, signed in self.enforcements
            ],
        }


def decided_about(look: Look, subjects: Collection[str]) -> Decided:
    """The decisions about prefixes, or the one of an id, MOST_MESSAGES of each partition at most."""
    wanted, topic = frozenset(subjects), DECISIONS.name
    told: list[Told] = []
    whole = True
    for number in range(look.log.partitions):
        newest = look.index.messages((topic, number), [span_of(subject) for subject in wanted])
        for message in islice(newest, MOST_MESSAGES):
            told += _told(message, wanted)
        whole = whole and next(newest, None) is None
    return Decided(sorted(told, key=lambda each: each.order, reverse=True), whole)


def decisions_about(log: EventLog, subject: str) -> list[Decision]:
    """The decisions about a prefix, or the one of an id, oldest first, by looking through the whole log."""
    with closing(Index(log)) as index:
        found = decided_about(Look(log, index), [subject]).told
    return [each.decision for each in reversed(found)]


def chain_of(log: EventLog, decision: Decision, hosts: Hosts | None = None) -> Chain:
    """All that the log knows about a decision; `hosts`: those enrolled in a fleet."""
    with closing(Index(log)) as index:
        look = Look(log, index)
        known = [each for each in decided_about(look, [decision.id]).told if each.decision.id == decision.id]
        (chain,) = chains_of(look, known[:1] or [Told(decision)], hosts)
    return chain


def chains_of(look: Look, told: Sequence[Told], hosts: Hosts | None = None) -> list[Chain]:
    """All that the log knows about decisions; `hosts`: those enrolled in a fleet."""
    enforced = _enforced(look, told, hosts)
    jails: dict[tuple[str, str], dict[str, Any] | None] = {}
    return [_chain(look, each, enforced, jails) for each in told]


def _chain(
    look: Look,
    told: Told,
    enforced: Mapping[tuple[str, str], list[tuple[Enforcement, bool | None]]],
    jails: dict[tuple[str, str], dict[str, Any] | None],
) -> Chain:
    decision, log = told.decision, look.log
    jail = None
    if isinstance(decision, Ban):
        key = decision.rules, decision.jail
        if key not in jails:
            jails[key] = _jail(log, *key)
        jail = jails[key]
    places = decision.evidence if isinstance(decision, Ban) else ()
    timely = isinstance(decision, Unban) and decision.reason == "expired"
    return Chain(
        decision=decision,
        evidence=[(place, at(log, EVENTS.name, place)) for place in places],
        cause=None if timely else cause_of(log, decision.id),
        step=_step(log, told),
        jail=jail,
        enforcements=enforced.get(_enforcing(decision), []),
    )


def _told(message: Message, wanted: frozenset[str]) -> Iterator[Told]:
    for each in about(DECISIONS.name, message, wanted.__contains__):
        record = each.record
        if isinstance(record, Ban | Unban | Prolong) and (record.prefix in wanted or record.id in wanted):
            yield Told(record, each.partition, each.offset, each.index, message.at_ms)


def _enforcing(decision: Decision) -> tuple[str, str]:
    """By what an enforcer names what it did about a decision, and how."""
    return (decision.ban, "unban") if isinstance(decision, Unban) else (decision.id, "ban")


def _enforced(
    look: Look, told: Sequence[Told], hosts: Hosts | None
) -> dict[tuple[str, str], list[tuple[Enforcement, bool | None]]]:
    """What enforcers say they did about decisions, and whether the host that each names has signed it."""
    found: dict[tuple[str, str], list[tuple[Enforcement, bool | None]]] = {}
    for record, signed, _ in enforcements_of(look, told, hosts):
        found.setdefault((record.decision, record.verb), []).append((record, signed))
    return found


def enforcements_of(
    look: Look, told: Sequence[Told], hosts: Hosts | None
) -> Iterator[tuple[Enforcement, bool | None, str]]:
    """The same, one after the other, each with its place."""
    vouchers = None if hosts is None else Vouchers(hosts)
    wanted = {_enforcing(each.decision) for each in told}
    decisions = {decision for decision, _ in wanted}
    for message in _enforcements(look, decisions):
        of_message = [
            (each.record, f"{each.partition}-{each.offset}-{each.index}")
            for each in about(ENFORCEMENTS.name, message, decisions.__contains__)
            if isinstance(each.record, Enforcement) and (each.record.decision, each.record.verb) in wanted
        ]
        signer = vouchers.signer(message) if of_message and vouchers is not None else None
        for record, place in of_message:
            yield record, None if vouchers is None else signer == record.host, place


def _enforcements(look: Look, decisions: Iterable[str]) -> Iterator[Message]:
    """The messages in which these are told to be enforced, in order."""
    spans = [span_of(decision) for decision in decisions]
    for number in range(look.log.partitions):
        place = (ENFORCEMENTS.name, number)
        newest = islice(look.index.offsets(place, spans), MOST_MESSAGES)
        yield from read_at(look.log, place, list(newest)[::-1])


def _jail(log: EventLog, version: str, name: str) -> dict[str, Any] | None:
    for each in records(log, RULES.name, containing=f'"version":"{version}"'.encode()):
        if isinstance(each.record, RulesChanged):
            return next((jail for jail in each.record.rules["jails"] if jail["name"] == name), None)
    return None


def _step(log: EventLog, told: Told) -> OrderStep | None:
    """Where the cause of a decision took effect between the events; None where it is one of them."""
    _, cause, *_ = told.decision.id.split("-")
    kind = cause[:1]
    if kind not in {verdicts.TIME, *TOPICS} or told.at_ms is None:
        return None
    place = DECISIONS.name, told.partition
    begin = max(0, told.offset - STEP_MESSAGES)
    for message in pages_back(log, place, begin, told.offset):
        for step in steps_of(message):
            if _reaches(step, kind, int(cause[1:])):
                return step
    return None


def _reaches(step: OrderStep, kind: str, place: int) -> bool:
    if kind == verdicts.TIME:
        return step.at_ms == place
    offset: int | None = getattr(step, TOLD[TOPICS[kind]])
    return offset is not None and offset >= place
