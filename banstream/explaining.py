"""What `explain` answers about an address or prefix: whether it is banned, by what, and else why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from banstream.chains import Chain, Decided, Told, chains_of, decided_about
from banstream.enrolled import hosts_of
from banstream.instants import now_ms
from banstream.list_bans import ListedBy
from banstream.looking import Look, events_of
from banstream.reading import heartbeat, in_force, is_up, messages
from banstream.so_far import Asked, Counted, Deciding, deciding
from banstream.why_not import Reason, WhyNot
from eventlog.contract import EventLog, Message
from eventlog.follower import Located, located
from eventlog.subjects import spans_inside
from schemas.addresses import format_prefix, parse_prefix
from schemas.codec import to_wire
from schemas.prefixes import PrefixSet
from schemas.records import AuthEvent, Ban, Command, Hold, Standing
from schemas.topics import COMMANDS, EVENTS, partition_of

MOST_EVENTS: Final = 200
"""Of somebody's events so many are looked at, the newest."""
MOST_INSIDE: Final = 1_000
CLOCK_MS: Final = 600_000
"""A log's clock may have stepped back by that."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest events about a subject, newest first; `whole`: there are no more."""

    events: list[tuple[Message, Located]]
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What is known of a subject.

    Attributes:
        subject: an address or prefix.
        standings: the bans in force of it and of what contains it; `inside`: of what lies inside it.
        decided: the decisions about it and about what contains it, newest first; `chains`: those asked for.
        seen: its events; looked for where it is not banned.
        deciding: what the decider knows of an address that is not banned.
        counted: the jails that have failures of it now; `reasons`: why others of its events do not count.
        running: whether `up` runs; None where it is not `up` that decides.
        listed: the lists of whom to ban that name it.
    """

    subject: str
    standings: list[Standing]
    inside: list[Standing]
    decided: Decided
    chains: list[Chain] = field(default_factory=list)
    seen: Seen | None = None
    deciding: Deciding | None = None
    counted: list[Counted] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    running: bool | None = None
    listed: list[ListedBy] = field(default_factory=list)

    @property
    def bans(self) -> list[Ban]:
        """The bans, newest first, but for those by jails that only observe."""
        bans = (each.decision for each in self.decided.told if isinstance(each.decision, Ban))
        return [ban for ban in bans if not ban.shadow]

    @property
    def shadow_bans(self) -> list[Ban]:
        """The bans by jails that only observe, newest first."""
        bans = (each.decision for each in self.decided.told if isinstance(each.decision, Ban))
        return [ban for ban in bans if ban.shadow]

    def holds(self) -> Iterator[tuple[Standing, Hold]]:
        """What holds it now."""
        return ((standing, hold) for standing in self.standings for hold in standing.holds)

    @property
    def known(self) -> bool:
        """Whether there is anything to say of it."""
        said = (
            self.standings or self.inside or self.decided.told or self.counted or self.reasons or self.listed
        )
        return bool(said or (self.seen and self.seen.events))

    def to_wire(self) -> dict[str, Any]:
        """What is not a chain or an event, as a JSON object."""
        deciding = self.deciding
        return {
            "subject": self.subject,
            "banned": bool(self.standings),
            "standings": list(map(to_wire, self.standings)),
            "inside": list(map(to_wire, self.inside)),
            "bans": len(self.bans),
            "bans_whole": self.decided.whole,
            "shadow_bans": len(self.shadow_bans),
            "since_ms": self.bans[-1].at_ms if self.bans else None,
            "counted": [
                {
                    "jail": each.jail.name,
                    "failures": each.failures,
                    "maxretry": each.maxretry,
                    "step": each.step,
                    "until_ms": each.until_ms,
                }
                for each in self.counted
            ],
            "why_not": [each.to_wire() for each in self.reasons],
            "undecided_messages": None if deciding is None else deciding.behind,
            "up_running": self.running,
            "listed": [each.to_wire() for each in self.listed],
        }


def explained(look: Look, subject: str, *, last: int | None, shared: bool) -> Explanation:
    """All that is known of an address or prefix; `last`: so many of the decisions (None: all)."""
    holding = containing(subject)
    decided = decided_about(look, holding)
    standings, inside = _in_force(look.log, subject, frozenset(holding))
    answer = Explanation(
        subject=subject,
        standings=standings,
        inside=inside,
        decided=decided,
        chains=_chains(look, decided.told[:last], shared=shared),
    )
    return answer if standings else _why_not(look, answer, shared=shared)


def explained_decision(look: Look, decision: str, *, shared: bool) -> Explanation:
    """The same of whom a decision is about, with the chain of that decision alone."""
    told = [each for each in decided_about(look, [decision]).told if each.decision.id == decision]
    if not told:
        return Explanation(subject=decision, standings=[], inside=[], decided=Decided([], whole=True))
    answer = explained(look, told[0].decision.prefix, last=0, shared=shared)
    return replace(answer, chains=_chains(look, told[:1], shared=shared))


def _chains(look: Look, told: Sequence[Told], *, shared: bool) -> list[Chain]:
    return chains_of(look, told, hosts_of(look.log) if shared and told else None)


def _why_not(look: Look, answer: Explanation, *, shared: bool) -> Explanation:
    """The same, with why it is not banned."""
    subject, log, now = answer.subject, look.log, now_ms()
    seen = seen_of(look, subject)
    beat = None if shared else heartbeat(log)
    running = None if shared or look.url is None else is_up(look.url, log, beat, now)
    facts: dict[str, Any] = {}
    if "/" not in subject:
        offsets = (beat or {}).get("decider", {}).get("next_offsets", [])
        number = partition_of(subject, log.partitions)
        said = None if running is False else offsets[number] if number < len(offsets) else 0
        asked = Asked(subject, now, first_ms(seen, answer.decided))
        known = deciding(look, asked, shared=shared, said=said)
        facts["deciding"] = known
        if known.trouble is None:
            why_not = WhyNot(known, now, _allower(log, known))
            newest = (each.record for _, each in seen.events if isinstance(each.record, AuthEvent))
            facts["counted"] = known.counted(now, next(newest, None))
            facts["reasons"] = why_not.reasons(reversed(seen.events)) or why_not.spared()
    return replace(answer, seen=seen, running=running, **facts)


def first_ms(seen: Seen, decided: Decided) -> int | None:
    """When the log took the first that it has of somebody, or before; None where it has nothing.

    Every event and decision changes the state of whom it is about, so that was saved after the last of them.
    """
    if not (seen.whole and decided.whole):
        return 0
    instants = [message.at_ms for message, _ in seen.events[-1:]]
    instants += [each.at_ms for each in decided.told[-1:] if each.at_ms is not None]
    return min(instants) - CLOCK_MS if instants else None


def containing(subject: str) -> list[str]:
    """A prefix and all that contain it."""
    network = parse_prefix(subject)
    return [format_prefix(network.supernet(new_prefix=length)) for length in range(network.prefixlen, -1, -1)]


def _in_force(log: EventLog, subject: str, holding: frozenset[str]) -> tuple[list[Standing], list[Standing]]:
    """The bans in force of these prefixes, and those inside a subject that is a network."""
    members = PrefixSet([subject]) if "/" in subject else None
    holds: list[Standing] = []
    inside: list[Standing] = []

    def is_wanted(key: str) -> bool:
        return key in holding or (members is not None and len(inside) < MOST_INSIDE and key in members)

    for standing in in_force(log, is_wanted):
        (holds if standing.prefix in holding else inside).append(standing)
    return holds, inside


def seen_of(look: Look, subject: str) -> Seen:
    """The newest events of a subject, or of what lies inside it."""
    wanted, spans = events_of(subject), spans_inside(subject)
    if spans is None:
        return Seen([], whole=False)
    found: list[tuple[Message, Located]] = []
    whole = True
    for number in range(look.log.partitions):
        newest = (
            (message, each)
            for message in look.index.messages((EVENTS.name, number), spans)
            for each in reversed(list(wanted(message)))
        )
        found += islice(newest, MOST_EVENTS)
        whole = whole and next(newest, None) is None
    found.sort(
        key=lambda each: (each[0].at_ms, each[0].partition, each[1].offset, each[1].index), reverse=True
    )
    return Seen(found, whole)


def _allower(log: EventLog, known: Deciding) -> str:
    """By whom the address was allowed, and why, in a sentence; nothing where it was not."""
    prefix = known.allowed_by()
    if prefix is None:
        return ""
    place = COMMANDS.name, known.partition.number
    said = ""
    for message in messages(log, *place, log.begin(*place)):
        for each in located(COMMANDS.name, message, b'"verb":"allow"'):
            if isinstance(each.record, Command) and each.record.prefix == prefix:
                why = f": {each.record.why}" if each.record.why else ""
                said = f" by {each.record.who}{why}"
    return said
