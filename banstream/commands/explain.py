"""`banstream explain`: the chain from lines to packets, for a prefix or a decision."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from banstream.config import load_settings
from banstream.enrolled import Vouchers, hosts_of
from banstream.options import config_option, json_option
from banstream.reading import at, cause_of, messages, open_to_read, records, step_of
from banstream.sentences import sentence
from banstream.show import instant, json_line, printable, say
from banstream.values import prefix as read_prefix
from eventlog.contract import EventLog
from eventlog.follower import located
from eventlog.urls import is_shared
from schemas.codec import to_wire
from schemas.durations import format_duration
from schemas.records import (
    AuthEvent,
    Ban,
    Decision,
    Enforcement,
    OrderStep,
    Prolong,
    Record,
    RulesChanged,
    Unban,
)
from schemas.topics import DECISIONS, ENFORCEMENTS, EVENTS, RULES
from streams.hosts import Hosts

DECISION_ID = re.compile(r"\d+-[ct]?\d+-\d+-\d+")
MOST_EVENTS = 20


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


@click.command("explain")
@click.argument("subject", metavar="PREFIX|DECISION")
@json_option
@config_option
def explain_command(subject: str, as_json: bool, config_file: str | None) -> int:
    r"""Why was it banned, or why not: the lines, the events, the rules, the decision, the enforcement.

    \b
    banstream explain 192.0.2.7
    banstream explain 0-1234-17-0
    """
    by_id = DECISION_ID.fullmatch(subject) is not None
    if not by_id:
        try:
            subject = read_prefix(subject)
        except ValueError as error:
            raise click.UsageError(f"{subject!r}: expected {error}, or a decision's id") from error
    settings = load_settings(config_file, check="log")
    log = open_to_read(settings)
    try:
        hosts = hosts_of(log) if is_shared(settings.log_url) else None
        chains = [chain_of(log, decision, hosts) for decision in decisions_about(log, subject, by_id=by_id)]
        if chains:
            for chain in chains:
                json_line(chain.to_wire()) if as_json else show_chain(chain)
            return 0
        return _undecided(log, subject, as_json=as_json)
    finally:
        log.close()


def decisions_about(log: EventLog, subject: str, *, by_id: bool = False) -> list[Decision]:
    """The decisions about a prefix, or the one of an id, oldest first."""
    containing = f'"id":"{subject}"' if by_id else f'"prefix":"{subject}"'
    return [
        each.record
        for each in records(log, DECISIONS.name, containing=containing.encode())
        if isinstance(each.record, Ban | Unban | Prolong)
    ]


def chain_of(log: EventLog, decision: Decision, hosts: Hosts | None = None) -> Chain:
    """All that the log knows about a decision; `hosts`: those enrolled in a fleet."""
    places = decision.evidence if isinstance(decision, Ban) else ()
    jail = None
    if isinstance(decision, Ban):
        jail = _jail(log, decision.rules, decision.jail)
    enforced = decision.ban if isinstance(decision, Unban) else decision.id
    verb = "unban" if isinstance(decision, Unban) else "ban"
    return Chain(
        decision=decision,
        evidence=[(place, at(log, EVENTS.name, place)) for place in places],
        cause=cause_of(log, decision.id),
        step=step_of(log, decision.id),
        jail=jail,
        enforcements=list(_enforced(log, enforced, verb, hosts)),
    )


def _enforced(
    log: EventLog, decision: str, verb: str, hosts: Hosts | None
) -> Iterator[tuple[Enforcement, bool | None]]:
    """What enforcers say they did about a ban, and whether the host that each names has signed it."""
    vouchers = None if hosts is None else Vouchers(hosts)
    containing, topic = f'"decision":"{decision}"'.encode(), ENFORCEMENTS.name
    for partition in range(log.partitions):
        for message in messages(log, topic, partition, log.begin(topic, partition)):
            found = [each.record for each in located(topic, message, containing)]
            signer = vouchers.signer(message) if found and vouchers is not None else None
            for record in found:
                if isinstance(record, Enforcement) and record.verb == verb:
                    yield record, None if vouchers is None else signer == record.host


def _jail(log: EventLog, version: str, name: str) -> dict[str, Any] | None:
    for each in records(log, RULES.name, containing=f'"version":"{version}"'.encode()):
        if isinstance(each.record, RulesChanged):
            return next((jail for jail in each.record.rules["jails"] if jail["name"] == name), None)
    return None


def show_chain(chain: Chain) -> None:
    """Print a chain for people."""
    say(f"{sentence(chain.decision)}  (decision {chain.decision.id})")
    if chain.jail is not None and isinstance(chain.decision, Ban):
        say(
            f"  rule     {chain.jail['name']}: {chain.jail['maxretry']} failures within "
            f"{format_duration(chain.jail['findtime_ms'])} ban for "
            f"{format_duration(chain.jail['bantime_ms'])}"
            f" (rules {chain.decision.rules})"
        )
    for place, event in chain.evidence:
        if isinstance(event, AuthEvent):
            say(f"  failure  {instant(event.at_ms)}  {event.source} at {event.position}  ({place})")
            click.echo(f"           {printable(event.line)}")
        else:
            say(f"  failure  {place}: no longer in the log")
    if chain.step is not None:
        cause = "time had passed" if chain.cause is None else sentence(chain.cause)
        partition = chain.decision.id.partition("-")[0]
        before = (
            "before any event" if chain.step.events < 0 else f"after event {partition}-{chain.step.events}"
        )
        say(f"  cause    {cause}  ({before})")
    elif not chain.evidence and chain.cause is not None:
        say(f"  cause    {sentence(chain.cause)}")
    for each, signed in chain.enforcements:
        detail = f": {each.detail}" if each.detail else ""
        says = f"{each.host} {each.backend} {each.verb} {each.outcome}{detail}"
        say(f"  enforced {instant(each.at_ms)}  {says}{'  (not signed by it)' if signed is False else ''}")
    if not chain.enforcements:
        say("  enforced not (yet) acknowledged by any enforcer")


def _undecided(log: EventLog, subject: str, *, as_json: bool) -> int:
    """No decision is about it: what is known instead."""
    events = [each.record for each in records(log, EVENTS.name, containing=f'"ip":"{subject}"'.encode())]
    if as_json:
        for event in events:
            json_line({"event": to_wire(event)})
    elif events:
        say(f"No decision about {subject}. Its last events, of {len(events)}:")
        for event in events[-MOST_EVENTS:]:
            say(f"  {sentence(event)}")
    else:
        say(f"Nothing is known about {subject}: no decision, no event.")
    return 1
