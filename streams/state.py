"""A decider's state as messages: one record for the whole, and a bucket for each share of the subjects.

A subject's bucket is the CRC-32 of its text modulo BUCKETS. Only buckets whose subjects have changed are
written again; together with the offset in the whole's record they are the state after that input.

In a bucket, by jail: `f` the failures of a subject as at_ms, reference, at_ms, reference, ...; `b` a ban in
force as [ban, at_ms, until_ms, ban_count, while_banned]; `h` past bans as [ban_count, free_from_ms]; `n` the
bans in a network that may fill it as [at_ms, reference, subject]; `s` what several thresholds have used up of
a subject's failures, and those beside its ban, each as [at_ms, reference, at_ms, reference, ...]; `e` what a
tally has of a subject (streams.tally); `u` the failures of a user as [at_ms, place, prefix, at_ms, ...];
`p` those of an address by user; `g` when a login of a subject succeeded last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from zlib import crc32

import orjson

from schemas.rules import Jail, Rules
from streams import behaviour
from streams.decider import Decider
from streams.inputs import ANY_FILTER, NOBODY, Mark
from streams.jail import JailState
from streams.jails import state_of
from streams.knowing import KnowingJail
from streams.lists import Lists
from streams.marks import Marks
from streams.subjects import Held, Past
from streams.window import unflat

BUCKETS: Final = 1_024
WHOLE: Final = "decider"
MANY: Final = 16 * BUCKETS


def dump_whole(decider: Decider, place: Mapping[str, Any], marks: Mapping[Mark, int]) -> bytes:
    """The record of the whole: all but the subjects, and the place among the inputs where it holds."""
    return orjson.dumps(
        {
            **place,
            "now_ms": decider.now_ms,
            "sweep_at_ms": decider.sweep_at_ms,
            "newcomers": decider.newcomers,
            "rules": decider.rules.to_wire(),
            "allowed": decider.allowed,
            **({"lists": dumped} if any((dumped := decider.lists.dump()).values()) else {}),
            **({"behaviour": watched} if (watched := _watched(decider)) else {}),
            "marks": [[*(mark if mark[-1] else mark[:-1]), position] for mark, position in marks.items()],
            "jails": {
                name: [
                    *(jail.failures, jail.ignored, jail.bans, jail.dropped),
                    *(() if jail.tally is None else (jail.tally.now_s,)),
                ]
                for name, jail in decider.jails.items()
            },
        }
    )


def _watched(decider: Decider) -> dict[str, Any]:
    """What is usual for the jails that watch it."""
    return {name: baseline.dump() for name, baseline in decider.baselines.items()}


def load_whole(
    value: bytes, partition: int, state: Mapping[str, bytes] | None = None
) -> tuple[Decider, dict[str, Any], Marks]:
    """The decider without its subjects, the record with its place, and the marks; then `load_bucket` each.

    `state`: all there is, by key, the parts of lists among it.
    """
    whole = orjson.loads(value)
    decider = Decider(Rules.from_state(whole["rules"]), partition=partition, tracking=True)
    decider.now_ms = whole["now_ms"]
    decider.sweep_at_ms = whole["sweep_at_ms"]
    decider.newcomers = whole.get("newcomers", 0)
    decider.allowed = dict(whole["allowed"])
    decider.lists = Lists.load(whole.get("lists", {}), state or {})
    behaviour.load(decider, whole.get("behaviour", {}))
    for name, counts in whole["jails"].items():
        jail = _jail(decider, name)
        jail.failures, jail.ignored, jail.bans, jail.dropped, *clock = counts
        if clock and jail.tally is not None:
            (jail.tally.now_s,) = clock
    marks = Marks(
        ((source, incarnation, *_filter_and_host(*more)), position)
        for source, incarnation, *more, position in whole["marks"]
    )
    return decider, whole, marks


def _filter_and_host(name: str = ANY_FILTER, host: str = NOBODY) -> tuple[str, str]:
    """What a mark that was written has beyond source and incarnation: most have no host."""
    return name, host


def dump_buckets(decider: Decider, subjects: Iterable[str]) -> dict[str, bytes]:
    """The buckets of these subjects, by key; an empty value where nothing is left in one."""
    wanted = _buckets_of(set(subjects))
    grouped = [
        (
            jail,
            _grouped(jail.subjects, wanted),
            _grouped(jail.history, wanted),
            _grouped(jail.networks or (), wanted),
            _grouped(jail.tally or (), wanted),
            _grouped(jail.good if isinstance(jail, KnowingJail) else (), wanted),
        )
        for jail in decider.jails.values()
    ]
    buckets: dict[str, bytes] = {}
    for bucket in sorted(wanted):
        value = {
            jail.rules.name: part
            for jail, *groups in grouped
            if (part := _dump_part(jail, *(group[bucket] for group in groups)))
        }
        buckets[f"{bucket:04x}"] = orjson.dumps(value) if value else b""
    return buckets


def load_bucket(decider: Decider, value: bytes) -> None:
    """Put the subjects of a bucket into the decider."""
    for name, parts in orjson.loads(value).items():
        _load_part(_jail(decider, name), parts)


def bucket_of(subject: str) -> int:
    """The bucket of a subject, in 0..BUCKETS-1."""
    return crc32(subject.encode("utf-8", "surrogatepass")) % BUCKETS


def _buckets_of(subjects: set[str]) -> set[int]:
    """The buckets of these subjects; all where they are so many that hardly one is spared."""
    if len(subjects) >= MANY:
        return set(range(BUCKETS))
    return {bucket_of(subject) for subject in subjects}


def _grouped(subjects: Iterable[str], wanted: set[int]) -> dict[int, list[str]]:
    """Subjects by bucket, as far as wanted: a bucket at a time takes little memory to write."""
    groups: dict[int, list[str]] = {bucket: [] for bucket in wanted}
    for subject in subjects:
        # There may be a million: no call.
        group = groups.get(crc32(subject.encode("utf-8", "surrogatepass")) % BUCKETS)
        if group is not None:
            group.append(subject)
    return groups


def _dump_part(  # noqa: PLR0913, PLR0917 - one for each of what a jail keeps by subject
    jail: JailState,
    subjects: Sequence[str],
    past: Iterable[str],
    networks: Iterable[str],
    tallied: Iterable[str],
    good: Iterable[str],
) -> dict[str, Any]:
    """What one jail knows of these subjects, pasts and networks; empty where nothing is worth keeping."""
    failures, bans = jail.dumped(subjects)
    parts: dict[str, dict[str, Any]] = {"f": failures, "b": bans}
    parts["h"] = {subject: list(jail.history[subject]) for subject in past}
    if jail.tally is not None:
        parts[jail.tally.shape] = {name: jail.tally.dumped(name) for name in tallied}
    if jail.ladder is not None:
        parts["s"] = {name: saved for name in subjects if (saved := jail.ladder.dumped(name))}
    if jail.networks is not None:
        parts["n"] = {network: jail.networks.dumped(network) for network in networks}
    if isinstance(jail, KnowingJail):
        parts["g"] = {name: jail.good[name] for name in good}
    return {shape: part for shape, part in parts.items() if part}


def _load_part(jail: JailState, parts: Mapping[str, Mapping[str, Any]]) -> None:
    for subject, failures in parts.get("f", {}).items():
        jail.remember(subject, unflat(failures))
    for subject, facts in parts.get("b", {}).items():
        jail.hold(subject, Held(*facts))
    for subject, facts in parts.get("h", {}).items():
        jail.history[subject] = Past(*facts)
    _load_more(jail, parts)


def _load_more(jail: JailState, parts: Mapping[str, Mapping[str, Any]]) -> None:
    """What only some jails keep, as far as this one still does."""
    if jail.networks is not None:
        for network, bans in parts.get("n", {}).items():
            jail.networks.load(network, bans)
    if jail.tally is not None:
        for subject, facts in parts.get(jail.tally.shape, {}).items():
            jail.tally.load(subject, *facts)
    if isinstance(jail, KnowingJail):
        jail.good |= parts.get("g", {})
    if jail.ladder is not None:
        for subject, (used, beside) in parts.get("s", {}).items():
            jail.ladder.load(subject, used, beside)


def _jail(decider: Decider, name: str) -> JailState:
    """A jail of the decider; one that is gone from the rules comes back for the bans it still holds."""
    if name not in decider.jails:
        decider.jails[name] = state_of(Jail(name=name, filters=()), decider.rules.lateness_ms)
    return decider.jails[name]
