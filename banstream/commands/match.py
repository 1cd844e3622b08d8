"""`banstream match`: lines to events, no counting."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import click
import orjson

from banstream.instants import Instant
from banstream.options import json_option
from banstream.progress import progress
from banstream.show import harmless, instant, json_line, note, printable
from producers.filters import AUTO, Filter, filters_of
from producers.filters.rows import Row
from producers.offline import Batch, match_files


@dataclass(slots=True)
class Counts:
    """What a run has gone through; `line` is where it stands in the present file."""

    lines: int = 0
    events: int = 0
    file: str = ""
    line: int = 1


@click.command("match")
@click.option(
    "--filter",
    "names",
    multiple=True,
    metavar="NAME|FILE",
    help="A filter [default: auto, whichever of the library a line is for].",
)
@click.option(
    "--now", "now", type=Instant(), metavar="INSTANT", help="Of lines without a year [default: mtime]."
)
@click.option("--stats", is_flag=True, help="Counts and speed as one JSON line last; alone: only that.")
@json_option
@click.argument("files", nargs=-1, required=True, metavar="FILE|-...")
def match_command(
    names: tuple[str, ...], now: int | None, stats: bool, as_json: bool, files: tuple[str, ...]
) -> int:
    r"""Which lines of log files a filter matches, and the event it makes of each.

    \b
    banstream match /var/log/auth.log
    banstream match --filter sshd --json auth.log.1.gz
    journalctl -u ssh -o short-iso | banstream match -

    Exit code 1 when no line matches.
    """
    named = [name for name in names if name != AUTO]
    filters = filters_of(named, auto=not named or AUTO in names)
    counts = Counts()
    started = perf_counter()
    for batch in progress(match_files(files, filters, now, named=len(named)), files):
        if stats and not as_json:
            counts.events += sum(map(len, batch.rows))
        else:
            _print(batch, filters, counts, as_json=as_json)
        lines = batch.data.count(b"\n")
        counts.lines += lines
        counts.line += lines
    seconds = perf_counter() - started
    if stats:
        sys.stdout.flush()
        json_line(
            {
                "lines": counts.lines,
                "events": counts.events,
                "decisions": 0,
                "seconds": round(seconds, 3),
                "lines_per_s": round(counts.lines / seconds) if seconds else 0,
            }
        )
    elif not as_json:
        note(f"{counts.events} of {counts.lines} lines matched")
    return 0 if counts.events else 1


def _print(batch: Batch, filters: Sequence[Filter], counts: Counts, *, as_json: bool) -> None:
    """Print the events of a batch in the order of their lines."""
    if batch.path != counts.file:
        counts.file, counts.line = batch.path, 1
    wires = list(_wires(batch, filters, counts.line))
    counts.events += len(wires)
    if wires and as_json:
        # One array, cut where one object ends and the next begins, as producers.frames does and explains.
        text = orjson.dumps(wires)[1:-1].replace(b'},{"file":', b'}\n{"file":') + b"\n"
        sys.stdout.buffer.write(harmless(text))
    elif wires:
        sys.stdout.buffer.write("".join(map(_sentence, wires)).encode())


def _wires(batch: Batch, filters: Sequence[Filter], line: int) -> Iterator[dict[str, Any]]:
    count, seen = batch.data.count, 0
    for name, (kind, at_ms, ip, start, _, user, port, _, _, _, fields) in _in_order(batch, filters):
        line += count(b"\n", seen, start)
        seen = start
        wire = {
            "file": batch.path,
            "line": line,
            "filter": name,
            "kind": kind,
            "ip": ip,
            "user": user,
            "at_ms": at_ms,
        }
        if port is not None:
            wire["port"] = port
        if fields:
            wire["fields"] = fields
        yield wire


def _sentence(wire: dict[str, Any]) -> str:
    user = f"  user={wire['user']}" if wire["user"] is not None else ""
    place, at = f"{wire['file']}:{wire['line']}", instant(wire["at_ms"])
    return printable(f"{place}  {at}  {wire['kind']:9}  {wire['ip']}  {wire['filter']}{user}") + "\n"


def _in_order(batch: Batch, filters: Sequence[Filter]) -> Iterator[tuple[str, Row]]:
    named = [(each.name, row) for each, rows in zip(filters, batch.rows, strict=True) for row in rows]
    if len(filters) > 1:
        named.sort(key=lambda each: each[1][3])
    return iter(named)
