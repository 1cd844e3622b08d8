"""`banstream events`: the events read from the logs."""

from __future__ import annotations

from collections.abc import Iterable

import click

from banstream.config import load_settings
from banstream.instants import Instant
from banstream.looking import LEAD_MS, events_of, looking
from banstream.options import PREFIX, config_option, json_option
from banstream.sentences import print_record
from banstream.techniques import Techniques, own_filters
from eventlog.follower import Located
from schemas.records import AuthEvent
from schemas.topics import EVENTS


@click.command("events")
@click.argument("prefix", type=PREFIX, required=False)
@click.option("--since", type=Instant(), metavar="INSTANT", help="That happened from this instant on.")
@click.option("--until", type=Instant(), metavar="INSTANT", help="That happened before this instant.")
@click.option(
    "--read-since", type=Instant(), metavar="INSTANT", help="That came into the log from this instant on."
)
@click.option("--last", type=click.IntRange(1), metavar="N", help="Only the last N.")
@json_option
@config_option
def events_command(
    prefix: str | None,
    since: int | None,
    until: int | None,
    read_since: int | None,
    last: int | None,
    *,
    as_json: bool,
    config_file: str | None,
) -> int:
    """The events read from the logs; only those of one address, or inside a network, when it is named.

    They come in the order in which the log took them, and --last counts in that order. --since and --until
    go by the time of the events: a line that was read late is found by when it was written. Exact, but for
    events that a host told more than ten minutes before they happened, since its clock is wrong: --since
    may pass those over. Exit code 1 when there is none.
    """
    wanted = events_of(prefix, since, until)
    starts = [each for each in (None if since is None else since - LEAD_MS, read_since) if each is not None]
    read_ms = max(starts, default=None)
    count = 0
    settings = load_settings(config_file, check="log")
    technique_of = Techniques(own_filters(settings)) if as_json else None
    with looking(settings) as look:
        found: Iterable[Located] = (
            look.all(EVENTS.name, wanted, inside=prefix, read_ms=read_ms)
            if last is None
            else look.last(EVENTS.name, last, wanted, inside=prefix, read_ms=read_ms)
        )
        for count, each in enumerate(found, 1):  # noqa: B007 - how many there were
            print_record(each, as_json=as_json, technique=_technique(each, technique_of))
    return 0 if count else 1


def _technique(each: Located, technique_of: Techniques | None) -> str:
    if technique_of is None or not isinstance(each.record, AuthEvent):
        return ""
    return technique_of(each.record)
