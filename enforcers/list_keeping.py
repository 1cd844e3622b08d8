"""Keeps what a firewall holds of lists as they are in force, a few milliseconds at a time.

| the firewall | is |
|---|---|
| holds just this already, as after a restart | left alone |
| holds what was in force before | changed by the difference: who is spared first, who is not any more last |
| holds something else, or was changed by others | filled anew beside it, and then switched over |
| fails | tried again, after 1 s and then twice as long each time, up to a minute |
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from time import monotonic
from typing import Final

from enforcers.contract import Backend, Changed, HoldsLists, ListHolder, Side
from enforcers.interval import Interval
from enforcers.list_layout import SetKey
from enforcers.listed import NOBODY, ListsInForce, Targets
from eventlog.contract import EventLog
from schemas.errors import EnforcementFailed, LogError
from schemas.lists import BAN, PrefixTable

AT_ONCE_S: Final = 0.03
FIRST_RETRY_MS: Final = 1_000
LAST_RETRY_MS: Final = 60_000
EMPTY: Final = PrefixTable()

FillStep = Callable[[], None]
SetVerb = Callable[[Side, SetKey, Sequence[int]], None]
logger = logging.getLogger("banstream.enforcers")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListsStatus:
    """How lists of whom to ban are on a host.

    Attributes:
        names: those in force in the log.
        prefixes: how many prefixes of theirs the firewall holds.
        settled: the firewall holds just what it is to.
        problems: why a list is not in force, or not in the firewall, in a sentence each.
    """

    names: tuple[str, ...] = ()
    prefixes: int = 0
    settled: bool = True
    problems: tuple[str, ...] = ()


class ListKeeping:
    """Brings the lists of one firewall in line with the log."""

    def __init__(self, log: EventLog, backend: Backend, *, observing: bool) -> None:
        """`observing`: the firewall drops nothing."""
        self._log = log
        self._lists: ListsInForce | None = None
        self._unread: str | None = None
        self._holder: ListHolder | None = None
        if isinstance(backend, HoldsLists) and not observing:
            self._holder = backend.lists()
        self._backend = backend.name
        self._observing = observing
        self._wanted = NOBODY
        self._held: Targets | None = None
        self._steps: Iterator[FillStep] | None = None
        self._never: frozenset[str] = frozenset()
        self._look_at_ms: int | None = 0
        self._trouble: str | None = None
        self._retry, self._retry_ms, self._read = Interval(), FIRST_RETRY_MS, Interval()

    def poll(self, never: frozenset[str], now_ms: int) -> bool:
        """Do what is due, for some milliseconds; whether there is more to do at once.

        `never`: whom this host never bans. Raises Transient.
        """
        self._follow(never, now_ms)
        if self._holder is None or self._lists is None:
            return False
        try:
            return self._turn(self._holder, now_ms)
        except EnforcementFailed as error:
            self._fail(error, now_ms)
            return False

    def _follow(self, never: frozenset[str], now_ms: int) -> None:
        """See what is in force; a log that does not let this host read its commands leaves all as it is."""
        if self._unread is not None and not self._read.due(now_ms, LAST_RETRY_MS):
            return
        try:
            self._lists = self._lists or ListsInForce(self._log)
            changed = self._lists.follow() or never != self._never
        except LogError as error:
            self._unread = str(error)
            self._read.restart(now_ms)
            return
        self._unread = None
        if changed or (self._look_at_ms is not None and now_ms >= self._look_at_ms):
            self._never = never
            self._wanted = self._lists.targets(never, now_ms)
            self._look_at_ms = self._lists.changes_at_ms(now_ms)

    def drop(self) -> None:
        """Take all of it out of the firewall. Raises EnforcementFailed."""
        self._steps = self._held = None
        if self._holder is not None:
            self._holder.drop()

    def status(self) -> ListsStatus:
        """How it is now."""
        held = self._held
        lists = self._lists
        names = [] if lists is None else [name.removeprefix(BAN) for name in lists.names()]
        refused = {} if lists is None else lists.refused
        problems = [f"list {name.removeprefix(BAN)}: refused: {why}" for name, why in sorted(refused.items())]
        if self._unread is not None:
            problems.append(f"lists of whom to ban are not followed: {self._unread}")
        if names and self._holder is None and not self._observing:
            problems.append(f"the backend {self._backend} holds no lists: whom they name is let through")
        if self._trouble is not None:
            problems.append(f"lists are not in the firewall as they are in force: {self._trouble}")
        return ListsStatus(
            names=tuple(names),
            prefixes=0 if held is None else len(held.listed),
            settled=self._holder is None or (held is not None and held.digest == self._wanted.digest),
            problems=tuple(problems),
        )

    def _turn(self, holder: ListHolder, now_ms: int) -> bool:
        self._heed(holder, holder.changed())
        if self._trouble is not None and not self._retry.due(now_ms, self._retry_ms):
            return False
        if self._steps is None:
            self._steps = self._planned(holder)
        deadline_s = monotonic() + AT_ONCE_S
        for step in self._steps or ():
            step()
            if monotonic() >= deadline_s:
                return True
        self._steps = None
        self._trouble, self._retry_ms = None, FIRST_RETRY_MS
        return False

    def _heed(self, holder: ListHolder, change: Changed) -> None:
        """What others did to what is held: then it is not known any more, and filled anew."""
        held = self._held
        if change == "no" or self._steps is not None or held is None or not held.digest:
            return
        if change == "yes" or not holder.holds(held.digest, _sets(held)):
            logger.warning("others had changed the lists in the firewall, and they are put back")
            self._steps = self._filled(holder, self._wanted)

    def _planned(self, holder: ListHolder) -> Iterator[FillStep] | None:
        """What has to be done; None where nothing has."""
        wanted, held = self._wanted, self._held
        if held is not None and held.digest == wanted.digest:
            return None
        if not wanted.digest:
            return iter([partial(self._emptied, holder)])
        if held is None and holder.holds(wanted.digest, _sets(wanted)):
            self._held = wanted
            return None
        if held is None or not held.digest:
            return self._filled(holder, wanted)
        return self._changed(holder, held, wanted)

    def _emptied(self, holder: ListHolder) -> None:
        holder.drop()
        self._held = NOBODY

    def _filled(self, holder: ListHolder, wanted: Targets) -> Iterator[FillStep]:
        """All of it anew, beside what is there."""
        self._held = None
        yield holder.begin
        yield from _calls(holder, holder.add, "spared", wanted.spared.less(EMPTY))
        yield from _calls(holder, holder.add, "listed", wanted.listed.less(EMPTY))
        yield partial(holder.finish, wanted.digest)
        self._held = wanted

    def _changed(self, holder: ListHolder, held: Targets, wanted: Targets) -> Iterator[FillStep]:
        """The difference; where it fails, all of it anew."""
        self._held = None
        yield partial(holder.unmark, held.digest)
        yield from _calls(holder, holder.add, "spared", wanted.spared.less(held.spared))
        yield from _calls(holder, holder.remove, "listed", held.listed.less(wanted.listed))
        yield from _calls(holder, holder.add, "listed", wanted.listed.less(held.listed))
        yield from _calls(holder, holder.remove, "spared", held.spared.less(wanted.spared))
        yield partial(holder.finish, wanted.digest)
        self._held = wanted

    def _fail(self, error: EnforcementFailed, now_ms: int) -> None:
        """What is held is not known any more."""
        if self._trouble is None:
            logger.error("lists could not be put into the firewall, trying again reason=%s", error)
        self._retry.restart(now_ms)
        self._retry_ms = min(self._retry_ms * 2, LAST_RETRY_MS) if self._trouble else FIRST_RETRY_MS
        self._trouble = str(error)
        self._steps = self._held = None


def _sets(targets: Targets) -> set[tuple[Side, SetKey]]:
    """The sets that hold these."""
    found: set[tuple[Side, SetKey]] = {("listed", key) for key in targets.listed.heads()}
    found.update(("spared", key) for key in targets.spared.heads())
    return found


def _calls(
    holder: ListHolder, verb: SetVerb, side: Side, members: Iterable[tuple[SetKey, int]]
) -> Iterator[FillStep]:
    """Calls of a verb for these members, so many at once as the holder takes."""
    for key, group in groupby(members, key=itemgetter(0)):
        heads = (head for _, head in group)
        while some := list(islice(heads, holder.chunk)):
            yield partial(verb, side, key, some)
