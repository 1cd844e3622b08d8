"""`banstream status` for people: this machine at a glance, in a screenful."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase as fnmatch
from typing import Any, Final

from banstream.instants import now_ms
from banstream.machine import Machine
from banstream.phrases import counted_as, escalating, size, some, threshold, watching
from banstream.show import counted, instant, moment, say, show, table, tell, until, warn
from banstream.standings import StandingBan
from banstream.tables import Bad
from producers.library import AUTO
from schemas.durations import format_duration
from schemas.rules import MANUAL, Jail

FILE: Final = "file:"
SILENT_MS: Final = 86_400_000
"""A log to which nobody has written for a day: a quiet service, or one that logs elsewhere now."""
MOST_NAMED: Final = 10
MOST_NEVER: Final = 3
OWN: Final = ("(own address)", "(gateway)", "(operator)")
"""What of the prefixes that are never banned is this machine's own; the rest is every machine's."""
BY_HAND: Final = "by hand, `banstream ban`"
GONE: Final = "no longer a jail; its bans stay to their end"


def show_machine(made: Machine) -> None:
    """Print all of it."""
    _show_head(made)
    for warning in made.warnings():
        warn(warning)
    if not made.beat:
        return
    _show_banned(made)
    _show_jails(made)
    show_sources(made.beat, made.notices)
    for sentence in _firewall(made):
        tell(sentence)
    for sentence, wrong in sinks_said(made.beat):
        tell(sentence, wrong=wrong)


def show_jail(made: Machine, name: str) -> None:
    """Print one jail: what it bans for, what it reads, whom it has banned."""
    _show_head(made)
    counts = made.jails[name]
    say(f"Jail {name}: {_threshold(made, name)}")
    jail = next((each for each in made.rules.jails if each.name == name), None) if made.rules else None
    if jail is not None:
        _show_policies(jail, counts)
    nouns = ("user", "users") if jail is not None and jail.count == "user" else ("address", "addresses")
    say(f"Failing now: {counted(counts['failing'], *nouns)} below that; {_ever(made, counts)}")
    if counts["dropped"]:
        warn(f"{counted(counts['dropped'], *nouns)} were forgotten, since there were too many")
    if jail is not None:
        _show_list("Reads", sources_read(made, jail))
    bans = made.bans_of(name)
    say(f"Banned now: {len(bans)}{_not_held(bans)}")
    for ban in bans:
        say(f"  {_named(ban)}  {until(ban.hold.until_ms)}")


def _show_policies(jail: Jail, counts: Mapping[str, int]) -> None:
    """What a jail does besides."""
    if (lengths := counted_as(jail)) is not None:
        say(f"Counts and bans: by {lengths}")
    if (wide := escalating(jail)) is not None:
        say(f"Networks: {wide}")
    if (unusual := watching(jail)) is not None:
        say(f"Unusual: {unusual}; {counted(counts.get('alerts', 0), 'alert')} so far")
        if counts.get("unusual"):
            warn("it is unusual now: `banstream watch`, or the log of `up`, has the numbers")


def sources_read(made: Machine, jail: Jail) -> list[str]:
    """The sources that a jail counts events of, as `up` tells of them."""
    return [each for each in _sources(made.beat) if _reads(each, jail.filters, jail.sources)]


def sinks_said(beat: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """How each sink is, a sentence each, and whether something is wrong with it."""
    for each in beat.get("sinks") or ():
        head = f"sink {each['name']}"
        did = f"{each['sent']} sent to {each['to']} as {each['format']} since the start"
        did += f", {each['refused']} refused" if each["refused"] else ""
        if each["ended"] is not None:
            yield f"{head} has ended: {each['ended']}; {did}", True
        elif each["waiting"] is not None:
            lag = format_duration(each["lag_ms"] // 1_000 * 1_000)
            behind = f"{counted(each['lag_messages'], 'message')} behind, for {lag}"
            yield f"{head} waits: {each['waiting']}; {behind}; {did}", True
        else:
            yield f"{head}: {did}", bool(each["refused"])


def _show_head(made: Machine) -> None:
    beat = made.beat
    if not beat:
        running = "`banstream up` runs; it could not say yet how it is."
        say(running if made.running else "`banstream up` has never run on this log.")
        return
    since = instant(beat["started_at_ms"])
    if made.running:
        lasted = format_duration(max(0, made.at_ms - beat["started_at_ms"]))
        say(f"banstream up: running (process {beat['pid']}) since {since}, for {lasted}")
    else:
        how = "it was stopped" if beat["stopped"] else "it ended without a word"
        tell(
            f"banstream up: not running; {how} at {instant(beat['at_ms'])}, and ran since {since}", wrong=True
        )
    if beat["enforcer"]["observing"]:
        tell(f"OBSERVING ONLY, nothing is enforced: {beat['enforcer']['observing']}", wrong=True)


def _show_banned(made: Machine) -> None:
    rows = []
    held = missing = 0
    for name in dict.fromkeys((*made.jails, *(ban.hold.jail for ban in made.banned.bans))):
        bans = made.bans_of(name)
        held += sum(ban.in_force for ban in bans)
        missing += sum(not ban.in_force for ban in bans)
        if bans:
            more = f": `banstream bans --jail {name}`"
            rows.append((name, some([_named(ban) for ban in bans], MOST_NAMED, more)))
    if rows:
        without = f", and {missing} not in force" if missing else ""
        show(table(f"Banned now: {held}{without}", ("jail", "the newest first"), rows))
    else:
        say("Banned now: nobody")
    last = made.last
    if last is not None:
        when, end = moment(last.at_ms, made.at_ms), until(last.until_ms)
        tell(f"Last ban: {when}  {last.prefix} in {last.jail}, {last.sentence}, {end}")


def _show_jails(made: Machine) -> None:
    columns = ("jail", "rule", "failing", "banned", "failures", "bans")
    rows = [
        (
            name,
            _threshold(made, name),
            counts["failing"],
            banned,
            counts["failures"],
            counts["bans"],
        )
        for name, counts in made.jails.items()
        for banned in (len(made.bans_of(name)),)  # the account is a second old, the bans are of now
    ]
    since = "" if made.counted_since_ms is None else f" since {instant(made.counted_since_ms)[:10]}"
    show(table(f"Jails: failing and banned now; failures and bans{since}", columns, rows))


def show_sources(beat: Mapping[str, Any], notices: Mapping[str, int]) -> None:
    """Print what a role that reads logs reads, and how each source is."""
    producer = beat["producer"]
    last = producer["last_event_at_ms"]
    events = f"{counted(producer['events'], 'event')} in {size(producer['read_bytes'])} since the start"
    latest = f", the last {moment(last, beat['at_ms'])}" if last is not None else ""
    rows = [(source, _source_state(source, notices)) for source in _sources(beat)]
    show(table(f"Sources: {events}{latest}", ("source", "state"), rows))


def _source_state(source: str, notices: Mapping[str, int]) -> str:
    """How a source is: whether a warning is about it, its file is there, and somebody writes to it."""
    name = source.partition(" with filter ")[0]
    if any(name.removeprefix(FILE) in notice for notice in notices):
        return Bad("see above")
    if not name.startswith(FILE):
        return "well"
    written_ms = _written_ms(name.removeprefix(FILE))
    if written_ms is None:
        return Bad("no such file")
    silent = now_ms() - written_ms > SILENT_MS
    return f"silent since {instant(written_ms)[:16]}" if silent else "well"


def _written_ms(pattern: str) -> int | None:
    """When the newest of a source's files was last written to; None where there is none."""
    from producers.sources.folders import matching_files

    newest = None
    for file in matching_files(pattern):
        with suppress(OSError):
            newest = max(newest or 0, file.stat().st_mtime_ns // 1_000_000)
    return newest


def _firewall(made: Machine) -> Iterator[str]:
    enforcer = made.beat["enforcer"]
    held = counted(enforcer["in_force"], "prefix", "prefixes")
    verb = "would hold" if enforcer["observing"] else "holds"
    since = [f"{enforcer[key]} {key}" for key in ("refused", "failed") if enforcer[key]]
    if enforcer["repaired"]:
        since.append(f"{enforcer['repaired']} put right that others had changed")
    told = f"; since the start {', '.join(since)}" if since else ""
    yield f"Firewall: {enforcer['backend']} {verb} {held}{told}"
    lists = enforcer.get("lists") or {}
    if lists.get("names"):
        coming = "" if lists["settled"] or enforcer["observing"] else ", and more are on their way"
        refuses = counted(lists["prefixes"], "prefix", "prefixes")
        yield f"Lists of whom to ban: {', '.join(lists['names'])}; the firewall refuses {refuses}{coming}"
    if enforcer["never_ban"]:
        never = sorted(enforcer["never_ban"], key=lambda each: not each.endswith(OWN))
        yield f"Never banned: {some(never, MOST_NEVER)}"


def _threshold(made: Machine, name: str) -> str:
    jails = () if made.rules is None else made.rules.jails
    known = next((jail for jail in jails if jail.name == name), None)
    if known is not None:
        return threshold(known)
    return BY_HAND if name == MANUAL else GONE


def _ever(made: Machine, counts: Mapping[str, int]) -> str:
    since = "" if made.counted_since_ms is None else f" since {instant(made.counted_since_ms)[:10]}"
    told = f"{counted(counts['failures'], 'failure')} and {counted(counts['bans'], 'ban')}{since}"
    return told + (f"; {counts['ignored']} ignored now" if counts["ignored"] else "")


def _sources(beat: Mapping[str, Any]) -> Sequence[str]:
    sources: Sequence[str] = beat["producer"]["sources"]
    return sources


def _reads(source: str, filters: Sequence[str], sources: Sequence[str]) -> bool:
    """Whether a jail counts what a source's sentence tells of."""
    spec, _, rest = source.partition(" with filter ")
    names = rest.rpartition(", ")[0].split(", ")
    here = not sources or any(fnmatch(spec, pattern) for pattern in sources)
    return here and (AUTO in names or not set(names).isdisjoint(filters))


def _show_list(title: str, items: Sequence[str]) -> None:
    say(f"{title}:" if items else f"{title}: nothing")
    for item in items:
        say(f"  {item}")


def _named(ban: StandingBan) -> str:
    return ban.prefix if ban.in_force else f"{ban.prefix} ({', '.join(ban.states)})"


def _not_held(bans: Sequence[StandingBan]) -> str:
    count = sum(not ban.in_force for ban in bans)
    return f", {count} of them not in force (`banstream bans --refused`)" if count else ""
