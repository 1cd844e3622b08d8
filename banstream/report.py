"""A page that shows a replay, or a sweep: one file that loads nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from banstream.charts import bars, lines
from banstream.differing import Difference
from banstream.pages import heading, page, paragraph, table, write_page
from banstream.show import counted, instant
from banstream.sweeping import Setting
from banstream.weighing import Weighed, dominated
from schemas.addresses import network_at
from schemas.durations import format_duration
from schemas.records import Ban
from schemas.rules import Rules

MOST_BARS: Final = 120
MOST_NAMED: Final = 50
HOUR_MS: Final = 3_600_000
SPANS_MS: Final = (HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS, 7 * 24 * HOUR_MS, 30 * 24 * HOUR_MS)


def write_report(
    path: Path,
    rules: Sequence[Rules],
    bans: Sequence[Sequence[Ban]],
    difference: Difference | None,
    warnings: Sequence[str] = (),
) -> None:
    """Write a replay as one page that needs nothing else; raises SourceError when it cannot."""
    write_page(path, page("Replay", _replayed(rules, bans, difference, warnings)))


def write_sweep(
    path: Path, grid: Sequence[Setting], outcomes: Sequence[Weighed], warnings: Sequence[str] = ()
) -> None:
    """Write a sweep likewise."""
    write_page(path, page("Sweep", _swept(grid, outcomes, warnings)))


def _replayed(
    rules: Sequence[Rules],
    bans: Sequence[Sequence[Ban]],
    difference: Difference | None,
    warnings: Sequence[str],
) -> Iterator[str]:
    yield paragraph(f"{counted(len(bans[0]), 'ban')} under rules {rules[0].version}.")
    yield from map(paragraph, warnings)
    yield _jails(rules[0])
    if difference is not None:
        yield heading(f"Under rules {rules[1].version}")
        yield paragraph(f"{difference.same} unchanged.")
        yield _jails(rules[1])
        yield _changes(difference)
    yield heading("Bans over time")
    yield bars(_over_time(bans[0]))
    for name, counts in (
        ("jail", Counter(ban.jail for ban in bans[0])),
        ("network", Counter(network_at(ban.prefix, 48 if ":" in ban.prefix else 24) for ban in bans[0])),
        ("country", Counter(ban.country or "not known" for ban in bans[0])),
    ):
        yield heading(f"By {name}")
        yield table((name, "bans"), counts.most_common(MOST_NAMED))
    yield heading("Bans")
    yield table(
        ("at", "prefix", "jail", "until", "failures", "ban"),
        [
            (instant(ban.at_ms), ban.prefix, ban.jail, instant(ban.until_ms), ban.count, ban.ban_count)
            for ban in bans[0]
        ],
    )


def _jails(rules: Rules) -> str:
    rows = [
        (jail.name, jail.maxretry, format_duration(jail.findtime_ms), format_duration(jail.bantime_ms))
        for jail in rules.jails
    ]
    return table(("jail", "maxretry", "findtime", "bantime"), rows)


def _changes(difference: Difference) -> str:
    columns = (
        "change",
        "prefix",
        "jail",
        "bans",
        "bans under the others",
        "for these failures",
    )
    rows = [
        (
            each.shown,
            each.prefix,
            each.jail,
            each.bans,
            each.other,
            "; ".join(failure.line or failure.place for failure in each.failures),
        )
        for each in difference.changes
    ]
    return table(columns, rows)


def _over_time(bans: Iterable[Ban]) -> list[tuple[str, int]]:
    """How many bans began in each stretch of equal length, MOST_BARS of them at most."""
    instants = [ban.at_ms for ban in bans]
    if not instants:
        return []
    first, last = min(instants), max(instants)
    widest = (last - first) // MOST_BARS + 1
    span = next((each for each in SPANS_MS if each >= widest), widest)
    counts = Counter(at_ms // span for at_ms in instants)
    return [(instant(at * span)[:16], counts[at]) for at in range(first // span, last // span + 1)]


def _swept(grid: Sequence[Setting], outcomes: Sequence[Weighed], warnings: Sequence[str]) -> Iterator[str]:
    yield from map(paragraph, warnings)
    names = [axis.name for axis, _ in grid[0].chosen]
    beaten = dominated(outcomes)
    for what in ("caught", "false_bans", "let_through"):
        yield heading(f"{what.replace('_', ' ')}, by {names[0]}".capitalize())
        yield lines(*_curves(grid, [getattr(each, what) for each in outcomes]))
    yield heading("All settings")
    yield table(
        (*names, "bans", "attackers", "caught", "false bans", "let through", ""),
        [
            (*setting.shown, each.bans, each.attackers, each.caught, each.false_bans, each.let_through, worse)
            for setting, each, worse in zip(
                grid, outcomes, ("dominated" if each else "" for each in beaten), strict=True
            )
        ],
    )


def _curves(grid: Sequence[Setting], values: Sequence[int]) -> tuple[list[str], dict[str, list[int]]]:
    """The first axis' values, and over them a curve for each choice of the others."""
    columns = list(dict.fromkeys(setting.shown[0] for setting in grid))
    rows: dict[str, list[int]] = {}
    for setting, value in zip(grid, values, strict=True):
        others = zip(setting.chosen[1:], setting.shown[1:], strict=True)
        name = ", ".join(f"{axis.name} {shown}" for (axis, _), shown in others)
        rows.setdefault(name, []).append(value)
    return columns, rows
