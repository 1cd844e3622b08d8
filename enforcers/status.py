"""How an enforcer is: one record of counts kept as things happen."""

from __future__ import annotations

from dataclasses import dataclass, field

from enforcers.list_keeping import ListsStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class EnforcerStatus:
    """One host's enforcer at a moment.

    Attributes:
        host, backend: under which name it records, and which firewall it drives.
        observing: why nothing is enforced; None where it is.
        in_force: prefixes that the firewall holds now.
        applied, refused, failed, skipped: outcomes recorded since the start.
        repairs, repaired: how often others had changed the firewall, and how many prefixes were put right.
        retrying: prefixes that the firewall did not take or let go, and that are tried again.
        unrecorded: records that the log has not taken yet.
        breaker: why new bans are refused now; None where they are not.
        breaker_resets_at_ms: when they are let through again; None where it has not tripped.
        breaker_refused: bans refused by it since the start.
        lag_ms: how long before it was read the newest ban had been appended, in ms; 0 when none came.
        never_ban: prefixes that it never bans.
        flushed: how many bans an operator took out of the firewall, which bans nobody since; None: it bans.
        lists: how lists of whom to ban are.
    """

    host: str
    backend: str
    observing: str | None
    in_force: int
    applied: int
    refused: int
    failed: int
    skipped: int
    repairs: int
    repaired: int
    retrying: int
    unrecorded: int
    breaker: str | None
    breaker_resets_at_ms: int | None
    breaker_refused: int
    lag_ms: int
    never_ban: tuple[str, ...]
    flushed: int | None = None
    lists: ListsStatus = field(default_factory=ListsStatus)
