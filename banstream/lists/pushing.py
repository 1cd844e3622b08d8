"""The lists of a configuration put into a fleet's log, by an operator's word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from banstream.config import Settings
from banstream.lists.in_log import digests_in
from banstream.lists.keeper import Keeper
from eventlog.contract import EventLog

GATHER_S: Final = 30.0
"""So long a list may take to be read."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What came of a push.

    Attributes:
        changed: the lists that are others now.
        unread: those that could not be read, and that the log has not either.
        problems: what is wrong with them, in a sentence each.
    """

    changed: tuple[str, ...]
    unread: tuple[str, ...]
    problems: tuple[str, ...]


def keeper_of(settings: Settings, log: EventLog, now_ms: Callable[[], int], who: str | None) -> Keeper:
    """What keeps the lists that this configuration's jails name, in a fleet's log."""
    return Keeper(log, settings.wanted(), lambda: digests_in(log), now_ms, own=set, who=who)


def push_lists(keeper: Keeper, *, retire: bool = False) -> Pushed:
    """Read every list, and append those that have changed; `retire`: and that others are gone.

    Raises Transient, LogError.
    """
    late = keeper.gather(GATHER_S, all_of_them=True)
    changed = [*keeper.push(), *(keeper.retire() if retire else ())]
    problems = [*keeper.notices(), *(f"list {name}: it was not read within {GATHER_S:g} s" for name in late)]
    return Pushed(tuple(changed), tuple(keeper.unread()), tuple(problems))
