"""What is usual for a jail, by the minute, when it is left, and what that tightens."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.behaviours import Alert, Behaviour
from schemas.errors import InvalidMessage
from schemas.records import Ban, Decision
from schemas.rules import Jail, Rules, Threshold
from streams.behaviour import CALM, DAYS, DISTINCT, HOUR, MEASURES, MINUTE_MS, Baseline, middle
from streams.decider import Decider
from streams.runs import Columns, Run
from streams.state import dump_whole
from streams.window import reference
from tests.streams.folding import MINUTE, SECOND, restarted, rules

START = 29_000_040
"""A minute at which an hour begins."""
TEN = Behaviour(least=10, deviations=3)
Attempt = tuple[int, str, str | None]
"""When, in ms after START, from where, as whom."""


def decider(behaviour: Behaviour = TEN, **jail: object) -> Decider:
    """One whose jail watches how usual it is."""
    return Decider(rules(**{"maxretry": 1_000, "behaviour": behaviour, **jail}), tracking=True)


def fold(
    made: Decider, attempts: Sequence[Attempt], *, first: int = 0, frame: int = 7
) -> list[Decision | Alert]:
    """Fold failed attempts in frames from an offset on; decisions, and alerts in their order after them."""
    told: list[Decision | Alert] = []
    for offset, start in enumerate(range(0, len(attempts), frame), first):
        part = attempts[start : start + frame]
        rows = Columns(
            ["failed"] * len(part),
            [START * MINUTE_MS + at_ms for at_ms, _, _ in part],
            [ip for _, ip, _ in part],
            range(len(part)),
            ([user for *_, user in part], [22] * len(part)),
        )
        told += made.fold(Run(reference(offset), "sshd", rows), lambda index: f"line {index}")
        told += made.alerts()
    return told


def tries(minute: int, count: int, addresses: int = 1, users: int = 1) -> list[Attempt]:
    """So many failures at the beginning of a minute, of so many addresses and users."""
    first = minute * MINUTE_MS
    return [
        (first + nth, f"198.51.{nth % addresses >> 8}.{nth % addresses & 255}", f"u{nth % users}")
        for nth in range(count)
    ]


def usual(minutes: range, count: int = 4) -> list[Attempt]:
    """As many failures in each of these minutes, half of them one more."""
    return [each for minute in minutes for each in tries(minute, count + minute % 2)]


def alerts(told: list[Decision | Alert]) -> list[tuple[str, int, int, int, int, int]]:
    """Of each alert: what, the minute after START, how many, and what would be usual, and allowed."""
    return [
        (
            each.measure,
            each.minute_ms // MINUTE_MS - START,
            each.count,
            each.usual,
            each.deviation,
            each.limit,
        )
        for each in told
        if isinstance(each, Alert)
    ]


def test_the_failure_too_many_alerts_once_until_five_minutes_are_calm() -> None:
    """More than the median of the hour before, three deviations, and ten at least; in numbers to check."""
    made = decider()
    told = fold(made, [*usual(range(61)), *tries(61, 12), *tries(62, 50)])
    assert alerts(told) == [("failures", 61, 11, 4, 0, 10)]
    (alert,) = [each for each in told if isinstance(each, Alert)]
    assert (alert.jail, alert.basis, alert.tightened, alert.rules) == (
        "sshd",
        "last hour",
        False,
        made.version,
    )
    assert alert.at_ms == (START + 61) * MINUTE_MS + 10
    assert fold(made, [*usual(range(63, 67)), *tries(67, 50)], first=100) == [], (
        "four calm minutes are not enough"
    )
    assert len(alerts(fold(made, [*usual(range(68, 68 + CALM)), *tries(68 + CALM, 20)], first=200))) == 1


@pytest.mark.parametrize(
    ("minute", "expected"),
    [
        (tries(61, 30, addresses=30), {"failures", "addresses"}),
        (tries(61, 30, users=30), {"failures", "users"}),
        (tries(61, 10, addresses=10, users=10), set()),
    ],
)
def test_addresses_and_users_are_measured_too(minute: list[Attempt], expected: set[str]) -> None:
    """Each by itself; no more than the least is never unusual."""
    told = fold(decider(), [*usual(range(61)), *minute])
    assert {what for what, *_ in alerts(told)} == expected


def test_nothing_is_unusual_in_the_first_hour_and_late_events_count_nothing() -> None:
    """What was before is not known; a minute that is over is over."""
    assert fold(decider(), [*usual(range(59)), *tries(59, 500)]) == []
    made = decider()
    assert fold(made, [*usual(range(61)), *tries(61, 1), *tries(60, 500)]) == []


def test_a_busy_hour_of_the_day_is_usual_after_a_day() -> None:
    """The same hour of earlier days counts where it allows more; an hour's quiet does not make it strange."""
    quiet, busy = decider(), decider()
    for made, count in ((quiet, 4), (busy, 40)):
        fold(made, usual(range(60), count))
        fold(made, usual(range(22 * 60, 24 * 60)), first=500)
    day = 24 * 60
    assert [each[1:] for each in alerts(fold(quiet, tries(day + 1, 41), first=2_000))] == [
        (day + 1, 11, 4, 1, 10)
    ]
    assert alerts(fold(busy, tries(day + 1, 43), first=2_000)) == []
    (told,) = fold(busy, tries(day + 2, 44), first=3_000)
    assert isinstance(told, Alert)
    assert (told.basis, told.usual, told.deviation, told.limit) == ("same hour of earlier days", 40, 0, 43)


def test_tighten_halves_maxretry_while_it_lasts() -> None:
    """Whoever has half as many already is banned by the next; afterwards it is as before."""
    made = decider(Behaviour(least=10, tighten=True), maxretry=6, findtime_ms=10 * MINUTE)
    quiet = [(minute * MINUTE_MS, f"192.0.2.{minute}", None) for minute in range(61)]
    at_ms = 61 * MINUTE_MS
    slow: list[Attempt] = [(at_ms, "203.0.113.9", None)] * 2
    told = fold(made, [*quiet, *slow, *tries(61, 30, addresses=30), (at_ms + 40, "203.0.113.9", None)])
    assert any(isinstance(each, Alert) and each.tightened for each in told)
    (ban,) = [each for each in told if isinstance(each, Ban)]
    assert (ban.prefix, ban.count) == ("203.0.113.9", 3)
    assert ban.why == "maxretry is halved while the jail's minutes are unusual"
    calm = [((62 + nth) * MINUTE_MS, f"192.0.3.{nth}", None) for nth in range(CALM + 1)]
    later: list[Attempt] = [(70 * MINUTE_MS + nth, "203.0.113.10", None) for nth in range(5)]
    assert fold(made, [*calm, *later], first=100) == []


def test_what_does_not_go_together_is_refused() -> None:
    """Rules that say both, whoever wrote them; without tighten it goes with all but jails on bans."""
    tight = Behaviour(tighten=True)
    step = Threshold(maxretry=9, findtime_ms=MINUTE, bantime_ms=MINUTE)
    for fields in ({"prolong": True}, {"steps": (step,)}, {"distinct": "user"}, {"window": "leaky"}):
        with pytest.raises(InvalidMessage, match="tighten goes with one threshold"):
            Rules.from_wire(rules(behaviour=tight, **fields).to_wire())
        Rules.from_wire(rules(behaviour=TEN, **fields).to_wire())
    with pytest.raises(InvalidMessage):
        Rules.from_wire(Rules(jails=(Jail(name="x", filters=(), on="bans", behaviour=TEN),)).to_wire())


def test_a_flood_takes_little_memory() -> None:
    """A million addresses in a minute are as many as tell, and the state is small."""
    baseline = Baseline(TEN)
    for nth in range(100_000):
        baseline.see(START * MINUTE_MS, f"2001:db8::{nth:x}", f"u{nth}")
    assert baseline.counts == (100_000, DISTINCT, DISTINCT)
    for minute in range(1, 9 * 24 * 60):
        baseline.see((START + minute) * MINUTE_MS, "192.0.2.1", None)
    dumped = baseline.dump()
    assert len(dumped["days"]) == 24
    assert max(map(len, dumped["days"].values())) == DAYS
    assert len(dumped["recent"]) == HOUR


def test_a_clock_that_was_ahead_begins_anew() -> None:
    """What it made to lie in the future was never usual."""
    made = decider()
    fold(made, usual(range(61)))
    made.step_back(START * MINUTE_MS, SECOND)
    assert made.baselines["sshd"].minute == -1


@given(st.lists(st.integers(0, 99), min_size=1, max_size=60))
def test_the_middle_is_the_median(numbers: list[int]) -> None:
    """As the standard library has it."""
    median, deviation = middle(numbers)
    assert median == statistics.median_low(numbers)
    assert deviation == statistics.median_low([abs(each - median) for each in numbers])


MINUTES = st.tuples(st.integers(0, 26 * 60), st.integers(1, 40), st.integers(1, 5))


@settings(deadline=None, max_examples=80)
@given(
    st.lists(MINUTES, max_size=60, unique=True),
    st.tuples(st.integers(1, 9), st.integers(0, 400)),
    st.integers(0, 8),
)
def test_it_alerts_as_one_who_looks_at_the_whole_past_would(
    minutes: list[tuple[int, int, int]], cuts: tuple[int, int], base: int
) -> None:
    """However the events are cut, saved and loaded; by counts of each minute there ever was."""
    wanted = {minute: (base, 1) for minute in range(90) if base}
    wanted |= {minute: (count, addresses) for minute, count, addresses in minutes}
    attempts = [each for minute in sorted(wanted) for each in tries(minute, *wanted[minute])]
    frame, cut = cuts
    made = decider(Behaviour(least=5, deviations=2))
    told = fold(made, attempts[:cut], frame=frame)
    told += fold(restarted(made), attempts[cut:], first=10_000, frame=frame)
    assert [each[:2] for each in alerts(told)] == oracle(attempts, Behaviour(least=5, deviations=2))


def counted(some: Sequence[Attempt]) -> list[int]:
    """Failures, addresses and users of these."""
    return [len(some), len({ip for _, ip, _ in some}), len({user for *_, user in some})]


def oracle(attempts: list[Attempt], behaviour: Behaviour) -> list[tuple[str, int]]:
    """The alerts, counted from the beginning for each minute; minutes before the first count as none."""
    by_minute: dict[int, list[Attempt]] = {}
    for each in attempts:
        by_minute.setdefault(each[0] // MINUTE_MS, []).append(each)
    first, told, left, calm = min(by_minute, default=0), list[tuple[str, int]](), set[str](), 0
    past: list[list[int]] = [[], [], []]
    for minute in range(first, max(by_minute, default=-1) + 1):
        limits = [known(counts, first, minute, behaviour) for counts in past]
        some = by_minute.get(minute, [])
        for count in range(1, len(some) + 1) if minute - first >= HOUR else ():
            now = zip(MEASURES, counted(some[:count]), limits, strict=True)
            for what in [what for what, number, most in now if number > most and what not in left]:
                left.add(what)
                told.append((what, minute))
                calm = 0
        within = all(number <= most for number, most in zip(counted(some), limits, strict=True))
        calm = calm + 1 if within else 0
        if calm >= CALM:
            left.clear()
        for counts, number in zip(past, counted(some), strict=True):
            counts.append(number)
    return told


def known(counts: Sequence[int], first: int, minute: int, behaviour: Behaviour) -> int:
    """How many a minute may have, by the counts of all minutes since the first; only whole hours count."""
    pasts = [middle(list(counts[-HOUR:]) or [0])]
    hour = minute // HOUR * HOUR
    starts = [hour - day * 24 * HOUR - first for day in range(1, DAYS + 1)]
    days = [middle(list(counts[start : start + HOUR])) for start in starts if start >= 0]
    if days:
        pasts.append((middle([day[0] for day in days])[0], middle([day[1] for day in days])[0]))
    return max(behaviour.least, *(one + behaviour.deviations * max(two, 1) for one, two in pasts))


def test_long_names_are_told_apart_and_saved_short() -> None:
    """Whoever makes up names of a thousand characters makes no checkpoint that the log does not take."""
    made = decider()
    fold(made, [(0, "192.0.2.1", f"{nth % 3_000:04}" + "\U0001f600" * 1_000) for nth in range(6_000)])
    baseline = made.baselines["sshd"]
    assert baseline.counts == (6_000, 1, DISTINCT)
    assert len(dump_whole(made, {}, {})) < 64 * 1_024
    again = decider()
    fold(again, [(0, "192.0.2.1", f"{nth % 9}" + "x" * 1_000) for nth in range(90)])
    assert again.baselines["sshd"].counts == (90, 1, 9)
