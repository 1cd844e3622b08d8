"""Who is never banned, by whose word: operators' commands, and the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from banstream.config import Settings
from banstream.reading import records
from eventlog.contract import EventLog
from schemas.records import Command
from schemas.topics import COMMANDS


class Allowed(NamedTuple):
    """An operator's `allow` that holds.

    Attributes:
        until_ms: None for ever.
    """

    prefix: str
    until_ms: int | None
    at_ms: int
    who: str
    why: str

    def to_wire(self) -> dict[str, Any]:
        """As `allow --list --json` has it."""
        return {"from": "command", **self._asdict()}


class Configured(NamedTuple):
    """What this host's configuration keeps from bans; `where`: the key that says so."""

    prefix: str
    where: str

    def to_wire(self) -> dict[str, Any]:
        """As `allow --list --json` has it."""
        return {"from": "configuration", **self._asdict()}


def allowed(log: EventLog, now_ms: int) -> list[Allowed]:
    """The operators' words that hold now, the oldest first: of each prefix the last one counts."""
    words: dict[str, Allowed] = {}
    given = (each.record for each in records(log, COMMANDS.name, containing=b'allow"'))
    told = [each for each in given if isinstance(each, Command) and each.prefix is not None]
    for word in sorted({each.id: each for each in told}.values(), key=lambda each: each.at_ms):
        words.pop(word.prefix or "", None)
        if word.verb == "allow" and word.prefix is not None:
            until_ms = None if word.duration_ms is None else word.at_ms + word.duration_ms
            words[word.prefix] = Allowed(word.prefix, until_ms, word.at_ms, word.who, word.why)
    return [word for word in words.values() if word.until_ms is None or word.until_ms > now_ms]


def configured(settings: Settings) -> Iterator[Configured]:
    """What the configuration keeps from being counted by its jails, or from its firewall."""
    jails: dict[str, list[str]] = {}
    for jail in settings.jails:
        for prefix in jail.rules.ignoreip:
            jails.setdefault(prefix, []).append(jail.rules.name)
    for prefix, names in jails.items():
        every = len(names) == len(settings.jails)
        yield Configured(prefix, "ignoreip of every jail" if every else f"ignoreip of {', '.join(names)}")
    for prefix in settings.enforcer.never_ban:
        yield Configured(prefix, "[enforcer] never_ban")
