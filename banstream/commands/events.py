"""`banstream events`: the events read from the logs."""

from __future__ import annotations

from collections.abc import Iterator

import click

from banstream.config import load_settings
from banstream.instants import Instant
from banstream.options import PREFIX, config_option, json_option
from banstream.reading import open_to_read, records
from banstream.sentences import is_told, print_record
from eventlog.follower import Located
from schemas.topics import EVENTS


@click.command("events")
@click.argument("prefix", type=PREFIX, required=False)
@click.option("--since", type=Instant(), metavar="INSTANT", help="From this instant on [default: all].")
@click.option("--last", type=click.IntRange(1), metavar="N", help="Only the last N.")
@json_option
@config_option
def events_command(
    prefix: str | None, since: int | None, last: int | None, as_json: bool, config_file: str | None
) -> int:
    """The events read from the logs, oldest first; only those of one address when it is named."""
    log = open_to_read(load_settings(config_file, check="log"))
    containing = f'"ip":"{prefix}"'.encode() if prefix else b""
    try:
        found: Iterator[Located] | list[Located] = filter(
            is_told, records(log, EVENTS.name, since_ms=since, containing=containing)
        )
        if last is not None:
            found = list(found)[-last:]
        count = 0
        for each in found:
            print_record(each, as_json=as_json)
            count += 1
    finally:
        log.close()
    return 0 if count else 1
