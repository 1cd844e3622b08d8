"""What an operator's command does to a decider. A command that changes nothing yields no decision."""

from __future__ import annotations

from typing import assert_never

from schemas.prefixes import PrefixSet
from schemas.records import Ban, Command, UnbanReason
from schemas.rules import MANUAL
from streams.decider import Decider
from streams.jail import Held, JailState


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
        case _:
            assert_never(command.verb)


def _ban(decider: Decider, command: Command) -> None:
    if command.prefix is None:
        return
    # A jail that no rule knows (yet) bans nobody, but the operator has: an order is never lost.
    jail = decider.jails.get(command.jail or MANUAL) or decider.jails[MANUAL]
    until_ms = None if command.duration_ms is None else command.at_ms + command.duration_ms
    held = jail.subjects.get(command.prefix)
    if type(held) is Held:
        if held.until_ms != until_ms:
            decider.prolong(jail, command.prefix, until_ms, who=command.who, why=command.why or None)
        return
    ban = Ban(
        id=decider.identity(),
        prefix=command.prefix,
        jail=jail.rules.name,
        at_ms=command.at_ms,
        until_ms=until_ms,
        count=0,
        ban_count=jail.next_ban_count(command.prefix),
        rules=decider.version,
        expired=until_ms is not None and until_ms <= decider.now_ms,
        who=command.who,
        why=command.why or None,
        ports=jail.rules.ports,
    )
    decider.impose(jail, ban)


def _unban(decider: Decider, command: Command, reason: UnbanReason) -> None:
    for jail in _jails(decider, command):
        for prefix in _subjects(jail, command.prefix, {Held}):
            decider.release(jail, prefix, reason, who=command.who, why=command.why or None)


def _forgive(decider: Decider, command: Command) -> None:
    for jail in _jails(decider, command):
        for ip in _subjects(jail, command.prefix, {int, list}):
            del jail.subjects[ip]
            decider.touched.add(ip)


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


def _subjects(jail: JailState, prefix: str | None, types: set[type]) -> list[str]:
    """The subjects of these types inside a prefix (None: all), sorted."""
    if prefix is not None and "/" not in prefix:
        return [prefix] if type(jail.subjects.get(prefix)) in types else []
    inside = None if prefix is None else PrefixSet([prefix])
    return sorted(
        name
        for name, known in jail.subjects.items()
        if type(known) in types and (inside is None or name in inside)
    )
