"""`banstream match`: lines to events, no counting."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from time import perf_counter
from typing import Any, Final

import click
import orjson

from banstream.completion import complete_filter
from banstream.coverage import Coverage
from banstream.instants import Instant
from banstream.options import json_option
from banstream.progress import progress
from banstream.show import instant, json_line, note, printable, say
from producers.filters import Filter, filters_of
from producers.filters.rows import EventRow
from producers.library import AUTO
from producers.offline import MatchedLines, match_files
from schemas.steering import harmless

SHAPES: Final = 30
"""How many shapes of lines `--coverage` shows."""


@dataclass(slots=True)
class MatchCounts:
    """What a run has gone through; `line` is where it stands in the present file.

    `untimed`: events of lines whose time could not be read; `unnamed`: those of no address.
    """

    lines: int = 0
    events: int = 0
    untimed: int = 0
    unnamed: int = 0
    file: str = ""
    line: int = 1

    def add(self, batch: MatchedLines) -> None:
        """Count the events of a batch, which begins where this stands, or with another file."""
        if batch.path != self.file:
            self.file, self.line = batch.path, 1
        self.events += sum(map(len, batch.rows))
        self.untimed += batch.untimed
        self.unnamed += batch.unnamed


@click.command("match")
@click.option(
    "--filter",
    "names",
    shell_complete=complete_filter,
    multiple=True,
    metavar="NAME|FILE",
    help="A filter [default: auto, whichever of the library a line is for].",
)
@click.option(
    "--now", "now", type=Instant(), metavar="INSTANT", help="Of lines without a year [default: mtime]."
)
@click.option("--explain", is_flag=True, help="For every line: which pattern takes it, or why none does.")
@click.option("--coverage", is_flag=True, help="Only what stayed unmatched, grouped by shape.")
@click.option("--stats", is_flag=True, help="Counts and speed as one JSON line last; alone: only that.")
@json_option
@click.argument("files", nargs=-1, required=True, metavar="FILE|-...")
def match_command(
    names: tuple[str, ...],
    now: int | None,
    explain: bool,
    coverage: bool,
    stats: bool,
    as_json: bool,
    files: tuple[str, ...],
) -> int:
    r"""Which lines of log files a filter matches, and the event it makes of each.

    \b
    banstream match /var/log/auth.log
    banstream match --filter sshd --json auth.log.1.gz
    banstream match --filter ./shop.toml --explain app.log
    banstream match --filter 'postfix[mode=auth]' /var/log/mail.log
    journalctl -u ssh -o short-iso | banstream match -

    A name with options, or a path that ends in .conf, is a filter of fail2ban's. Exit code 1 when no line
    matches.
    """
    named = [name for name in names if name != AUTO]
    filters = filters_of(named, auto=not named or AUTO in names)
    counts, shapes = MatchCounts(), Coverage()
    started = perf_counter()
    for batch in progress(match_files(files, filters, now, named=len(named)), files):
        counts.add(batch)
        if coverage:
            shapes.add(_unmatched(batch, counts.line))
        elif explain:
            _explain(batch, filters, counts.line, as_json=as_json)
        elif as_json or not stats:
            _print(batch, filters, counts, as_json=as_json)
        lines = batch.data.count(b"\n")
        counts.lines += lines
        counts.line += lines
    if coverage:
        _print_shapes(shapes, as_json=as_json)
    _conclude(counts, perf_counter() - started, stats=stats, as_json=as_json)
    return 0 if counts.events else 1


def _conclude(counts: MatchCounts, seconds: float, *, stats: bool, as_json: bool) -> None:
    if stats:
        sys.stdout.flush()
        json_line(
            {
                "lines": counts.lines,
                "events": counts.events,
                "untimed": counts.untimed,
                "unnamed": counts.unnamed,
                "decisions": 0,
                "seconds": round(seconds, 3),
                "lines_per_s": round(counts.lines / seconds) if seconds else 0,
            }
        )
    elif not as_json:
        note(f"{counts.events} of {counts.lines} lines matched")
    if counts.untimed and not (as_json or stats):
        from banstream.sentences import untimed

        note(untimed(counts.untimed))


def _print(batch: MatchedLines, filters: Sequence[Filter], counts: MatchCounts, *, as_json: bool) -> None:
    """Print the events of a batch in the order of their lines."""
    wires = list(_wires(batch, filters, counts.line))
    if wires and as_json:
        # One array, cut where one object ends and the next begins, as producers.frames does and explains.
        text = orjson.dumps(wires)[1:-1].replace(b'},{"file":', b'}\n{"file":') + b"\n"
        sys.stdout.buffer.write(harmless(text))
    elif wires:
        sys.stdout.buffer.write("".join(map(_sentence, wires)).encode())


def _wires(batch: MatchedLines, filters: Sequence[Filter], line: int) -> Iterator[dict[str, Any]]:
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


def _in_order(batch: MatchedLines, filters: Sequence[Filter]) -> Iterator[tuple[str, EventRow]]:
    named = [(each.name, row) for each, rows in zip(filters, batch.rows, strict=True) for row in rows]
    if len(filters) > 1:
        named.sort(key=lambda each: each[1][3])
    return iter(named)


def _lines(batch: MatchedLines, line: int) -> Iterator[tuple[int, int, bytes]]:
    """(where it starts, number, text) of each line."""
    start = 0
    for number, text in enumerate(batch.data.split(b"\n")[:-1], start=line):
        yield start, number, text.rstrip(b"\r")
        start += len(text) + 1


def _unmatched(batch: MatchedLines, line: int) -> Iterator[tuple[int, bytes]]:
    matched = {row[3] for rows in batch.rows for row in rows}
    return ((number, text) for start, number, text in _lines(batch, line) if start not in matched)


def _print_shapes(shapes: Coverage, *, as_json: bool) -> None:
    most = shapes.most()
    for each in most if as_json else most[:SHAPES]:
        if as_json:
            json_line({"count": each.count, "line": each.line, "shape": each.shape, "example": each.example})
        else:
            say(f"{each.count:8}  line {each.line}: {each.shape}")
    if len(most) > SHAPES and not as_json:
        note(f"and {len(most) - SHAPES} shapes more; --json shows all")


def _explain(batch: MatchedLines, filters: Sequence[Filter], line: int, *, as_json: bool) -> None:
    """For each line its event with the pattern and what it captures, or each filter's reason."""
    events: dict[int, list[tuple[Filter, EventRow]]] = {}
    for each, rows in zip(filters, batch.rows, strict=True):
        for row in rows:
            events.setdefault(row[3], []).append((each, row))
    for start, number, text in _lines(batch, line):
        found = events.get(start, [])
        why = {} if found else dict(_reasons(filters, text))
        facts = [_facts(each, row, text) for each, row in found]
        if as_json:
            json_line({"file": batch.path, "line": number, "events": facts, "reasons": why})
            continue
        say(f"{batch.path}:{number}  {text.decode('utf-8', 'replace')}")
        for event in facts:
            what = f"{event['kind']}  {event['ip']}  {event['pattern']}  {event['groups']}"
            say(f"    {event['filter']}: {what}")
        for name, sentence in why.items():
            say(f"    {name}: {sentence}")


def _facts(each: Filter, row: EventRow, text: bytes) -> dict[str, Any]:
    pattern, groups = each.taken(text) or ("", dict(row[10] or {}))
    return {
        "filter": each.name,
        "kind": row[0],
        "ip": row[2],
        "pattern": pattern,
        "groups": groups,
    }


def _reasons(filters: Sequence[Filter], text: bytes) -> Iterator[tuple[str, str]]:
    """Why no filter takes a line, the likeliest first: of a library, those that find something of theirs."""
    near = [
        (-each.nearness(text), each.name, each) for each in filters if len(filters) == 1 or each.is_near(text)
    ]
    if not near:
        yield "no filter", "it holds nothing of what any of them looks for"
    for _, name, each in sorted(near, key=itemgetter(0, 1)):
        yield name, each.reason(text)
