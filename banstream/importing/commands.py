"""Bans and allows from elsewhere, given to the log as an operator's commands, each of them once.

A command is named after what it says and when that was decided there: an import that is run again finds its
own commands in the log, and gives none of them twice, whatever became of them since.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from banstream.config import Settings
from banstream.instants import now_ms
from banstream.ordering import submit
from banstream.reading import heartbeat, is_up, open_to_tell, records
from eventlog.contract import EventLog
from eventlog.urls import is_shared
from schemas.records import Command, Verb
from schemas.topics import COMMANDS

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
    """

    verb: Verb
    prefix: str
    who: str
    why: str
    since: str
    jail: str | None = None
    duration_ms: int | None = None

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
        )


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
