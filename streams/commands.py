"""What an operator's command does to a decider. A command that changes nothing yields no decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from schemas.records import Command, UnbanReason
from schemas.rules import MANUAL
from streams.jail import JailState

if TYPE_CHECKING:
    from streams.decider import Decider


def obey(decider: Decider, command: Command, *, owned: bool = True) -> None:
    """Do what a command says. `owned`: the prefix belongs to this partition, so bans of it are made here."""
    decider.advance(command.at_ms)
    match command.verb:
        case "ban":
            if owned:
                _ban(decider, command)
        case "unban":
            _unban(decider, command, "operator")
        case "forgive":
            _forgive(decider, command)
        case "allow":
            _allow(decider, command)
        case "disallow":
            decider.disallow(command.prefix)
        case "enroll" | "revoke":
            pass  # who may ship is no business of the jails: streams.hosts
        case _:
            assert_never(command.verb)


def _ban(decider: Decider, command: Command) -> None:
    if command.prefix is None:
        return
    # A jail that no rule knows (yet) bans nobody, but the operator has: an order is never lost.
    jail = decider.jails.get(command.jail or MANUAL) or decider.jails[MANUAL]
    until_ms = None if command.duration_ms is None else command.at_ms + command.duration_ms
    facts = {"who": command.who, "why": command.why or None}
    if jail.held_by(command.prefix) is not None:
        decider.prolong(jail, command.prefix, until_ms, **facts)
    else:
        decider.ban(jail, command.prefix, until_ms=until_ms, at_ms=command.at_ms, count=0, **facts)


def _unban(decider: Decider, command: Command, reason: UnbanReason) -> None:
    for jail in _jails(decider, command):
        for prefix in jail.inside(command.prefix, banned=True):
            decider.release(jail, prefix, reason, who=command.who, why=command.why or None)


def _forgive(decider: Decider, command: Command) -> None:
    for jail in _jails(decider, command):
        for ip in jail.inside(command.prefix, banned=False):
            decider.forgive(jail, ip)


def _allow(decider: Decider, command: Command) -> None:
    if command.prefix is None:
        return
    _unban(decider, command, "allowed")
    _forgive(decider, command)
    decider.allow(
        command.prefix, None if command.duration_ms is None else command.at_ms + command.duration_ms
    )


def _jails(decider: Decider, command: Command) -> list[JailState]:
    return [jail for name, jail in sorted(decider.jails.items()) if command.jail in {None, name}]
