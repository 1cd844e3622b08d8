"""Jails: the policies that turn counted failures into bans, as they travel in the log."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Annotated, Any, Final, Literal

import msgspec
import orjson

from schemas.addresses import parse_prefix
from schemas.behaviours import Behaviour
from schemas.bounds import (
    LONGEST_MS,
    MOST_LABELS,
    MOST_PORT,
    MOST_RETRY,
    MOST_SUBJECTS,
    DurationMs,
    Labels,
    Name,
)
from schemas.errors import InvalidMessage
from schemas.formulas import MOST_CHARACTERS, parse_formula
from schemas.records import CountedThing
from schemas.rules_added import ADDED, ADDED_TO_ESCALATION, ADDED_TO_INCREMENT, ADDED_TO_STEPS, leave_out
from schemas.sparing import MOST_ARGUMENTS
from schemas.whereabouts import Scope

SELF: Final = "self"
"""The list of the addresses of the machine whose log it is."""
MANUAL: Final = "manual"
"""The jail of an operator's bans: it always exists and selects no events."""

WindowKind = Literal["exact", "fail2ban", "leaky"]
Distinct = Literal["user", "address", "port"]
Counting = Literal["address", "user", "address and user"]
JailInput = Literal["events", "bans"]
Mode = Literal["ban", "observe"]
SparedNetwork = Literal["nothing", "parts"]
WIDEST_IPV4: Final = 24
WIDEST_IPV6: Final = 48
"""A network of that length is whole in one partition (schemas.topics)."""
MOST_ADDRESSES: Final = 256
MOST_STEPS: Final = 8
MOST_DECOYS: Final = 1_000
COUNTED: Final[Mapping[Distinct | None, CountedThing]] = {
    None: "failures",
    "user": "different users",
    "address": "different addresses",
    "port": "different ports",
}
DISTINCT: Final = 'different ones are counted on events, by one threshold, without prolong, in window "exact"'
USERS: Final = 'users are counted on events, by one threshold, without prolong, in window "exact"'
MOST_OF_A_USER: Final = 256
"""A user's window is no larger: each ban that it leads to names all of it."""
REQUESTS: Final = ("request",)
RATE: Final = 'requests are counted alone, by one threshold, in window "exact", no distinct, count or prolong'
MOST_KNOWN_GOOD: Final = 100
HALVING: Final = "of different ones, or users, no half is the older: a success forgets all, or none"
KNOWING: Final = 'known_good is for failures in window "exact", without distinct and count'
TIGHTENED: Final = (
    "behaviour is of failures; its tighten goes with one threshold, without prolong, distinct, count and "
    'known_good, in window "exact"'
)
MOST_FACTOR: Final = 1_000_000.0
MOST_FACTORS: Final = 100
MOST_NAMED: Final = 1_024
_MOST: Final[Mapping[str, int]] = {
    **dict.fromkeys(("findtime_ms", "bantime_ms", "lateness_ms", "known_good_ms"), LONGEST_MS),
    "maxretry": MOST_RETRY,
    "max_subjects": MOST_SUBJECTS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Increment:
    """How the bans of one address grow in a jail, from its second on: fail2ban's `bantime.increment`.

    Attributes:
        factor: what every grown ban is multiplied with.
        multipliers: by how many bans the address had before, the last for all beyond; empty: 2 to the power
            of that number, 20 at most, and never less than bantime.
        maxtime_ms: no longer than this; None: no limit.
        rndtime_ms: up to so much is added after that, the same share on every replay; None: nothing.
        forget_ms: so long after its last ban ended an address begins anew.
        formula: how long a ban lasts (schemas.formulas), but bantime at least; empty, and where there are
            multipliers: as above.
        overalljails: the bans of all jails count as those before.
    """

    factor: Annotated[float, msgspec.Meta(gt=0, le=MOST_FACTOR)] = 1.0
    multipliers: Annotated[
        tuple[Annotated[float, msgspec.Meta(gt=0, le=MOST_FACTOR)], ...],
        msgspec.Meta(max_length=MOST_FACTORS),
    ] = ()
    maxtime_ms: DurationMs | None = None
    rndtime_ms: DurationMs | None = None
    forget_ms: DurationMs = 30 * 86_400_000
    formula: Annotated[str, msgspec.Meta(max_length=MOST_CHARACTERS)] = ""
    overalljails: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """When many banned addresses of one network ban the network.

    Attributes:
        ipv4, ipv6: the network's length; no wider than what a partition holds whole.
        addresses: so many different ones, or what is counted in their place, banned within `findtime_ms`.
        bantime_ms: how long the network's first ban lasts; None for ever.
        spared: what is banned of a network in which somebody is never to be: nothing, or all but him.
    """

    ipv4: Annotated[int, msgspec.Meta(ge=WIDEST_IPV4, le=32)] = WIDEST_IPV4
    ipv6: Annotated[int, msgspec.Meta(ge=WIDEST_IPV6, le=128)] = WIDEST_IPV6
    addresses: Annotated[int, msgspec.Meta(ge=2, le=MOST_ADDRESSES)] = 8
    findtime_ms: DurationMs = 86_400_000
    bantime_ms: DurationMs | None = 86_400_000
    spared: SparedNetwork = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One of a jail's thresholds; the fields are as a jail's. `scope`: it is for events of there alone."""

    findtime_ms: DurationMs
    maxretry: Annotated[int, msgspec.Meta(ge=1, le=MOST_RETRY)]
    bantime_ms: DurationMs | None
    scope: Scope | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Jail:
    """One policy.

    Attributes:
        name: unique.
        filters: events of these filters are selected.
        findtime_ms, maxretry: that many failures, first to last no further apart than findtime, decide a ban.
        bantime_ms: how long a ban lasts; None for ever.
        ignoreip: prefixes never counted.
        kinds: the kinds of event that count as a failure.
        sources, hosts: when not empty, only events of these source ids (shell patterns) or hosts.
        labels: when not empty, only events with these labels; its bans carry them, and an enforcer whose
            labels say otherwise leaves them alone.
        ports: the ports a ban is limited to; empty for all.
        forgive: a success of an address forgets its failures so far.
        window: how failures within findtime are counted: exactly, as fail2ban estimates them, or by a leaky
            bucket of maxretry - 1 that is empty again findtime after it was full.
        increment: how bans grow; None: each lasts bantime.
        on: what counts as a failure: events, or the bans that other jails decide on events (fail2ban's
            recidive); the latter select no events themselves.
        ipv4_prefix, ipv6_prefix: an address is counted, and banned, by its network of that length; no wider
            than what a partition holds whole.
        escalate: when a network is banned for its addresses; None: never.
        steps: further thresholds, each of more failures than the one before.
        prolong: who fails on during a ban, as often as a threshold says, is banned anew from then.
        lists: names of lists whose prefixes are never counted (schemas.lists).
        ignoreself: nor are those of the list SELF.
        count: of what failures are counted: an address (or its network), a user wherever he fails from, or
            an address with one user. Who took part is banned.
        distinct: how many different ones count, of one subject, rather than how many failures.
        decoy_users: names that no user has: a failure as one of them, as the service wrote it, bans at once.
        decoy_paths: shell patterns of what nobody asks for: a request for it bans at once.
        halve: a success of an address forgets the older half of its failures so far.
        known_good_ms: an address from which a login succeeded so long ago at most needs `known_good_factor`
            times as many failures; None: no more than others.
        ignorecommand: a command and its arguments: whom it spares, as the event says, is not counted.
        scope: events from elsewhere do not count; None: all do. `first_scope`: of its own threshold alone.
        behaviour: when its minutes are unusual, which is alerted; None: it does not look.
        mode: whether its bans are in force, or only recorded: a shadow jail decides as any, and nothing else
            goes by it.
    """

    name: Name
    filters: tuple[str, ...]
    findtime_ms: DurationMs = 600_000
    maxretry: Annotated[int, msgspec.Meta(ge=1, le=MOST_RETRY)] = 5
    bantime_ms: DurationMs | None = 600_000
    ignoreip: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("failed",)
    sources: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    labels: Labels = field(default_factory=dict)
    ports: tuple[Annotated[int, msgspec.Meta(ge=1, le=MOST_PORT)], ...] = ()
    forgive: bool = False
    window: WindowKind = "exact"
    increment: Increment | None = None
    on: JailInput = "events"
    ipv4_prefix: Annotated[int, msgspec.Meta(ge=WIDEST_IPV4, le=32)] = 32
    ipv6_prefix: Annotated[int, msgspec.Meta(ge=WIDEST_IPV6, le=128)] = 128
    escalate: Escalation | None = None
    steps: Annotated[tuple[Threshold, ...], msgspec.Meta(max_length=MOST_STEPS)] = ()
    prolong: bool = False
    distinct: Distinct | None = None
    count: Counting = "address"
    lists: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MOST_NAMED)] = ()
    ignoreself: bool = True
    decoy_users: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MOST_DECOYS)] = ()
    decoy_paths: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MOST_DECOYS)] = ()
    halve: bool = False
    known_good_ms: DurationMs | None = None
    known_good_factor: Annotated[int, msgspec.Meta(ge=2, le=MOST_KNOWN_GOOD)] = 2
    ignorecommand: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MOST_ARGUMENTS)] = ()
    scope: Scope | None = None
    first_scope: Scope | None = None
    behaviour: Behaviour | None = None
    mode: Mode = "ban"

    @property
    def counts(self) -> CountedThing:
        """What it counts."""
        if self.on == "bans":
            return "bans"
        asked = self.kinds == REQUESTS or (self.decoy_paths and not self.kinds)
        return "requests" if asked else COUNTED[self.distinct]

    @property
    def may_be_distinct(self) -> bool:
        """Whether nothing else that it says is of failures alone."""
        return (
            self.window == "exact"
            and self.on == "events"
            and not (self.steps or self.prolong or self.first_scope)
        )

    @property
    def may_rate(self) -> bool:
        """Whether it may count requests: nothing that it says is of failures alone."""
        alike = self.distinct is None and self.count == "address"
        return self.may_be_distinct and alike and self.kinds == REQUESTS

    @property
    def heeds_success(self) -> bool:
        """Whether a login that succeeds changes anything."""
        return self.forgive or self.halve or self.known_good_ms is not None

    @property
    def may_know(self) -> bool:
        """Whether it may know who is good."""
        alike = self.distinct is None and self.count == "address" and self.kinds != REQUESTS
        return self.window == "exact" and self.on == "events" and alike

    @property
    def wrong_count(self) -> str | None:
        """Why it cannot count what it says it counts; None where it can."""
        wrong = ""
        if self.count != "address" and not self.may_be_distinct:
            wrong = USERS
        elif self.count == "address and user" and self.distinct is not None:
            wrong = f"an address with one user has no different {self.distinct}s"
        elif self.count == "user" and self.distinct not in {None, "address"}:
            wrong = f"of one user different addresses can be counted, and no different {self.distinct}s"
        elif self.count == "user" and self.forgive:
            wrong = "a success forgives an address, not a user who is tried from everywhere: no forgive"
        elif self.count == "user" and self.maxretry > MOST_OF_A_USER:
            wrong = f"maxretry {MOST_OF_A_USER} at most of one user, not {self.maxretry}"
        return wrong or None

    @property
    def may_be_watched(self) -> bool:
        """Whether its minutes may be watched, and its maxretry be halved where that is asked for."""
        if self.behaviour is None:
            return True
        plain = self.may_be_distinct and self.distinct is None and self.count == "address"
        halved = plain and self.known_good_ms is None and self.first_scope is None
        return (
            self.on == "events"
            and not set(REQUESTS) & set(self.kinds)
            and (halved or not self.behaviour.tighten)
        )

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """Its own threshold, then its further steps."""
        own = Threshold(
            findtime_ms=self.findtime_ms,
            maxretry=self.maxretry,
            bantime_ms=self.bantime_ms,
            scope=self.first_scope,
        )
        return (own, *self.steps)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """All that it, and its thresholds, say of where events are from."""
        said = (self.scope, *(step.scope for step in self.thresholds))
        return tuple(scope for scope in said if scope is not None)

    @property
    def spared_by(self) -> tuple[str, ...]:
        """The lists whose prefixes are never counted."""
        return (*self.lists, SELF) if self.ignoreself else self.lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All jails in force.

    Attributes:
        lateness_ms: how far sources may run behind each other without changing whom a jail bans.
        max_subjects: how many addresses with failures a decider remembers at most, over all jails; bans in
            force are no part of them.
        require_enrolled: events count of hosts that are enrolled alone, and sign what they ship.
    """

    jails: tuple[Jail, ...]
    lateness_ms: DurationMs = 3_600_000
    max_subjects: Annotated[int, msgspec.Meta(ge=1, le=MOST_SUBJECTS)] = 1_000_000
    require_enrolled: bool = False

    @property
    def version(self) -> str:
        """The first 12 hex digits of the SHA-256 of the rules' JSON with sorted keys."""
        return sha256(orjson.dumps(self.to_wire(), option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]

    def to_wire(self) -> dict[str, Any]:
        """The rules as a JSON object: every field, so that a reader needs no defaults.

        But `require_enrolled` only where it is true, and of jails what is in ADDED only where it is not as
        usual: the version of all other rules stays what it was.
        """
        wire = dataclasses.asdict(self)
        wire["jails"] = list(wire["jails"])
        for jail in wire["jails"]:
            leave_out(jail, ADDED)
            leave_out(jail.get("increment", {}), ADDED_TO_INCREMENT)
            leave_out(jail.get("escalate", {}), ADDED_TO_ESCALATION)
            for step in jail.get("steps", ()):
                leave_out(step, ADDED_TO_STEPS)
        if not self.require_enrolled:
            del wire["require_enrolled"]
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Rules:
        """The rules a JSON object holds, every field checked; InvalidMessage, with the field, for any other.

        A jail's fields that are absent have their defaults: it was written before there were such.
        """
        for name in ("lateness_ms", "max_subjects"):
            if name not in wire:
                raise InvalidMessage("missing", field=f"rules.{name}")
        try:
            rules = msgspec.convert(wire, cls)
        except msgspec.ValidationError as error:
            reason, _, path = str(error).partition(" - at `$")
            raise InvalidMessage(f"{reason:.120}", field="rules" + path.rstrip("`")) from error
        for place, jail in enumerate(rules.jails):
            _check_jail(jail, f"rules.jails[{place}]")
        return rules

    @classmethod
    def from_state(cls, wire: Mapping[str, Any]) -> Rules:
        """The rules that were in force. What is past a bound, as an earlier version took it, is cut.

        Whoever cannot read the rules of a state decides nothing any more, not even under other rules.
        """
        return cls.from_wire({**_cut(wire), "jails": [_cut(jail) for jail in wire["jails"]]})


def _check_jail(jail: Jail, field: str) -> None:
    """InvalidMessage where a jail's fields, each right by itself, are no jail."""
    _check_prefixes(jail.ignoreip, f"{field}.ignoreip")
    if jail.distinct is not None and not jail.may_be_distinct:
        raise InvalidMessage(DISTINCT, field=f"{field}.distinct")
    if jail.wrong_count is not None:
        raise InvalidMessage(jail.wrong_count, field=f"{field}.count")
    if set(REQUESTS) & set(jail.kinds) and not jail.may_rate:
        raise InvalidMessage(RATE, field=f"{field}.kinds")
    _check_successes(jail, field)
    _check_together(jail, field)
    needed = [step.maxretry for step in jail.thresholds]
    if needed != sorted(set(needed)):
        raise InvalidMessage("maxretry is not above the one before", field=f"{field}.steps")
    if jail.increment is not None and jail.increment.formula:
        try:
            parse_formula(jail.increment.formula)
        except ValueError as error:
            raise InvalidMessage(str(error), field=f"{field}.increment.formula") from error


def _check_successes(jail: Jail, field: str) -> None:
    if jail.known_good_ms is not None and not jail.may_know:
        raise InvalidMessage(KNOWING, field=f"{field}.known_good_ms")
    if jail.halve and (jail.distinct is not None or jail.count != "address"):
        raise InvalidMessage(HALVING, field=f"{field}.halve")


def _check_together(jail: Jail, field: str) -> None:
    """InvalidMessage where two of a jail's policies do not go with each other."""
    if jail.behaviour is not None and not jail.may_be_watched:
        raise InvalidMessage(TIGHTENED, field=f"{field}.behaviour")
    if jail.window == "leaky" and jail.prolong:
        raise InvalidMessage("a leaky bucket bans once, and prolongs nothing", field=f"{field}.prolong")
    if jail.window != "exact" and (jail.steps or jail.first_scope):
        raise InvalidMessage("several thresholds need the window exact", field=f"{field}.steps")


def _check_prefixes(prefixes: Iterable[str], field: str) -> None:
    for prefix in prefixes:
        try:
            parse_prefix(prefix)
        except InvalidMessage as error:
            raise InvalidMessage(error.reason, field=field) from error


def _cut(wire: Mapping[str, Any]) -> dict[str, Any]:
    """Rules or a jail with every number, and the number of labels, within bounds."""
    cut = {**wire, **{name: min(wire[name], most) for name, most in _MOST.items() if wire.get(name)}}
    if "labels" in cut:
        cut["labels"] = dict(islice(cut["labels"].items(), MOST_LABELS))
    return cut
