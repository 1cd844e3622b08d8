"""`banstream export`: what the log has, in a format of the sinks, on standard output."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterator
from typing import Any, Final, cast

import click

from banstream.config import load_settings
from banstream.instants import Instant
from banstream.looking import LEAD_MS
from banstream.options import config_option
from banstream.overview import VERSION
from banstream.reading import messages, open_to_read
from banstream.show import flush
from banstream.techniques import Techniques, own_filters
from eventlog.contract import EventLog, Message
from eventlog.follower import Follower, places_of
from eventlog.identity import log_id
from sinks.background import Evidence
from sinks.contract import FormatKind, Item, SentBy, What, Writing
from sinks.items import Items
from sinks.registry import format_kind, format_names
from sinks.selection import HAPPENINGS, TOPICS, Selection

WAIT_MS: Final = 1_000
EVERYTHING: Final = frozenset(each for some in HAPPENINGS.values() for each in some)


@click.command("export")
@click.option("--format", "format_name", default="json", metavar="FORMAT", help="As [sink.NAME] has them.")
@click.option("--what", multiple=True, type=click.Choice(list(TOPICS)), help="Only these; may be repeated.")
@click.option("--since", type=Instant(), metavar="INSTANT", help="That happened from this instant on.")
@click.option("--until", type=Instant(), metavar="INSTANT", help="That happened before this instant.")
@click.option("--follow", is_flag=True, help="Then what happens, until Ctrl-C.")
@config_option
def export_command(
    format_name: str,
    what: tuple[str, ...],
    since: int | None,
    until: int | None,
    *,
    follow: bool,
    config_file: str | None,
) -> int:
    """Write what the log has to standard output, as a sink would send it, in the order of the log.

    Each record has the id that sinks give it, so what was exported and what was sent are told apart from what
    is new. Exit code 1 when there is none.
    """
    kind = _kind(format_name)
    settings = load_settings(config_file, check="log")
    log = open_to_read(settings)
    try:
        options = {name: option.default for name, option in kind.options.items()}
        write = kind.writer(SentBy(VERSION, settings.enforcer.host, "export"), options)
        wanted = cast("tuple[What, ...]", what or tuple(TOPICS))
        technique_of = Techniques(own_filters(settings))
        known = Evidence(log, technique_of)
        items = Items(log_id(log), Selection(what=wanted, on=EVERYTHING), known.of, technique_of)
        follower = Follower(log, [TOPICS[each] for each in wanted], start="end")
        if kind.header:
            sys.stdout.buffer.write(kind.header + b"\n")
        count = 0
        for topic, message in _messages(log, wanted, follower, since):
            count += _print(items, topic, message, write, (since, until))
        while follow:
            flush()
            follower.wait(WAIT_MS)
            for topic, message in follower.read():
                _print(items, topic, message, write, (since, until))
    except KeyboardInterrupt:
        return 0
    finally:
        log.close()
    return 0 if count else 1


def _kind(name: str) -> FormatKind:
    kind = format_kind(name)
    if kind is None:
        raise click.UsageError(f"there is no format {name!r}; there are {', '.join(format_names())}")
    return kind


def _messages(
    log: EventLog, what: tuple[What, ...], follower: Follower, since_ms: int | None
) -> Iterator[tuple[str, Message]]:
    """The messages up to where a follower stands, in the order in which the log took them."""
    streams: list[Iterator[tuple[str, Message]]] = []
    for each in what:
        for place in places_of(TOPICS[each], log.partitions):
            start = log.begin(*place) if since_ms is None else log.offset_at(*place, since_ms - LEAD_MS)
            streams.append(_until(log, *place, start, follower.offsets[place]))
    return heapq.merge(*streams, key=lambda found: found[1].at_ms)


def _until(log: EventLog, topic: str, partition: int, start: int, end: int) -> Iterator[tuple[str, Message]]:
    for message in messages(log, topic, partition, start) if start < end else ():
        if message.offset >= end:
            return
        yield topic, message


def _print(
    items: Items, topic: str, message: Message, write: Writing, within: tuple[int | None, int | None]
) -> int:
    count = 0
    for item in items.of(topic, message):
        if _is_within(item, *within):
            sys.stdout.buffer.write(write(item) + b"\n")
            count += 1
    return count


def _is_within(item: Item, since_ms: int | None, until_ms: int | None) -> bool:
    record: Any = item.record
    return (since_ms is None or record.at_ms >= since_ms) and (until_ms is None or record.at_ms < until_ms)
