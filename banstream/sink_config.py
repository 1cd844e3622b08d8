"""The sinks of a configuration: `[sink.NAME]`, and the jails that name them as their actions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from os.path import normpath
from typing import Any, Final, cast, get_args

from banstream import values
from banstream.jails import JailSettings
from banstream.toml import Table
from eventlog.follower import Edge
from sinks.contract import FormatKind, Option, Options, TransportKind, What
from sinks.registry import format_kind, format_names, schemes, transport_kind
from sinks.selection import CONDITIONS, HAPPENINGS, Selection
from sinks.settings import NAMES, SinkSettings
from sinks.transports.files import path_of

RESERVED: Final = ("run", "test", "setup")
"""Words of `banstream sink`."""
STARTS: Final[Mapping[str, Edge]] = {"now": "end", "beginning": "begin"}
MOST_WHOLE: Final = 1_000_000
HIGHEST_LIMIT: Final = 10_000_000


def read_sinks(top: Table, jails: Sequence[JailSettings]) -> tuple[SinkSettings, ...]:
    """The sinks that `[sink.NAME]` makes; one that jails name carries those jails' decisions alone."""
    tables = dict(top.table("sink").tables(parts=False))
    read = [_sink(name, table) for name, table in tables.items()]
    found = {each.name: each for each in read if each is not None}
    _own_files(found.values(), tables)
    named: dict[str, list[str]] = {}
    for jail in jails:
        for action in jail.actions:
            if action in tables:
                named.setdefault(action, []).append(jail.rules.name)
            else:
                near = get_close_matches(action, tables, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                table = top.table("jail").table(jail.rules.name)
                table.problem("actions", list(jail.actions), f"sinks: there is no [sink.{action}]{hint}")
    return tuple(_named_by(each, named.get(each.name), tables[each.name]) for each in found.values())


def _own_files(sinks: Iterable[SinkSettings], tables: Mapping[str, Table]) -> None:
    """Two sinks of one file would cut off, as torn, what the other is writing."""
    writers: dict[str, str] = {}
    for sink in sinks:
        if sink.to.startswith("file:"):
            first = writers.setdefault(normpath(path_of(sink.to)), sink.name)
            if first != sink.name:
                tables[sink.name].problem("to", sink.to, f"a file of its own: [sink.{first}] writes this one")


def _named_by(sink: SinkSettings, jails: list[str] | None, table: Table) -> SinkSettings:
    """A sink of those jails that name it and that it asks for itself."""
    if jails is None:
        return sink
    if asked := sink.selection.where.get("jail"):
        fit = [name for name in jails if any(fnmatchcase(name, pattern) for pattern in asked)]
        if not fit:
            table.problem(
                "where", {"jail": list(asked)}, f"a jail that names this sink: those are {', '.join(jails)}"
            )
        jails = fit
    where = {**sink.selection.where, "jail": tuple(re.sub(r"([*?[])", r"[\1]", name) for name in jails)}
    return replace(sink, selection=replace(sink.selection, where=where))


def _sink(name: str, table: Table) -> SinkSettings | None:
    enabled = table.take("enabled", values.flag, default=True)
    if re.fullmatch(NAMES, name) is None or name in RESERVED:
        table.problem(
            "", name, f"a name of up to 64 letters, digits, - and _, and none of {', '.join(RESERVED)}"
        )
    to = table.take("to", values.text, "")
    kind = transport_kind(to)
    if kind is None:
        if "to" not in table.refused:
            table.problem(
                "to", to or None, f"a receiver: one of {', '.join(f'{each}:' for each in schemes())}"
            )
        return None
    options = _options(table, kind.options)
    format_name = table.take("format", values.one_of(*format_names()), kind.format)
    format_options = _options(table, cast("FormatKind", format_kind(format_name)).options)
    made = SinkSettings(
        name=name,
        to=to,
        format=format_name,
        selection=_selection(table, kind),
        most=table.take("batch", values.between(1, 100_000), kind.most),
        every_ms=table.take("every", _pause_ms, kind.every_ms),
        limit_per_minute=table.take("limit", values.between(1, HIGHEST_LIMIT), None),
        start=STARTS[table.take("start", values.one_of(*STARTS), "now")],
        options=options,
        format_options=format_options,
    )
    if not table.refused and (why := kind.doubt(to, options)) is not None:
        table.problem("to", made.shown, why)
    table.done()
    return made if enabled else None


def _selection(table: Table, kind: TransportKind) -> Selection:
    on = table.take("on", values.some_of(*(each for some in HAPPENINGS.values() for each in some)), kind.on)
    usual: tuple[What, ...] = tuple(
        what for what, some in HAPPENINGS.items() if not on or set(on) & set(some)
    )
    what = table.take("what", _whats, usual)
    asked = table.table("where")
    unset: tuple[str, ...] = ()
    where = {name: asked.take(name, values.texts, unset) for name in CONDITIONS}
    asked.done()
    if on and not any(set(on) & set(HAPPENINGS[each]) for each in what):
        table.problem("on", list(on), f"happenings of {', '.join(what)}")
    return Selection(what, frozenset(on), {name: patterns for name, patterns in where.items() if patterns})


def _whats(value: object) -> tuple[What, ...]:
    return cast("tuple[What, ...]", values.some_of(*get_args(What))(value))


def _options(table: Table, options: Mapping[str, Option]) -> Options:
    return {name: table.take(name, _reader(option), option.default) for name, option in options.items()}


def _reader(option: Option) -> Callable[[Any], Any]:
    if option.choices:
        return values.one_of(*option.choices)
    return {
        "text": values.text,
        "texts": values.texts,
        "flag": values.flag,
        "whole": values.between(1, MOST_WHOLE),
        "duration": values.duration_ms,
        "file": values.file,
        "labels": _named_texts,
        "size": values.size_bytes(1),
    }[option.kind]


def _pause_ms(value: object) -> int:
    return 0 if value == 0 and value is not False else values.duration_ms(value)


def _named_texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ValueError('a table of texts such as { "X-Team" = "ops" }')
    return {str(name): each for name, each in value.items()}
