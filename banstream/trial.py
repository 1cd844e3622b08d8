"""A replay: rules on trial over raw files or over the event log, without touching anything.

Over files, the log is the files themselves: an event's place is its file's number and the byte at which its
line starts, so nothing depends on how they are read. Several files are one stream, merged by the events'
times. Jails see every file, whatever sources they are configured to read.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from logging import getLogger
from typing import Any, Final, NamedTuple

from banstream.sentences import unnamed, untimed
from eventlog.contract import Append, EventLog, Message
from producers.atlas import NOWHERE, Atlas, WhereaboutsFiles
from producers.filters import Filter
from producers.offline import MatchedLines, is_address
from producers.requests import NO_FIELDS, PATH
from schemas.behaviours import Alert
from schemas.codec import to_wire
from schemas.deciding import Dispatch
from schemas.records import Ban, Decision, ListChanged, Prolong, Unban
from schemas.rules import Rules
from schemas.topics import COMMANDS, DECISIONS, EVENTS
from streams.decider import Decider
from streams.fold import KINDS, Fold
from streams.inputs import Frame
from streams.order import INPUTS, Again, Goal, first_step, read_page
from streams.partition import FoldCall, is_own, position_of
from streams.routes import Regions, Routes, route_to
from streams.runs import NO_DECOY, Routed, Run, runs_of
from streams.window import reference

log = getLogger("banstream")

FILE_BITS: Final = 44
ROWS_A_FOLD: Final = 8_192
OnRuns = Callable[[Sequence[Run], Sequence[Sequence[Decision]]], None]
"""Is shown some runs of events, and what each of the rules made of them; runs alone, decisions alone."""


@dataclass(slots=True)
class ReplayCounts:
    """What a replay has gone through.

    `untimed`: events of lines whose time could not be read; `unnamed`: those left out for lack of an address.
    `alerts`: that the first rules led to, of jails that watch their behaviour; who tells them takes them out.
    """

    lines: int = 0
    events: int = 0
    untimed: int = 0
    unnamed: int = 0
    decisions: int = 0
    alerts: list[Alert] = field(default_factory=list)


def warnings_of(counts: ReplayCounts) -> list[str]:
    """What is to be known of a replay's events before its decisions are believed, a sentence each."""
    told = ((counts.untimed, untimed), (counts.unnamed, unnamed))
    return [sentence(count) for count, sentence in told if count]


def anywhere(rules: Rules) -> Rules:
    """The same rules for files that no jail names as its source, and that nobody has labelled."""
    return replace(rules, jails=tuple(replace(jail, sources=(), labels={}) for jail in rules.jails))


def over_files(  # noqa: PLR0913 - what most callers leave as it is comes last
    rules: Sequence[Rules],
    filters: Sequence[Filter],
    streams: Sequence[Iterator[MatchedLines]],
    counts: ReplayCounts,
    lists: Sequence[ListChanged] = (),
    *,
    atlas: Atlas | None = None,
    watch: OnRuns | None = None,
) -> Iterator[list[list[Decision]]]:
    """Fold the events of files, one stream each, under each of several rules: the decisions of each.

    `lists`: in force from the beginning on. `atlas`: knows where addresses are, for jails that go by it.
    `watch`: is shown the events, and what was made of them.
    """
    deciders = [Decider(anywhere(each)) for each in rules]
    for decider in deciders:
        for part in lists:
            decider.apply(0, part)
    asked = _Asked(
        any(decider.routes.selective for decider in deciders),
        frozenset[str]().union(*(decider.routes.decoys for decider in deciders)),
        any(decider.routes.asking for decider in deciders),
        Regions(
            frozenset[str]().union(*(decider.routes.regions.countries for decider in deciders)),
            frozenset[int]().union(*(decider.routes.regions.systems for decider in deciders)),
        ),
        atlas or Atlas(WhereaboutsFiles()),
    )
    runs = [_runs(number, stream, filters, counts, asked) for number, stream in enumerate(streams)]
    for run in runs[0] if len(runs) == 1 else _merged(runs):
        counts.events += len(run.rows)
        decided = [decider.fold(run, _no_line) for decider in deciders]
        counts.decisions += len(decided[0])
        counts.alerts += _alerts(deciders)
        if watch is not None:
            watch((run,), decided)
        yield decided


def _alerts(deciders: Sequence[Decider]) -> list[Alert]:
    """The alerts that the first has given since this was asked last; the others' are nobody's."""
    first, *_ = [decider.alerts() if decider.baselines else [] for decider in deciders]
    return first


def over_log(  # noqa: PLR0913 - what most callers leave as it is comes last
    rules: Sequence[Rules],
    log: EventLog,
    since_ms: int,
    until_ms: int,
    counts: ReplayCounts,
    *,
    watch: OnRuns | None = None,
) -> Iterator[list[list[Decision]]]:
    """Fold what was appended within a stretch of time, under each of several rules.

    The operators' commands up to then are obeyed again, in the order in which they were; the rules that held
    then are not. What partitions told each other is told anew, at once.
    """
    stretch = since_ms, until_ms
    trials = [_LogTrial(rules, log, number, stretch, counts) for number in range(log.partitions)]
    for trial in trials:
        trial.watch = watch
    under_way = {trial: trial.again(since_ms) for trial in trials}
    while under_way:
        trial = min(under_way, key=lambda each: (each.reached_ms, each.number))
        want = under_way[trial].want()
        if want is None:
            del under_way[trial]
        else:
            read_page(log, trial.number, under_way[trial], want)
        trial.tell_others(trials)
        for each in trials:
            yield from each.taken()
    counts.events += sum(trial.folds[0].events for trial in trials)


class _LogTrial:
    """One partition under each of several rules; what is older than the stretch is folded, and not told.

    Attributes:
        reached_ms: when the newest event that was folded came into the log.
        watch: is shown the events, and what was made of them.
    """

    watch: OnRuns | None = None

    def __init__(
        self,
        rules: Sequence[Rules],
        log: EventLog,
        number: int,
        stretch: tuple[int, int],
        counts: ReplayCounts,
    ) -> None:
        self.number = number
        self.reached_ms = -1
        shared = not is_own(log, number)
        self.folds = [
            Fold(Decider(each, partition=number), log.partitions, governed=False, shared=shared)
            for each in rules
        ]
        asked = [(each.selective, each.decoys, each.valued, each.regions) for each in self._routes()]
        self._alike = asked.count(asked[0]) == len(asked)
        self._log = log
        self._stretch = stretch
        self._counts = counts
        self._told = 0
        self._decided: list[list[list[Decision]]] = []

    def _routes(self) -> Iterator[Routes]:
        return (fold.decider.routes for fold in self.folds)

    def again(self, since_ms: int) -> Again:
        """What is to be folded, of the events those from an instant on."""
        log, number = self._log, self.number
        position, end = position_of(log, number), log.end(EVENTS.name, number)
        for fold in self.folds:
            fold.authority_from = position.get("authority", end if position else 0)
        reached = {topic: log.begin(topic, number) for topic in (*INPUTS, DECISIONS.name)}
        reached[EVENTS.name] = log.offset_at(EVENTS.name, number, since_ms)
        goal = Goal(end - 1, position.get("steps", 0), None)
        return Again(self, goal, first_step(log, number), reached)

    def decide(self, messages: Iterable[Message]) -> list[Append]:
        """Fold events of the stretch."""
        for message in messages:
            self.reached_ms = max(self.reached_ms, message.at_ms)
            if message.at_ms < self._stretch[1]:
                self._counts.lines += message.value.count(b"\n") + 1
                frames = _Frames(self.folds, alike=self._alike)
                decided = [_taken(partial(frames.take, fold), message) for fold in self.folds]
                self._tell(decided, message.at_ms, frames.runs)
        return []

    def obey(self, topic: str, messages: Iterable[Message]) -> list[Append]:
        """Fold commands, those before the stretch, too: an allow of last year holds."""
        for message in messages if topic == COMMANDS.name else ():
            if message.at_ms < self._stretch[1]:
                self._tell([_taken(partial(fold.obey, topic), message) for fold in self.folds], message.at_ms)
        return []

    def pass_time(self, at_ms: int) -> list[Append]:
        """Let time pass."""
        if at_ms < self._stretch[1]:
            self._tell([fold.pass_time(at_ms) for fold in self.folds], at_ms)
        return []

    def tell_others(self, trials: Sequence[_LogTrial]) -> None:
        """Tell other partitions what there is for them, and let them tell what follows."""
        for nth, fold in enumerate(self.folds):
            for (topic, home), records in fold.decider.take_sent().items():
                trials[home].hear(nth, KINDS[topic], records, self.reached_ms)
                trials[home].tell_others(trials)

    def hear(self, nth: int, kind: str, records: Iterable[Dispatch], at_ms: int) -> None:
        """Take what another partition tells under the `nth` rules."""
        decided: list[list[Decision]] = [[] for _ in self.folds]
        for record in records:
            self._told += 1
            decided[nth] += self.folds[nth].decider.apply(reference(self._told), record, kind=kind)
        self._tell(decided, at_ms)

    def taken(self) -> Iterator[list[list[Decision]]]:
        """What was decided since the last call."""
        decided, self._decided = self._decided, []
        return iter(decided)

    def _tell(self, decided: list[list[Decision]], at_ms: int, runs: Sequence[Run] = ()) -> None:
        alerts = _alerts([fold.decider for fold in self.folds])
        if at_ms >= self._stretch[0]:
            self._counts.decisions += len(decided[0])
            self._counts.alerts += alerts
            self._decided.append(decided)
            if self.watch is not None:
                self.watch(runs, decided)


class _Frames:
    """A message of the events as each fold reads it: once for all of them where they ask alike."""

    def __init__(self, folds: Sequence[Fold], *, alike: bool) -> None:
        self._first = folds[0]
        self._alike = alike
        self._frame: Frame | None = None
        self.runs: list[Run] = []

    def take(self, fold: Fold, message: Message) -> tuple[list[Decision], Frame]:
        """What a fold decides, and what it read."""
        frame = self._frame if self._alike and self._frame is not None else fold.read(message)
        if fold is self._first:
            self._frame = frame
            self.runs = [run for run in frame.runs if isinstance(run, Run)]
        return fold.fold_frame(message, frame), frame


def _taken(fold: FoldCall, message: Message) -> list[Decision]:
    """Fold a message; one at which folding fails is passed over, as it is live, and said."""
    try:
        return fold(message)[0]
    except Exception as error:  # noqa: BLE001 - whatever the fault is, the replay goes on
        log.warning(
            "A message cannot be folded, and is passed over partition=%d offset=%d reason=%r",
            message.partition,
            message.offset,
            error,
        )
        return []


def wire(decision: Decision | Alert) -> dict[str, Any]:
    """A decision as `replay` prints it, or an alert."""
    if isinstance(decision, Alert):
        alert = to_wire(decision)
        return {"kind": alert.pop("type"), **{name: alert[name] for name in alert if name != "id"}}
    facts: dict[str, Any] = {
        "kind": decision.TYPE,
        "prefix": decision.prefix,
        "jail": decision.jail,
        "at_ms": decision.at_ms,
    }
    match decision:
        case Ban():
            facts |= {
                "until_ms": decision.until_ms,
                "count": decision.count,
                "ban_count": decision.ban_count,
                **({} if decision.why is None else {"why": decision.why}),
            }
        case Unban():
            facts |= {"reason": decision.reason, "while_banned": decision.while_banned}
        case Prolong():
            facts |= {"until_ms": decision.until_ms}
    return facts


class _Asked(NamedTuple):
    """What jails ask of an event besides its filter: where it is from, and whether its user is a decoy.

    Attributes:
        asking: for requests, so that rows must have their paths.
        regions: what they name of where addresses are; `atlas`: who knows that.
    """

    selective: bool
    decoys: frozenset[str]
    asking: bool
    regions: Regions
    atlas: Atlas

    def route_to(self, name: str, path: str, host: str | None, ip: str) -> str:
        """The route of an event in a file."""
        if not self.selective:
            return name
        country, asn, _ = self.atlas.of(ip) if any(self.regions) else NOWHERE
        return route_to(name, f"file:{path}", host, whereabouts=self.regions.of(country, asn))


def _runs(
    number: int,
    batches: Iterator[MatchedLines],
    filters: Sequence[Filter],
    counts: ReplayCounts,
    asked: _Asked,
) -> Iterator[Run]:
    """The events of one file, in runs of one route."""
    names = [each.name for each in filters]
    for each in batches:
        batch = _of_addresses(each, counts)
        counts.lines += batch.data.count(b"\n")
        counts.untimed += batch.untimed
        base = number << FILE_BITS | batch.base
        if len(names) == 1 and not (asked.selective or asked.decoys or asked.asking):
            yield Run(base, names[0], batch.rows[0])
            continue
        found: list[Routed] = [
            (
                asked.route_to(name, batch.path, host, ip),
                user if user is not None and user in asked.decoys else NO_DECOY,
                (kind, at_ms, ip, start, start, user, port, 1, (fields or NO_FIELDS).get(PATH)),
            )
            for name, rows in zip(names, batch.rows, strict=True)
            for kind, at_ms, ip, start, _, user, port, host, _, _, fields in rows
        ]
        found.sort(key=lambda each: each[2][3])
        yield from runs_of(base, found)


def _of_addresses(batch: MatchedLines, counts: ReplayCounts) -> MatchedLines:
    """A batch without the events of host names and other ids: a replay asks nobody what they stood for."""
    unnamed = batch.unnamed
    counts.unnamed += unnamed
    return (
        batch._replace(rows=tuple(list(filter(is_address, rows)) for rows in batch.rows))
        if unnamed
        else batch
    )


def _merged(streams: Sequence[Iterator[Run]]) -> Iterator[Run]:
    """The events of several files in the order of their times, a run each time the route changes."""
    merged = heapq.merge(*map(_singly, streams), key=_at_ms_of)
    while some := list(islice(merged, ROWS_A_FOLD)):
        yield from runs_of(0, some)


def _singly(runs: Iterator[Run]) -> Iterator[Routed]:
    return (
        (run.route, run.decoy, (kind, at_ms, ip, run.base + index, *rest))
        for run in runs
        for kind, at_ms, ip, index, *rest in run.rows
    )


def _at_ms_of(routed: Routed) -> int:
    return routed[2][1]


def _no_line(_index: int) -> str | None:
    return None
