"""What an operator's command does to what is decided. A command that changes nothing yields no decision."""

from __future__ import annotations

from typing import assert_never

from schemas.records import Command, UnbanReason
from schemas.rules import MANUAL
from streams.jail import JailState
from streams.subjects import Past
from streams.verdicts import Verdicts


def obey(verdicts: Verdicts, command: Command, *, owned: bool = True) -> None:  # noqa: C901 - a case for each verb
    """Do what a command says. `owned`: the prefix belongs to this partition, so bans of it are made here."""
    match command.verb:
        case "ban" | "remember" if not owned:
            pass
        case "ban":
            _ban(verdicts, command)
        case "remember":
            _remember(verdicts, command)
        case "unban":
            _unban(verdicts, command, "operator")
        case "forgive":
            _forgive(verdicts, command)
        case "allow":
            _allow(verdicts, command)
        case "disallow":
            verdicts.disallow(command.prefix)
        case "enroll" | "revoke":
            pass  # who may ship is no business of the jails: streams.hosts
        case _:
            assert_never(command.verb)


def _ban(verdicts: Verdicts, command: Command) -> None:
    if command.prefix is None:
        return
    # A jail that no rule knows (yet) bans nobody, but the operator has: an order is never lost.
    jail = verdicts.jails.get(command.jail or MANUAL) or verdicts.jails[MANUAL]
    until_ms = None if command.duration_ms is None else command.at_ms + command.duration_ms
    facts = {"who": command.who, "why": command.why or None}
    if jail.held_by(command.prefix) is not None:
        verdicts.prolong(jail, command.prefix, until_ms, **facts)
    else:
        verdicts.ban(jail, command.prefix, until_ms=until_ms, at_ms=command.at_ms, count=0, **facts)


def _remember(verdicts: Verdicts, command: Command) -> None:
    """The next ban is not the first: it goes on where another program has counted, and never behind it."""
    jail = verdicts.jails.get(command.jail or MANUAL)
    if jail is None or command.prefix is None or command.bans is None:
        return
    prefix, held = jail.subject_of(command.prefix), jail.held_by(jail.subject_of(command.prefix))
    if held is not None:
        held.ban_count = max(held.ban_count, command.bans)
    else:
        over_ms = min(command.at_ms, command.since_ms or 0)
        known = jail.history.get(prefix, Past(0, over_ms, over_ms))
        count = max(known.ban_count, command.bans)
        jail.history[prefix] = Past(count, max(known.free_from_ms, over_ms), max(known.at_ms, over_ms))
    verdicts.touched.add(prefix)


def _unban(verdicts: Verdicts, command: Command, reason: UnbanReason) -> None:
    for jail in _jails(verdicts, command):
        prefixes = jail.inside(command.prefix, banned=True)
        if reason == "operator" and command.prefix is not None:
            prefixes = jail.escalated(command.prefix) or prefixes
        for prefix in prefixes:
            verdicts.release(jail, prefix, reason, who=command.who, why=command.why or None)


def _forgive(verdicts: Verdicts, command: Command) -> None:
    for jail in _jails(verdicts, command):
        for ip in jail.inside(command.prefix, banned=False):
            verdicts.forgive(jail, ip)


def _allow(verdicts: Verdicts, command: Command) -> None:
    if command.prefix is None:
        return
    _unban(verdicts, command, "allowed")
    _forgive(verdicts, command)
    verdicts.allow(
        command.prefix, None if command.duration_ms is None else command.at_ms + command.duration_ms
    )


def _jails(verdicts: Verdicts, command: Command) -> list[JailState]:
    return [jail for name, jail in sorted(verdicts.jails.items()) if command.jail in {None, name}]
