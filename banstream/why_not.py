"""Why somebody is not banned: what became of his events, by the rules in force and the decider's state.

| an event | did not count, because |
|---|---|
| is past what the decider has folded | it is not decided yet: so many messages wait, or there are no rules |
| is of a message that its sender did not sign, or no longer may | its sender: the decider refuses it |
| was in the log before | it was sent again |
| is of a filter, host, source, labels or place that a jail does not take | it concerns no jail |
| is of a kind that a jail does not count | of that kind |
| is of an address that is ignored or allowed | of that entry |
| is older than the end of a ban | it belongs to that ban |
| counted, but longer than findtime ago | too long ago |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from banstream.phrases import place_of, scope_of
from banstream.so_far import Deciding
from eventlog.contract import Message
from eventlog.follower import Located
from schemas.durations import format_duration
from schemas.records import AuthEvent
from schemas.rules import Jail
from schemas.sparing import command_id
from schemas.topics import EVENTS
from streams.hosts import REASONS, Hosts, Refusal
from streams.inputs import Mark
from streams.rates import RateJail
from streams.window import REFERENCE_MASK, at_ms_of, reference

COUNTS: Final = "counts"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some events do not lead to a ban; `events`: how many, newest at `at_ms`."""

    text: str
    events: int
    at_ms: int

    def to_wire(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"text": self.text, "events": self.events, "at_ms": self.at_ms}


class WhyNot:
    """Says of an address' events what became of them."""

    def __init__(self, deciding: Deciding, now_ms: int, allower: str = "") -> None:
        """`allower`: who allowed the prefix in which the address is, and why, in a sentence."""
        self._deciding = deciding
        self._partition = deciding.partition
        self._jails = deciding.partition.decider.rules.jails
        self._now_ms = now_ms
        self._allower = allower
        known = deciding.partition.fold.hosts
        self._hosts = Hosts.load(
            {
                name: [since_ms, *([*key[:-1], -1] for key in keys)]
                for name, (since_ms, *keys) in known.dump().items()
            },
            require=known.require,
        )
        self._refusals: dict[int, Refusal | None] = {}
        self._seen: set[tuple[Mark, int]] = set()

    def reasons(self, found: Iterable[tuple[Message, Located]]) -> list[Reason]:
        """The reasons for events, in the order of the log; the commonest first."""
        counted: dict[str, tuple[int, int]] = {}
        for message, each in found:
            for text in self.of(message, each):
                amount, at_ms = counted.get(text, (0, 0))
                counted[text] = amount + 1, max(at_ms, _event(each).at_ms)
        reasons = [Reason(text, amount, at_ms) for text, (amount, at_ms) in counted.items()]
        return sorted(reasons, key=lambda reason: (-reason.events, -reason.at_ms))

    def spared(self) -> list[Reason]:
        """Why no event of it would count, where it has none."""
        texts = dict.fromkeys(filter(None, map(self._spared, self._jails)))
        return [Reason(text, 0, self._now_ms) for text in texts]

    def of(self, message: Message, each: Located) -> list[str]:
        """Why an event does not lead to a ban; nothing where it counts now."""
        event = _event(each)
        if message.offset >= self._deciding.next_offset:
            return ["not decided yet"]
        text = self._refused(message, event)
        if text is not None:
            return [text]
        concerned = [jail for jail in self._jails if event.filter in jail.filters]
        if not concerned:
            return [f"no jail has their filter, {event.filter}"]
        place = reference(each.offset, each.index)
        texts = [self._by(jail, event, place) for jail in concerned]
        return [] if COUNTS in texts else texts

    def _refused(self, message: Message, event: AuthEvent) -> str | None:
        """Why none of its message counts, or not this event of it."""
        passed_over = self._partition.passed_over.reason(EVENTS.name, message.offset)
        if passed_over is not None:
            return passed_over
        if message.offset not in self._refusals:
            refusal = self._hosts.admit(message).refusal
            self._refusals[message.offset] = None if refusal == "not newer" else refusal
        refusal = self._refusals[message.offset]
        if refusal is not None:
            return f"their sender, {event.host or 'who gives no name'}: {REASONS[refusal]}"
        identity = (event.source, event.incarnation, event.filter, event.host or ""), event.position
        if identity in self._seen:
            return "sent again: they were in the log before"
        self._seen.add(identity)
        return None

    def _by(self, jail: Jail, event: AuthEvent, place: int) -> str:
        """Why a jail does not ban for an event; COUNTS where it counts it now."""
        elsewhere = _elsewhere(jail, event)
        if elsewhere is not None:
            return f"jail {jail.name} takes only {elsewhere}"
        if event.kind not in jail.kinds:
            if event.kind == "succeeded":
                return "a login that succeeded is no failure"
            if not jail.kinds:
                return f"jail {jail.name} bans for decoys alone"
            return (
                f"jail {jail.name} does not count what was {event.kind} (its kinds: {', '.join(jail.kinds)})"
            )
        return self._spared(jail) or self._counted(jail, event, place)

    def _spared(self, jail: Jail) -> str | None:
        entry = self._deciding.ignored_by(jail)
        if entry is not None:
            return f"jail {jail.name} ignores it: {entry}"
        entry = self._deciding.allowed_by()
        return None if entry is None else f"{entry} is allowed{self._allower}"

    def _counted(self, jail: Jail, event: AuthEvent, place: int) -> str:
        state = self._partition.decider.jails[jail.name]
        subject = state.subject_of(self._deciding.subject)
        for failure in state.failures_of(subject):
            if failure & REFERENCE_MASK == place:
                late = self._now_ms - at_ms_of(failure) > state.findtime_ms
                return _too_long_ago(jail) if late else COUNTS
        free_ms = self._deciding.free_from_ms(jail.name)
        if state.held_by(subject) is not None or (free_ms is not None and event.at_ms < free_ms):
            return f"a ban by jail {jail.name} used them up, or was in force when they came"
        if self._now_ms - event.at_ms > state.findtime_ms:
            return _too_long_ago(jail)
        if isinstance(state, RateJail):
            return COUNTS
        if jail.count == "user":
            whom = "and these name none" if event.user is None else f'as "{event.user}"'
            return f"jail {jail.name} counts users, wherever they are tried from: {whom}"
        return f"jail {jail.name} has forgotten them: forgiven, or before these rules"


def _too_long_ago(jail: Jail) -> str:
    return f"jail {jail.name} counts {jail.maxretry} within {format_duration(jail.findtime_ms)}: too long ago"


def _elsewhere(jail: Jail, event: AuthEvent) -> str | None:
    """What a jail takes that the event is not of; None where it takes it."""
    if jail.hosts and (event.host or "") not in jail.hosts:
        return f"hosts {', '.join(jail.hosts)}, and they are of {event.host or 'none'}"
    if jail.sources and not any(fnmatchcase(event.source, wanted) for wanted in jail.sources):
        return f"sources {', '.join(jail.sources)}, and they are of {event.source}"
    if not jail.labels.items() <= event.labels.items():
        return f"labels {_shown(jail.labels)}, and theirs are {_shown(event.labels) or 'none'}"
    if jail.ignorecommand and command_id(jail.ignorecommand) in event.spared:
        return f"what its ignorecommand does not spare, and {jail.ignorecommand[0]} spares them"
    if jail.scope is not None and not jail.scope.has(event.country, event.asn):
        place = place_of(event.country, event.asn, None) or "nobody knows where"
        return f"what is{scope_of(jail.scope)}, and they are from {place}"
    return None


def _shown(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in labels.items())


def _event(each: Located) -> AuthEvent:
    if not isinstance(each.record, AuthEvent):
        raise TypeError(f"no event but {each.record.TYPE}")
    return each.record
