"""`banstream explain`: the chain from lines to packets, for a prefix or a decision; or why there is none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from banstream.chains import Chain
from banstream.config import load_settings
from banstream.explaining import Explanation, Seen, explained, explained_decision
from banstream.instants import now_ms
from banstream.list_bans import listed
from banstream.looking import looking
from banstream.options import config_option, json_option
from banstream.pages import page, preformatted, write_page
from banstream.phrases import as_user, scope_of
from banstream.reading import at
from banstream.sentences import sentence
from banstream.show import counted, instant, json_line, say, until
from banstream.values import prefix as read_prefix
from eventlog.contract import EventLog
from eventlog.urls import is_shared
from schemas.codec import to_wire
from schemas.durations import format_duration
from schemas.records import AuthEvent, Ban, Enforcement, Prolong, Record, Standing, Unban
from schemas.topics import DECISIONS, ENFORCEMENTS
from schemas.whereabouts import Scope

DECISION_ID: Final = re.compile(r"\d+-[ct]?\d+-\d+-\d+")
PLACE: Final = re.compile(r"(?:(decisions|enforcements):)?(\d{1,9}-\d{1,18}-\d{1,9})", re.ASCII)
USUAL_LAST: Final = 3
MOST_FAILURES: Final = 3
MOST_EVENTS: Final = 8
MOST_HOSTS: Final = 6
MOST_REASONS: Final = 6
MOST_INSIDE: Final = 10
OVER: Final = " (that is past, and nobody has decided so yet)"


@click.command("explain")
@click.argument("subject", metavar="PREFIX|DECISION|PLACE")
@click.option(
    "--last",
    type=click.IntRange(1),
    metavar="N",
    help=f"The last N decisions about it [default: {USUAL_LAST}; with --json all].",
)
@click.option("--all", "every", is_flag=True, help="All decisions, and every failure behind each.")
@click.option("--html", "html_file", metavar="FILE.html", help="Write it as a page.")
@json_option
@config_option
def explain_command(
    subject: str,
    last: int | None,
    html_file: str | None,
    *,
    every: bool,
    as_json: bool,
    config_file: str | None,
) -> int:
    r"""Why was it banned, or why not: the lines, the events, the rules, the decision, the enforcement.

    \b
    banstream explain 192.0.2.7
    banstream explain 0-1234-17-0
    banstream explain enforcements:0-88-0

    First whether it is banned now, by itself or inside a banned network, and how often it was; if it is not,
    what was counted so far, and why the rest was not. Then the decisions, newest first (with --json: oldest
    first). A place in the log (three numbers, as --json of others prints it) is a decision's; with
    `enforcements:` before it, an enforcement's. Exit code 1 where there is no decision about it, and no
    list of whom to ban has it.
    """
    place = PLACE.fullmatch(subject)
    by_id = DECISION_ID.fullmatch(subject) is not None or place is not None
    subject = subject if by_id else _prefix(subject)
    if every and last is not None:
        raise click.UsageError("--all and --last exclude each other")
    most = None if every or (as_json and last is None) else last or USUAL_LAST
    settings = load_settings(config_file, check="log")
    with looking(settings) as look:
        shared = is_shared(settings.log_url)
        if place is not None:
            subject = _decision_at(look.log, place[1] or DECISIONS.name.rpartition(".")[2], place[2])
        answer = (
            explained_decision(look, subject, shared=shared)
            if by_id
            else explained(look, subject, last=most, shared=shared)
        )
        if not by_id:
            answer = replace(answer, listed=listed(look.log, settings, answer.subject, now_ms()))
    if html_file:
        _write(Path(html_file), answer, whole=every or by_id, by_id=by_id)
    if as_json:
        _tell(answer)
    elif not html_file:
        _show(answer, whole=every or by_id, by_id=by_id)
    return 0 if answer.decided.told or answer.listed else 1


def _prefix(subject: str) -> str:
    try:
        return read_prefix(subject)
    except ValueError as error:
        raise click.UsageError(f"{subject!r}: expected {error}, or a decision's id or place") from error


def _write(path: Path, answer: Explanation, *, whole: bool, by_id: bool) -> None:
    """Write it as a page."""
    with redirect_stdout(StringIO()) as shown:
        _show(answer, whole=whole, by_id=by_id)
    write_page(path, page(f"Why {answer.subject}", [preformatted(shown.getvalue())]))


def _decision_at(log: EventLog, topic: str, place: str) -> str:
    """The id of the decision at a place, or of the one that an enforcement there is about."""
    named = DECISIONS.name if topic == "decisions" else ENFORCEMENTS.name
    partition = int(place.partition("-")[0])
    record = at(log, named, place) if partition < log.partitions else None
    if isinstance(record, Enforcement):
        return record.decision
    return record.id if isinstance(record, Ban | Unban | Prolong) else place


def _tell(answer: Explanation) -> None:
    """A JSON object for each chain; for each event where there is none; `about` in each is what is known."""
    about = answer.to_wire()
    wires = [chain.to_wire() for chain in reversed(answer.chains)]
    if not wires and answer.seen is not None:
        wires = [{"event": to_wire(each.record)} for _, each in reversed(answer.seen.events)]
    for wire in wires or ([{}] if answer.known else []):
        json_line({**wire, "about": about})


def _show(answer: Explanation, *, whole: bool, by_id: bool) -> None:
    """Print it for people."""
    if not by_id:
        _show_now(answer)
    for number, chain in enumerate(answer.chains):
        if number or not by_id:
            click.echo()
        show_chain(chain, most_failures=None if whole else MOST_FAILURES)
    if not answer.decided.told:
        _show_undecided(answer)


def _show_now(answer: Explanation) -> None:
    """Whether it is banned now, how often it was, and what is counted."""
    _show_holds(answer)
    bans = answer.bans
    if bans:
        more = "" if answer.decided.whole else "more than "
        times = "once" if len(bans) == 1 and not more else f"{more}{len(bans)} times"
        say(f"  banned   {times} since {instant(bans[-1].at_ms)}")
    if shadows := answer.shadow_bans:
        jails = ", ".join(sorted({ban.jail for ban in shadows}))
        say(f"  shadow   {counted(len(shadows), 'ban')} by {jails}, which only observes")
    for each in answer.counted:
        say(
            f"  so far   {each.failures} of {each.maxretry} in jail {each.jail.name},"
            f" until {_clock(each.until_ms)}"
        )
    for reason in answer.reasons[:MOST_REASONS]:
        amount = (
            "" if not reason.events else f"{counted(reason.events, 'event')}, last {_clock(reason.at_ms)}: "
        )
        say(f"  why not  {amount}{reason.text}")
    _show_waiting(answer)
    if len(answer.decided.told) > len(answer.chains):
        more = "" if answer.decided.whole else "more than "
        say(
            f"  below    the last {len(answer.chains)} of {more}{len(answer.decided.told)} decisions,"
            " newest first; --all for all"
        )


def _show_holds(answer: Explanation) -> None:
    for standing, hold in answer.holds():
        inside = "" if standing.prefix == answer.subject else f"inside {standing.prefix}, "
        ports = f", ports {', '.join(map(str, hold.ports))}" if hold.ports else ""
        over = "" if hold.until_ms is None or hold.until_ms > now_ms() else OVER
        say(f"{answer.subject}: banned {inside}by jail {hold.jail} {until(hold.until_ms)}{ports}{over}")
    if not answer.standings and answer.known:
        lists = " by a jail" if answer.listed else ""
        say(f"{answer.subject}: not banned{lists}")
    _show_inside(answer)
    in_force = {hold.ban for _, hold in answer.holds()}
    for chain in answer.chains:
        if isinstance(chain.decision, Ban) and chain.decision.id in in_force:
            for each in chain.refusals[:MOST_HOSTS]:
                say(f"  BUT      {each.outcome} by {_enforced(each)}")


def _show_inside(answer: Explanation) -> None:
    for named in answer.listed:
        say(f"  listed   {named.sentence}")
    for standing in answer.inside[:MOST_INSIDE]:
        say(f"  inside   {standing.prefix} is banned {_ends(standing)}")
    if len(answer.inside) > MOST_INSIDE:
        say(f"  inside   and {len(answer.inside) - MOST_INSIDE} more")


def _show_waiting(answer: Explanation) -> None:
    """What has not been decided yet, and whether anybody decides."""
    known = answer.deciding
    if known is not None and known.trouble is not None:
        say(f"  unknown  what was counted so far: {known.trouble}")
    elif known is not None and known.behind > 0:
        number, behind = known.partition.number, counted(known.behind, "message")
        why = "" if known.ruled else "; there are no rules in force yet, and events wait for them"
        say(f"  waiting  partition {number} is {behind} behind: what they tell is not decided yet{why}")
    if answer.running is False:
        say("  waiting  `banstream up` is not running: nothing is read, and nothing is decided")


def _show_undecided(answer: Explanation) -> None:
    """That no decision is about it, and its last events."""
    seen = answer.seen
    if answer.listed and (seen is None or not seen.events):
        return
    if seen is None or not (seen.events or not seen.whole):
        say(f"Nothing is known about {answer.subject}: no decision, no event.")
    elif not seen.events:
        say(f"No decision about {answer.subject}; its events: banstream events {answer.subject}")
    else:
        _show_events(answer.subject, seen)


def _show_events(subject: str, seen: Seen) -> None:
    amount = f"{len(seen.events)}" if seen.whole else f"more than {len(seen.events)}"
    say(f"No decision about {subject}. Its last events, of {amount}:")
    said = ((each.record, sentence(each.record)) for _, each in seen.events)
    shown = [(text, len(list(same))) for text, same in groupby(text for _, text in said)]
    for text, times in shown[:MOST_EVENTS]:
        say(f"  {text}{f'  ({times} times)' if times > 1 else ''}")
    if len(shown) > MOST_EVENTS or not seen.whole:
        say(f"  earlier ones: banstream events {subject}")


def _grown(ban: Ban, jail: Mapping[str, Any]) -> str:
    """That a ban is longer than the jail's bantime, since the address had others before."""
    if jail.get("increment") is None or ban.until_ms is None or ban.ban_count == 1:
        return ""
    return (
        f", longer each time: {format_duration(ban.until_ms - ban.at_ms)} as its ban number {ban.ban_count}"
    )


def _rule(ban: Ban, jail: Mapping[str, Any]) -> str:
    """When the jail bans so, and for how long."""
    if ban.counted == "addresses" and jail.get("escalate") is not None:
        rules, what, most = jail["escalate"], "banned addresses of a network", jail["escalate"]["addresses"]
    else:
        rules = jail["steps"][ban.step - 2] if ban.step and ban.step > 1 else jail
        most = rules["maxretry"]
        what = "bans by other jails" if jail.get("on") == "bans" else ban.counted
    bantime_ms = rules["bantime_ms"]
    lasting = f"{'' if bantime_ms is None else 'for '}{format_duration(bantime_ms)}{_grown(ban, jail)}"
    scope = _scope(jail.get("scope"))
    if ban.counted != "addresses":
        scope += _scope(jail.get("first_scope") if rules is jail else rules.get("scope"))
    what += as_user(ban.user) + scope
    return f"{most} {what} within {format_duration(rules['findtime_ms'])} ban {lasting}"


def _scope(wire: Mapping[str, Any] | None) -> str:
    """From where events count."""
    return "" if wire is None else scope_of(msgspec.convert(wire, Scope))


def show_chain(chain: Chain, *, most_failures: int | None = None) -> None:
    """Print a chain for people; `most_failures`: so many of them at most (None: all)."""
    decision = chain.decision
    say(f"{sentence(decision)}  (decision {decision.id})")
    if chain.jail is not None and isinstance(decision, Ban):
        say(f"  rule     {chain.jail['name']}: {_rule(decision, chain.jail)} (rules {decision.rules})")
        if decision.who is None and decision.why is not None:
            say(f"  and      {decision.why}")
    _show_failures(chain.evidence, most_failures)
    _show_cause(chain)
    _show_enforcements(chain.enforcements)


def _show_failures(evidence: Sequence[tuple[str, Record | None]], most: int | None) -> None:
    left_out = 0 if most is None else max(0, len(evidence) - most)
    line = ""
    for number, (place, event) in enumerate(evidence):
        if left_out and 1 <= number <= left_out:
            if number == left_out:
                say(f"  ...      and {counted(left_out, 'failure')} between; --all shows them")
            continue
        if not isinstance(event, AuthEvent):
            say(f"  failure  {place}: no longer in the log")
            continue
        host = f"{event.host}  " if event.host else ""
        say(f"  failure  {instant(event.at_ms)}  {host}{event.source} at {event.position}  ({place})")
        if event.line != line:
            say(f"           {event.line}")
        line = event.line


def _show_cause(chain: Chain) -> None:
    if chain.expired:
        say("  cause    its time was over")
    elif chain.step is not None:
        cause = "time had passed" if chain.cause is None else sentence(chain.cause)
        partition, events = chain.decision.id.partition("-")[0], chain.step.events
        before = "before any event" if events < 0 else f"after event {partition}-{events}"
        say(f"  cause    {cause}  ({before})")
    elif not chain.evidence and chain.cause is not None:
        say(f"  cause    {sentence(chain.cause)}")


def _show_enforcements(enforcements: Iterable[tuple[Enforcement, bool | None]]) -> None:
    """What each host did; of many that took it alike, how many there are."""
    done = [each for each in enforcements if each[0].outcome == "applied" and each[1] is not False]
    shown = [each for each in enforcements if each not in done]
    if len(done) > MOST_HOSTS:
        first, last = min(each.at_ms for each, _ in done), max(each.at_ms for each, _ in done)
        hosts = len({each.host for each, _ in done})
        say(f"  enforced {instant(first)}  by {counted(hosts, 'host')}, the last at {_clock(last)}")
    else:
        shown = [*done, *shown]
    for each, signed in shown:
        unsigned = "  (not signed by it)" if signed is False else ""
        say(f"  enforced {instant(each.at_ms)}  {_enforced(each)}{unsigned}")
    if not shown and not done:
        say("  enforced no word of it: not yet, or another jail or a later decision had the last one")


def _enforced(each: Enforcement) -> str:
    detail = f": {each.detail}" if each.detail else ""
    return f"{each.host} {each.backend} {each.verb} {each.outcome}{detail}"


def _ends(standing: Standing) -> str:
    return ", ".join(f"{until(hold.until_ms)} by jail {hold.jail}" for hold in standing.holds)


def _clock(at_ms: int | None) -> str:
    """The time of day, with its day where that is not today."""
    text = instant(at_ms)
    return text.removeprefix(f"{instant(now_ms())[:10]} ")
