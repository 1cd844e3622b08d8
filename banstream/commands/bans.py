"""`banstream bans`: what is banned, and whether the firewalls hold it."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import click

from banstream.ban_lists import FORMATS, listed
from banstream.banned import Banned, banned_in
from banstream.config import load_settings
from banstream.instants import DurationType, now_ms
from banstream.list_bans import listed as listed_in
from banstream.list_bans import lists_of_bans
from banstream.options import PREFIX, config_option, json_option
from banstream.phrases import named, place_of
from banstream.reading import open_to_read
from banstream.show import counted, json_line, moment, note, printable, say, show, table
from banstream.standings import SORTS, Around, BanState, HostWord, Sort, StandingBan
from banstream.tables import Bad, TextTable
from schemas.codec import load_line

WRONG: Final = frozenset({"refused", "failed"})
MOST_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BanFilter:
    """Which bans are asked for."""

    jail: str | None
    prefix: str | None
    refused: bool
    expiring_ms: int | None
    sort: Sort

    def of(self, bans: Sequence[StandingBan], at_ms: int) -> list[StandingBan]:
        """Those of these bans, in order."""
        around = None if self.prefix is None else Around(self.prefix)
        end_ms = None if self.expiring_ms is None else at_ms + self.expiring_ms
        found = [
            ban
            for ban in bans
            if (self.jail is None or ban.hold.jail == self.jail)
            and (end_ms is None or (ban.hold.until_ms is not None and ban.hold.until_ms <= end_ms))
            and not (self.refused and ban.everywhere)
            and (around is None or around(ban.prefix))
        ]
        return sorted(found, key=lambda ban: ban.key(self.sort))


@click.command("bans")
@click.option("--jail", metavar="JAIL", help="Only this jail's.")
@click.option("--prefix", type=PREFIX, metavar="PREFIX", help="Only it, what it holds, and what holds it.")
@click.option("--refused", is_flag=True, help="Only what is not in force everywhere, and why.")
@click.option(
    "--expiring", "expiring_ms", type=DurationType(), metavar="DURATION", help="Only what ends within."
)
@click.option("--sort", type=click.Choice(SORTS), default="since", show_default=True)
@click.option(
    "--format", "form", type=click.Choice([*FORMATS]), help="As a list for another program; exit code 0."
)
@json_option
@config_option
def bans_command(as_json: bool, config_file: str | None, form: str | None, **asked: Any) -> int:
    """What is banned, and whether the firewalls hold it: as their enforcers said last.

    In force, refused (an address that is never banned, or the breaker), failed (tried again), observed only,
    pending (not taken up yet), or ended. Exit code 1 when there is no such ban.

    With --format those that no firewall has refused are printed as a list: a prefix a line (plain, haproxy),
    rows (csv), `deny` lines (nginx), or a RouterOS script (mikrotik).
    """
    if form is not None and as_json:
        raise click.UsageError("--format and --json are two ways to print the same; choose one")
    gc.disable()  # a hundred thousand bans hold no cycle, and looking for some takes as long as all the rest
    try:
        asked_for = BanFilter(**asked)
        if form is not None:
            return _print_list(asked_for, config_file, form)
        return _show_bans(asked_for, config_file, as_json=as_json)
    finally:
        gc.enable()


def _found(config_file: str | None) -> Banned:
    settings = load_settings(config_file, check="log")
    log = open_to_read(settings)
    try:
        return banned_in(log, settings.log_url, now_ms())
    finally:
        log.close()


def _print_list(asked: BanFilter, config_file: str | None, form: str) -> int:
    """The bans as a list, and nothing else on stdout; a list of nobody is a list."""
    found = _found(config_file)
    for line in FORMATS[form](listed(asked.of(found.bans, found.at_ms)), found.at_ms):
        click.echo(printable(line))
    return 0


def _show_bans(asked: BanFilter, config_file: str | None, *, as_json: bool) -> int:
    found = _found(config_file)
    shown = asked.of(found.bans, found.at_ms)
    if as_json:
        _print_json(found, shown)
        return 0 if shown else 1
    if shown:
        show(table_of(found, shown))
    elif found.bans:
        say(f"No such bans, of {len(found.bans)}.")
    else:
        say("No bans in force.")
    for each in (*found.notes, *_long_ago(shown), *_listed(asked.prefix, config_file)):
        note(each)
    return 0 if shown else 1


def _listed(prefix: str | None, config_file: str | None) -> Iterator[str]:
    """What lists of whom to ban refuse besides: the prefix that is asked for, or how many lists there are."""
    settings = load_settings(config_file, check="log")
    log = open_to_read(settings)
    try:
        if prefix is not None:
            yield from (f"{prefix}: {each.sentence}" for each in listed_in(log, settings, prefix, now_ms()))
        elif names := lists_of_bans(log):
            yield f"Besides, lists refuse whom they name: {', '.join(names)}; see `banstream lists show`"
    finally:
        log.close()


def _print_json(found: Banned, shown: Sequence[StandingBan]) -> None:
    """A standing a line, with those of its holds that are asked for, in the order of the first of them."""
    bans: dict[str, list[StandingBan]] = {}
    for ban in shown:
        bans.setdefault(ban.prefix, []).append(ban)
    for prefix, of_prefix in bans.items():
        wire = load_line(found.lines[prefix])
        by_jail = {ban.hold.jail: ban for ban in of_prefix}
        holds = [
            {**hold, **by_jail[hold["jail"]].to_wire(), "hosts": _hosts(found, by_jail[hold["jail"]])}
            for hold in wire["holds"]
            if hold["jail"] in by_jail
        ]
        json_line({**wire, "holds": holds, "in_force": any(ban.in_force for ban in of_prefix)})


def _hosts(found: Banned, ban: StandingBan) -> list[dict[str, Any]]:
    return [{"host": found.name(host), **told._asdict()} for host, told in ban.hosts.items()]


def table_of(found: Banned, shown: Sequence[StandingBan]) -> TextTable:
    """The table of these bans, under what is true of them."""
    places = [_place(ban) for ban in shown]
    known = any(places)
    columns = ("prefix", *(["from"] if known else []), "jail", "since", "until", "for", "state")
    rows = [
        (
            ban.prefix,
            *([place] if known else []),
            ban.hold.jail,
            moment(ban.since_ms, found.at_ms),
            moment(ban.hold.until_ms, found.at_ms),
            "" if ban.reason is None else ban.reason.sentence,
            _state(found, ban),
        )
        for ban, place in zip(shown, places, strict=True)
    ]
    return table(", ".join(_title(found, shown)), columns, rows)


def _place(ban: StandingBan) -> str:
    """Where a ban's event was from; empty where nobody knows."""
    reason = ban.reason
    return "" if reason is None else place_of(reason.country, reason.asn, reason.as_name)


def _title(found: Banned, shown: Sequence[StandingBan]) -> Iterator[str]:
    """How many are in force, and how many are not, by what came of them."""
    in_force = sum(ban.in_force for ban in shown)
    yield f"{counted(in_force, 'ban')} in force"
    if len(found.hosts) != 1:
        partly = sum(ban.in_force and not ban.everywhere for ban in shown)
        if partly:
            yield f"{partly} of them not everywhere"
        nowhere = Counter(_one([*set(ban.states)]) for ban in shown if not ban.in_force)
        yield from (f"{count} {said}" for said, count in nowhere.items())
        return
    name = found.name(found.hosts[0])
    counts = Counter(state for ban in shown for state in ban.states)
    for state, words in (
        ("refused", f"refused by the firewall of {name}"),
        ("failed", f"failed in the firewall of {name}"),
        ("observed only", f"observed only: {name} enforces nothing"),
        ("pending", "pending"),
        ("ended", "ended"),
    ):
        if counts[cast("BanState", state)]:
            yield f"{counts[cast('BanState', state)]} {words}"


def _one(states: Sequence[BanState]) -> str:
    """How a ban is that no firewall holds."""
    return states[0] if len(states) == 1 else "in force nowhere"


def _state(found: Banned, ban: StandingBan) -> str:
    """How a ban is: on one host, or on how many of how many, and why not on the others."""
    wrong = WRONG.intersection(ban.states)
    if not ban.hosts:
        said = "nobody knows: no enforcer was heard of"
    elif len(ban.hosts) == 1:
        (told,) = ban.hosts.values()
        said = told.state if told.why is None or told.state == "in force" else f"{told.state}: {told.why}"
    else:
        there = ban.states.count("in force")
        others = [_others(ban, state) for state in dict.fromkeys(ban.states) if state != "in force"]
        held = [f"in force on {there} of {len(found.hosts)}"] if there or not others else []
        said = "; ".join([*held, *others])
    return Bad(said) if wrong else said


def _others(ban: StandingBan, state: BanState) -> str:
    """On which hosts a ban is in a state, and why on the first of them."""
    hosts = [(host, told) for host, told in ban.hosts.items() if told.state == state]
    names = named([host for host, _ in hosts], MOST_NAMED)
    if state == "pending":
        return f"no word of {names}"
    first: HostWord = hosts[0][1]
    why = f": {first.why}" if first.why else ""
    return f"{state} on {names}{why}"


def _long_ago(shown: Sequence[StandingBan]) -> Iterator[str]:
    """How many are in force as far as is known."""
    count = sum(any(told.state == "in force" and told.why for told in ban.hosts.values()) for ban in shown)
    if count:
        yield (
            f"{counted(count, 'ban')} in force as far as is known: what the enforcers said of them is no "
            "longer kept, or too far back to be read"
        )
