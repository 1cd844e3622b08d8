"""Bans and allows from elsewhere, given to the log as an operator's commands, each of them once.

A command is named after what it says and when that was decided there: an import that is run again finds its
own commands in the log, and gives none of them twice, whatever became of them since.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from banstream.config import Settings, load_settings
from banstream.instants import now_ms
from banstream.ordering import submit
from banstream.reading import heartbeat, is_up, open_to_tell, records, rules_in_force
from eventlog.contract import EventLog
from eventlog.urls import is_shared
from schemas.records import Command, Verb
from schemas.rules import Rules
from schemas.topics import COMMANDS
from streams.worker.governing import push

PREFIX: Final = "import-"


class Given(NamedTuple):
    """What became of commands.

    Attributes:
        given: how many are new in the log; `known`: how many an import before has given.
        running: whether they are obeyed now; else `up` does so at its start.
    """

    given: int
    known: int
    running: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """What was decided elsewhere.

    Attributes:
        who: in whose name it is given here.
        since: what tells it from a later decision of the same.
        bans, over_ms: to remember: how many it had, and when the last was over.
    """

    verb: Verb
    prefix: str
    who: str
    why: str
    since: str
    jail: str | None = None
    duration_ms: int | None = None
    bans: int | None = None
    over_ms: int | None = None

    def command(self) -> Command:
        """The command that says so, now."""
        parts = (self.verb, self.prefix, self.jail or "", self.who, self.since)
        return Command(
            id=PREFIX + sha256("\0".join(parts).encode()).hexdigest()[:32],
            verb=self.verb,
            at_ms=now_ms(),
            who=self.who,
            why=self.why,
            prefix=self.prefix,
            jail=self.jail,
            duration_ms=self.duration_ms,
            bans=self.bans,
            since_ms=self.over_ms,
        )


def jails_in_force(settings: Settings, config_file: str | None) -> set[str]:
    """The jails that commands may name: those of the rules in force.

    A command for a jail that its log has not heard of would be one by hand. So where `up` has not begun on a
    log of this machine's own, the rules of its configuration are put in force first, as `up` would. Raises
    ConfigError, LogError and Transient.
    """
    log, url = open_to_tell(settings), settings.log_url
    try:
        rules = rules_in_force(log)
        idle = not is_shared(url) and not is_up(url, log, heartbeat(log), now_ms())
        if idle and (rules is None or {jail.rules.name for jail in settings.jails} - _names(rules)):
            rules = load_settings(config_file).rules()
            push(log, rules, now_ms())
        return set() if rules is None else _names(rules)
    finally:
        log.close()


def _names(rules: Rules) -> set[str]:
    return {jail.name for jail in rules.jails}


def give_once(settings: Settings, decided: Iterable[Elsewhere]) -> Given:
    """Append those that no import has given yet. Raises LogError, and Transient when the log is away."""
    log = open_to_tell(settings)
    try:
        known = _known(log)
        wanted = {each.id: each for each in (one.command() for one in decided)}
        new = [each for each in wanted.values() if each.id not in known]
        for each in new:
            submit(log, each)
        url = settings.log_url
        running = is_shared(url) or is_up(url, log, heartbeat(log), now_ms())
        return Given(len(new), len(wanted) - len(new), running)
    finally:
        log.close()


def _known(log: EventLog) -> set[str]:
    found = (each.record for each in records(log, COMMANDS.name, containing=PREFIX.encode()))
    return {each.id for each in found if isinstance(each, Command) and each.id.startswith(PREFIX)}
