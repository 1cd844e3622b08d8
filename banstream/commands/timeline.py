"""`banstream timeline`: all that the log has about somebody, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from banstream.config import load_settings
from banstream.instants import Instant
from banstream.looking import looking
from banstream.options import config_option, json_option
from banstream.pages import page, paragraph, table, write_page
from banstream.sentences import sentence
from banstream.show import counted, instant, json_line, note, printable, say
from banstream.timeline import Timeline, TimelineEntry, TimelineOf, timeline
from banstream.values import is_prefix
from banstream.values import prefix as read_prefix
from eventlog.identity import known_id
from eventlog.urls import is_shared
from schemas.records import AuthEvent, Ban

USER, HOST = "user:", "host:"


@click.command("timeline")
@click.argument("subject", metavar="PREFIX|USER|HOST")
@click.option("--since", type=Instant(), metavar="INSTANT", help="From then on [default: all of it].")
@click.option("--html", "html_file", metavar="FILE.html", help="Write it as a page.")
@click.option("--stix", "as_stix", is_flag=True, help="As a STIX 2.1 bundle, on standard output.")
@json_option
@config_option
def timeline_command(
    subject: str,
    since: int | None,
    html_file: str | None,
    *,
    as_stix: bool,
    as_json: bool,
    config_file: str | None,
) -> int:
    r"""All that the log has about somebody, in order: events, decisions, enforcements, commands.

    \b
    banstream timeline 192.0.2.7
    banstream timeline user:root --since 2h --html incident.html
    banstream timeline 2001:db8::/32 --stix > bundle.json

    A name is a user's or a host's, whichever has it; user:NAME and host:NAME are one of them alone. Exit code
    1 when there is nothing.
    """
    if as_stix and as_json:
        raise click.UsageError("--stix is JSON of its own: without --json")
    if not subject.isprintable():
        raise click.UsageError(f"{printable(subject)}: expected an address, a prefix, a user or a host")
    asked = _asked(subject)
    settings = load_settings(config_file, check="log")
    with looking(settings) as look:
        found = timeline(look, asked, since, shared=is_shared(settings.log_url))
        name = known_id(look.log)
    if html_file:
        write_page(Path(html_file), _page(subject, found))
    if as_stix or as_json:
        _tell(name, found, as_stix=as_stix)
    elif not html_file:
        _show(found)
    if not found.whole:
        note("WARNING: this is not all: there is more than is told at once; --since makes it less")
    return 0 if found.entries else 1


def _asked(subject: str) -> TimelineOf:
    if subject.startswith(USER):
        return TimelineOf(subject.removeprefix(USER), is_host=False)
    if subject.startswith(HOST):
        return TimelineOf(subject.removeprefix(HOST), is_user=False)
    return TimelineOf(subject, read_prefix(subject)) if is_prefix(subject) else TimelineOf(subject)


def _tell(log_name: str, found: Timeline, *, as_stix: bool) -> None:
    if as_stix:
        from banstream.stix import bundle

        json_line(bundle(log_name, found.entries))
        return
    for each in found.entries:
        json_line(each.to_wire())


def _show(found: Timeline) -> None:
    for each in found.entries:
        say(sentence(each.record) + _unsigned(each))
        for line in _lines(each):
            say(f"                     {line}")


def _lines(entry: TimelineEntry) -> Iterator[str]:
    """What else there is to say of an entry."""
    record = entry.record
    if isinstance(record, AuthEvent):
        yield f"{record.source} at {record.position}: {record.line}"
    elif isinstance(record, Ban):
        yield f"decision {record.id}, rules {record.rules}" + (f": {record.why}" if record.why else "")


def _unsigned(entry: TimelineEntry) -> str:
    return "  (not signed by it)" if entry.signed is False else ""


def _page(subject: str, found: Timeline) -> str:
    rows = [
        (
            instant(each.at_ms),
            each.record.TYPE,
            sentence(each.record)[len(instant(each.at_ms)) :].strip() + _unsigned(each),
            "; ".join(_lines(each)),
            f"{each.topic} {each.place}",
        )
        for each in found.entries
    ]
    parts = [paragraph(f"{counted(len(rows), 'entry', 'entries')}, oldest first.")]
    parts += [] if found.whole else [paragraph("There is more: this is not all.")]
    parts.append(table(("at", "what", "told", "from", "place in the log"), rows))
    return page(f"Timeline of {subject}", parts)
