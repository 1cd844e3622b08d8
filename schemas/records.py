"""Every record that passes through the log: facts (events), opinions (decisions), and what came of them.

Instants end in `_at_ms` or are named `at_ms`, `since_ms`, `until_ms`: Unix milliseconds, UTC. Durations end
in `_ms`. Addresses and prefixes are in the canonical form of schemas.addresses. What a field may hold at
most, its type says (schemas.bounds). On the wire a record is one JSON object on one line; `type` and `v` come
first, fields at their default are left out, and fields this version does not know are kept in `extra` and
written back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from schemas.behaviours import Alert
from schemas.bounds import (
    TEXT_CHARACTERS,
    AsNumber,
    CountryCode,
    DelayMs,
    DurationMs,
    InstantMs,
    Labels,
    ListParts,
    Name,
    PartNumber,
    Port,
    Position,
    ShortText,
    Statement,
    Times,
    ToldMs,
)
from schemas.deciding import Obeyed, Pardon, Sealed, Sighting, Verdict

Kind = Literal["failed", "succeeded", "probed", "request"]
Verb = Literal["ban", "unban", "forgive", "allow", "disallow", "remember", "enroll", "revoke"]
UnbanReason = Literal["expired", "operator", "allowed"]
EnforcementVerb = Literal["ban", "unban"]
CountedThing = Literal[
    "failures", "bans", "addresses", "requests", "different users", "different addresses", "different ports"
]
Outcome = Literal["applied", "refused", "failed", "skipped"]

LINE_CHARACTERS = TEXT_CHARACTERS
"""An event keeps this much of its line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthEvent:
    """Somebody tried to log in: a fact read from one line. It names no jail; jails are opinions.

    Attributes:
        kind: `failed` counts; `succeeded` may forgive; `probed` is hostile or odd but no counted failure
            (a second line about the same attempt, a connection closed before any attempt); `request`: a web
            server was asked for something.
        at_ms: the time that counts: the line's own, or `seen_at_ms` where `skewed`.
        seen_at_ms: when the producer read the line.
        filter: the filter's name; `filter_version`: a hash of its text.
        ip: the address the attempt came from.
        source: the source's id, such as `file:/var/log/auth.log`; `incarnation`: which file (or
            boot) of that source; `position`: where in it, ascending. The three are the event's identity.
        line: the line itself, cut at LINE_CHARACTERS characters.
        skewed: the line's own time was more than 60 s off the producer's clock, so `seen_at_ms` counts.
        country: where the address is, as ISO 3166-1 has it; `asn`: the autonomous system that it is of;
            `as_name`: whose that is. As the files said of whoever read the line; None where they say nothing.
        path: what a request asked for, as a server reads it; `times`: so many requests of the address within
            the second it stands for, of which this was the last.
        spared: the commands that spare the address (schemas.sparing).
    """

    TYPE: ClassVar[str] = "auth"
    kind: Kind
    at_ms: ToldMs
    seen_at_ms: ToldMs
    filter: Name
    filter_version: Name
    ip: str
    source: Name
    incarnation: Name
    position: Position
    line: ShortText
    user: ShortText | None = None
    port: Port | None = None
    service: Name | None = None
    host: Name | None = None
    labels: Labels = field(default_factory=dict)
    skewed: bool = False
    country: CountryCode | None = None
    asn: AsNumber | None = None
    as_name: Name | None = None
    path: ShortText | None = None
    times: Times = 1
    spared: tuple[Name, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """An operator's word. `ban` and `allow` last `duration_ms` (None: for ever).

    Attributes:
        id: unique, made by the one who asks.
        verb: `ban`, `unban`, `forgive` (forget the failures counted so far), `allow` (unban now and never
            ban), `disallow` (take an `allow` back), `remember` (`jail` banned it `bans` times, the last time
            until `since_ms`; None: it goes on), `enroll` (this host signs with this key from now on),
            `revoke` (its keys count no longer).
        prefix: what it is about; None for `unban`: everything, and where it is about a host.
        jail: only this jail; None for all (and for `ban`: the jail named `manual`).
        who: the operator; `why`: their reason.
        host: who is enrolled or revoked; `public_key`: the Ed25519 key that is enrolled, 43 characters of
            base64url; `since_ms`: what the log has of a revoked host from then on does not count; None: from
            this command on.
        bans: see `remember`.
    """

    TYPE: ClassVar[str] = "command"
    id: Name
    verb: Verb
    at_ms: ToldMs
    who: Name
    why: ShortText = ""
    prefix: str | None = None
    jail: Name | None = None
    duration_ms: DurationMs | None = None
    host: Name | None = None
    public_key: Name | None = None
    since_ms: InstantMs | None = None
    bans: Position | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed at least to `at_ms`. Only in logs of before: an OrderStep says so now."""

    TYPE: ClassVar[str] = "tick"
    at_ms: ToldMs
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesChanged:
    """From here on these rules hold. `rules` is as schemas.rules writes it; `version` is its hash.

    Attributes:
        who: the operator who put them in force; None where it was a role, or nobody said.
    """

    TYPE: ClassVar[str] = "rules"
    version: Name
    at_ms: ToldMs
    rules: Mapping[str, Any]
    who: Name | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListChanged:
    """A part of a list of prefixes that jails name: with its last part it comes into force, as a whole.

    Attributes:
        digest: of all its prefixes (schemas.lists), so that parts of two are told apart.
        part: which one this is, from 0; `parts`: of how many.
        prefixes: sorted, none twice; a list of none is gone.
        who: the operator who changed it; None where it was a role.
    """

    TYPE: ClassVar[str] = "list"
    name: Name
    digest: Name
    at_ms: ToldMs
    part: PartNumber
    parts: ListParts
    prefixes: tuple[str, ...] = ()
    who: Name | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ban:
    """Ban `prefix` from `at_ms` until `until_ms` (None: for ever).

    Attributes:
        id: `partition-offset-index-ordinal` of its cause, with a letter before the offset where it is no
            event: `c` a command, `s` a sighting, `v` a verdict, and `t` and an instant in its place where it
            is time: the same on every replay.
        count: how many failures decided it, within `findtime_ms`; 0 when an operator did.
        counted: what those were: failures, bans by other jails, banned addresses of a network, requests, or
            failures with a different user, address or port each.
        ban_count: the number of this ban among the prefix's in this jail, from 1.
        rules: the version of the rules in force.
        step: which of the jail's thresholds it was, from 1; None where it has one.
        evidence: the failures that decided it, or that decided what did, as `partition-offset-index` in the
            events topic.
        lines: the deciding line, as it stood in the log, where there is one.
        expired: its end had already passed when it was decided: recorded, not enforced.
        who: the operator, for a ban by command; `why`: their reason.
        ports: the ports it is limited to; empty for all.
        user: as whom all of them failed, where the jail counts users.
        country: of the event that caused it, as `asn` and `as_name`.
        shadow: its jail only observes: it is recorded, and never in force.
    """

    TYPE: ClassVar[str] = "ban"
    id: Name
    prefix: str
    jail: Name
    at_ms: InstantMs
    until_ms: InstantMs | None
    count: int
    ban_count: int
    rules: Name
    findtime_ms: DurationMs | None = None
    evidence: tuple[Name, ...] = ()
    lines: tuple[ShortText, ...] = ()
    expired: bool = False
    who: Name | None = None
    why: ShortText | None = None
    ports: tuple[Port, ...] = ()
    counted: CountedThing = "failures"
    step: int | None = None
    user: ShortText | None = None
    country: CountryCode | None = None
    asn: AsNumber | None = None
    as_name: Name | None = None
    shadow: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unban:
    """A jail lets a prefix go. `ban` is the id of the ban that ends.

    Attributes:
        while_banned: failures of the prefix in this jail during the ban: counted apart, never lost.
        shadow: that ban was one.
    """

    TYPE: ClassVar[str] = "unban"
    id: Name
    prefix: str
    jail: Name
    at_ms: InstantMs
    ban: Name
    reason: UnbanReason
    while_banned: int = 0
    who: Name | None = None
    why: ShortText | None = None
    shadow: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prolong:
    """A ban in force now lasts until `until_ms` (None: for ever). `ban` is the id of that ban.

    Attributes:
        shadow: that ban is one.
    """

    TYPE: ClassVar[str] = "prolong"
    id: Name
    prefix: str
    jail: Name
    at_ms: InstantMs
    ban: Name
    until_ms: InstantMs | None
    who: Name | None = None
    why: ShortText | None = None
    shadow: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One jail's grip on a prefix: its ban, until when (None: for ever), on which ports (empty: all).

    Attributes:
        labels: the jail's; on hosts whose labels say otherwise it does not hold.
    """

    jail: Name
    ban: Name
    until_ms: InstantMs | None
    ports: tuple[Port, ...] = ()
    labels: Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The effective state of one banned prefix: the value under its key in the bans topic.

    It is free when no hold is left; the record is then a tombstone (an empty value).

    Attributes:
        decision: the id of the decision that last changed it.
        decided_at_ms: the instant of that decision, in event time.
        holds: one for each jail that holds it, ordered by jail.
    """

    TYPE: ClassVar[str] = "standing"
    prefix: str
    decision: Name
    decided_at_ms: InstantMs
    holds: tuple[Hold, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforcement:
    """What one host's enforcer did with a decision, or failed to do.

    Attributes:
        decision: the decision's id.
        host: the enforcing host; `backend`: its firewall.
        verb: `ban` or `unban`.
        detail: why it was refused, failed or skipped; None when applied.
        at_ms: when it was done, by that host's clock.
        delay_ms: from the decision's instant to `at_ms`; None for a repair, and where a prefix was freed.
    """

    TYPE: ClassVar[str] = "enforcement"
    decision: Name
    prefix: str
    verb: EnforcementVerb
    host: Name
    backend: Name
    outcome: Outcome
    at_ms: InstantMs
    detail: Statement | None = None
    delay_ms: DelayMs | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """One host's enforcer is there, and says how it is. Counts are since its start.

    Attributes:
        host: the enforcing host; `backend`: its firewall.
        at_ms: when it said so, by that host's clock.
        lag_ms: how long the newest word on the bans had been in the log when it was read; 0 at the end.
        in_force: how many prefixes the firewall holds.
        failing: how many prefixes the firewall does not take or let go at present.
        failed: how many times something failed; `refused`: how many bans safety kept out.
        drift: how many prefixes others had changed, and were put right.
        observing: why nothing is enforced; None when the firewall is in use.
        stopped: it stopped cleanly after this.
        version: of banstream there; None of one that did not say so yet.
    """

    TYPE: ClassVar[str] = "heartbeat"
    host: Name
    backend: Name
    at_ms: InstantMs
    lag_ms: DurationMs
    in_force: int
    failing: int = 0
    failed: int = 0
    refused: int = 0
    drift: int = 0
    observing: Statement | None = None
    stopped: bool = False
    version: Name | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A line of a frame that could not be read, where it stood, and why. `line` is cut at LINE_CHARACTERS."""

    TYPE: ClassVar[str] = "deadletter"
    topic: Name
    partition: int
    offset: int
    index: int
    reason: Statement
    at_ms: InstantMs
    line: Statement
    extra: Mapping[str, Any] = field(default_factory=dict)


Decision = Ban | Unban | Prolong
"""What changes who is banned; an Alert changes nobody."""
Record = (
    AuthEvent
    | Command
    | Tick
    | RulesChanged
    | ListChanged
    | Sighting
    | Pardon
    | Verdict
    | Decision
    | Alert
    | Obeyed
    | Sealed
    | Standing
    | Enforcement
    | Heartbeat
    | DeadLetter
)
RECORDS: tuple[type[Record], ...] = get_args(Record)
