"""`banstream replay`: what the rules would decide, in event time, without touching anything."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Final, get_args

import click

from banstream.config import Settings, load_settings
from banstream.differing import (
    BansUnder,
    Difference,
    compare,
    in_files,
    in_log,
    sentences,
    summary,
    told,
)
from banstream.instants import Instant, now_ms
from banstream.known_good import FalseBan, KnownGood, false_bans, note_logins, read_known_good
from banstream.lists.once import read_once
from banstream.narrowing import Only, narrowed
from banstream.options import config_option, json_option
from banstream.progress import progress
from banstream.reading import open_to_read
from banstream.report import write_report, write_sweep
from banstream.sentences import sentence
from banstream.show import counted, json_line, note, printable, say, show, table
from banstream.sweeping import Setting, settings_of
from banstream.trial import FILE_BITS, OnRuns, ReplayCounts, over_files, over_log, warnings_of, wire
from banstream.watches import form_of_file
from banstream.weighing import Weighed, Weighing, dominated
from producers.atlas import Atlas
from producers.filters import filters_of, laid_out
from producers.offline import MatchedLines, match_files
from schemas.behaviours import Alert
from schemas.durations import format_duration
from schemas.errors import ConfigError
from schemas.records import Ban, Decision
from schemas.rules import Rules, WindowKind

MOST_FAILURES: Final = 3
"""Of each change so many failures are shown to people."""


@click.command("replay")
@click.option("--since", type=Instant(), metavar="INSTANT", help="Over the event log, from this instant on.")
@click.option("--until", type=Instant(), metavar="INSTANT", help="... to this instant [default: now].")
@click.option(
    "--now", "now", type=Instant(), metavar="INSTANT", help="Of lines without a year [default: mtime]."
)
@click.option(
    "--window",
    type=click.Choice(get_args(WindowKind)),
    help="How failures are counted [default: as each jail says].",
)
@click.option("--diff", "other_file", metavar="OTHER.toml", help="Whom other rules would ban, and whom not.")
@click.option(
    "--known-good",
    "known_good",
    metavar="FILE|successes",
    help="Who must not be banned: prefixes, one a line, or whoever logged in; exit code 1 if one would be.",
)
@click.option(
    "--sweep",
    "swept",
    multiple=True,
    metavar="[JAIL.]KEY=VALUES",
    help="What each setting of a grid would do: maxretry=3..8, findtime=1m,10m, bantime=1h.",
)
@click.option("--host", "hosts", multiple=True, help="Only events of this host; may be repeated.")
@click.option("--source", "sources", multiple=True, help="Only of this source, over the event log.")
@click.option("--filter", "filters", multiple=True, metavar="NAME", help="Only of this filter.")
@click.option("--report", "report_file", metavar="FILE.html", help="Write the result as a page, too.")
@click.option("--stats", is_flag=True, help="Counts and speed as one JSON line last; alone: only that.")
@json_option
@config_option
@click.argument("files", nargs=-1, metavar="FILE|-...")
def replay_command(files: tuple[str, ...], **options: Any) -> int:
    r"""What the rules would decide, over log files, or over the event log's own history.

    \b
    banstream replay /var/log/auth.log*
    banstream replay --since 30d --diff stricter.toml
    banstream replay --config new.toml --known-good office.txt auth.log
    banstream replay --sweep maxretry=3..8 --sweep findtime=1m,10m,1h auth.log

    Given log files, this machine's own event log is never touched. Exit code 1 when nobody is banned; with
    --known-good, when one of those would be, under the rules on trial: OTHER.toml's, where there is one.
    """
    if bool(files) == (options["since"] is not None):
        raise click.UsageError("name log files, or a stretch of the event log by --since")
    if files and options["sources"]:
        raise click.UsageError("--source is of the event log: of files name those that are meant")
    if options["swept"] and (options["other_file"] or options["window"]):
        raise click.UsageError("--sweep goes with neither --diff nor --window")
    return _replay(files, ReplayOptions(**options))


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """The command's options, by their names."""

    since: int | None
    until: int | None
    now: int | None
    window: WindowKind | None
    other_file: str | None
    known_good: str | None
    swept: tuple[str, ...]
    hosts: tuple[str, ...]
    sources: tuple[str, ...]
    filters: tuple[str, ...]
    report_file: str | None
    stats: bool
    as_json: bool
    config_file: str | None

    @property
    def only(self) -> Only:
        """Which events count."""
        return Only(self.hosts, self.sources, self.filters)

    @property
    def quiet(self) -> bool:
        """Only counts are wanted."""
        return self.stats and not self.as_json


def _replay(files: tuple[str, ...], options: ReplayOptions) -> int:
    settings = load_settings(options.config_file, check="filters")
    both = [settings]
    if options.other_file:
        both.append(load_settings(options.other_file, check="filters"))
    both = [_counted_by(options.window, each) for each in both]
    good = None if options.known_good is None else read_known_good(options.known_good)
    if options.swept:
        return _sweep(settings, files, good or KnownGood(), options)
    rules = [narrowed(each.rules(), options.only) for each in both]
    counts, started = ReplayCounts(), perf_counter()
    watch = None if good is None else partial(note_logins, good)
    banned = [BansUnder() for _ in rules]
    for decided in _steps(both, rules, files, options, counts, watch):
        if not options.quiet and not options.other_file:
            _print([*decided[0], *counts.alerts], as_json=options.as_json)
        counts.alerts.clear()
        for of_rules, decisions in zip(banned, decided, strict=True):
            of_rules.take(decisions)
    bans = [each.bans for each in banned]
    wrong = [] if good is None else false_bans(good, bans[-1])
    difference = _difference(banned, both[0], files, options) if options.other_file else None
    _conclude(rules, bans, difference, options, counts)
    if good is not None and not options.quiet:
        _print_false_bans(wrong, as_json=options.as_json)
    _tell(counts, rules[0], len(bans[0]), perf_counter() - started, options)
    return int(bool(wrong)) if good is not None else int(not any(bans))


def _steps(
    both: list[Settings],
    rules: Sequence[Rules],
    files: tuple[str, ...],
    options: ReplayOptions,
    counts: ReplayCounts,
    watch: OnRuns | None,
) -> Iterator[list[list[Decision]]]:
    if files:
        return _over_files(both, rules, files, options.now, counts, watch)
    stretch = options.since or 0, options.until or now_ms()
    return over_log(rules, open_to_read(both[0]), *stretch, counts, watch=watch)


def _sweep(settings: Settings, files: tuple[str, ...], good: KnownGood, options: ReplayOptions) -> int:
    """What each setting of a grid would do, in one pass."""
    grid = settings_of(narrowed(settings.rules(), options.only), options.swept)
    rules = [setting.rules for setting in grid]
    weighing = Weighing(rules, good)
    counts, started = ReplayCounts(), perf_counter()
    for _ in _steps([settings], rules, files, options, counts, weighing.see):
        counts.alerts.clear()
    outcomes = weighing.outcomes()
    if not options.quiet:
        _print_sweep(grid, outcomes, as_json=options.as_json)
    if options.report_file:
        write_sweep(Path(options.report_file), grid, outcomes, warnings_of(counts))
    _tell_counts(counts, counted(len(grid), "setting"), perf_counter() - started, options)
    return int(not any(each.bans for each in outcomes))


def _print_sweep(grid: Sequence[Setting], outcomes: Sequence[Weighed], *, as_json: bool) -> None:
    beaten = dominated(outcomes)
    if as_json:
        for setting, outcome, worse in zip(grid, outcomes, beaten, strict=True):
            wire = {"kind": "sweep", "settings": setting.to_wire(), **outcome.to_wire(), "dominated": worse}
            json_line(wire)
        return
    columns = [axis.name for axis, _ in grid[0].chosen]
    columns += ["bans", "caught", "false bans", "let through", ""]
    rows = [
        (
            *setting.shown,
            outcome.bans,
            f"{outcome.caught} of {outcome.attackers}",
            outcome.false_bans,
            outcome.let_through,
            "dominated" if worse else "",
        )
        for setting, outcome, worse in zip(grid, outcomes, beaten, strict=True)
    ]
    show(table("", columns, rows))


def _print_false_bans(wrong: Sequence[FalseBan], *, as_json: bool) -> None:
    for each in wrong:
        if as_json:
            json_line(each.to_wire())
        else:
            say(each.sentence())
    if not as_json:
        say(f"{counted(len(wrong), 'ban')} of somebody known to be good.")


def _counted_by(window: WindowKind | None, settings: Settings) -> Settings:
    """The same with all jails' failures counted in one way, where one is asked for."""
    if window is None:
        return settings
    stepped = [jail.rules.name for jail in settings.jails if jail.rules.steps or jail.rules.first_scope]
    if stepped and window != "exact":
        raise ConfigError(f"--window {window}: jail {stepped[0]} has several steps, and that has one")
    jails = tuple(replace(jail, rules=replace(jail.rules, window=window)) for jail in settings.jails)
    return replace(settings, jails=jails)


def _thresholds(rules: Rules) -> str:
    """What each jail bans at, in words."""
    return "; ".join(
        f"{jail.name} bans at {jail.maxretry} events ({', '.join(jail.kinds)}) "
        f"within {format_duration(jail.findtime_ms)}"
        for jail in rules.jails
    )


def _tell(counts: ReplayCounts, rules: Rules, bans: int, seconds: float, options: ReplayOptions) -> None:
    """What was gone through, and what is to be known of it."""
    _tell_counts(counts, counted(bans, "ban"), seconds, options)
    if not (options.stats or options.as_json or bans):
        note(f"Nobody would have been banned: {_thresholds(rules)}.")


def _tell_counts(counts: ReplayCounts, what: str, seconds: float, options: ReplayOptions) -> None:
    if options.stats:
        _print_stats(counts, seconds)
    elif not options.as_json:
        told = counted(counts.lines, "line"), counted(counts.events, "event"), what
        note(f"{', '.join(told)} in {seconds:.2f} s")
        for warning in warnings_of(counts):
            note(warning)


def _difference(
    banned: Sequence[BansUnder], settings: Settings, files: tuple[str, ...], options: ReplayOptions
) -> Difference:
    found = compare(*banned)
    if options.quiet and not options.report_file:
        return found
    if files:
        return told(found, partial(in_files, files, FILE_BITS))
    return told(found, partial(in_log, open_to_read(settings)))


def _conclude(
    rules: list[Rules],
    bans: list[list[Ban]],
    difference: Difference | None,
    options: ReplayOptions,
    counts: ReplayCounts,
) -> None:
    if difference is not None and not options.quiet:
        _print_difference(difference, as_json=options.as_json)
    if options.report_file:
        write_report(Path(options.report_file), rules, bans, difference, warnings_of(counts))


def _over_files(
    both: list[Settings],
    rules: Sequence[Rules],
    files: tuple[str, ...],
    now: int | None,
    counts: ReplayCounts,
    watch: OnRuns | None,
) -> Iterator[list[list[Decision]]]:
    wanted = [each.filters() for each in both]
    names = tuple(dict.fromkeys(name for named, _ in wanted for name in named))
    filters = filters_of(names, auto=any(auto for _, auto in wanted))
    if not filters:
        raise ConfigError("no jail is enabled, so there is nothing to replay")
    streams: list[Iterator[MatchedLines]] = []
    for file in files:
        zone, layout = form_of_file(file, both[0].jails)
        matched = match_files([file], laid_out(filters, layout), now, named=len(names), zone=zone)
        streams.append(progress(matched, [file]))
    lists, warnings = read_once(both)
    for warning in warnings:
        note(warning)
    atlas = Atlas(both[0].places)
    for problem in atlas.notices():
        note(f"WARNING: {problem}")
    return over_files(rules, filters, streams, counts, lists, atlas=atlas, watch=watch)


def _print(decisions: Sequence[Decision | Alert], *, as_json: bool) -> None:
    for each in decisions:
        if as_json:
            json_line(wire(each))
        else:
            click.echo(printable(sentence(each)))


def _print_difference(difference: Difference, *, as_json: bool) -> None:
    for each in difference.changes:
        if as_json:
            json_line(each.to_wire())
        else:
            for line in sentences(each, MOST_FAILURES):
                say(line)
    if not as_json:
        say(summary(difference))


def _print_stats(counts: ReplayCounts, seconds: float) -> None:
    sys.stdout.flush()
    json_line(
        {
            "lines": counts.lines,
            "events": counts.events,
            "untimed": counts.untimed,
            "unnamed": counts.unnamed,
            "decisions": counts.decisions,
            "seconds": round(seconds, 3),
            "lines_per_s": round(counts.lines / seconds) if seconds else 0,
        }
    )
