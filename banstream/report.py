"""A page that shows a replay."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from banstream.differing import Difference
from banstream.show import counted, instant, printable
from schemas.durations import format_duration
from schemas.errors import SourceError
from schemas.records import Ban
from schemas.rules import Rules

STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em 1em .2em 0;text-align:left}"
    "th{border-bottom:1px solid}"
)
MOST_ROWS: Final = 5_000


def write_report(
    path: Path,
    rules: Sequence[Rules],
    bans: Sequence[Sequence[Ban]],
    difference: Difference | None,
    warnings: Sequence[str] = (),
) -> None:
    """Write a replay as one page that needs nothing else; raises SourceError when it cannot."""
    try:
        path.write_text(_page(rules, bans, difference, warnings), encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{path}: the report cannot be written: {error.strerror}") from error


def _page(
    rules: Sequence[Rules],
    bans: Sequence[Sequence[Ban]],
    difference: Difference | None,
    warnings: Sequence[str],
) -> str:
    parts = [f"<!doctype html><meta charset=utf-8><title>banstream replay</title><style>{STYLE}</style>"]
    parts.append(
        f"<h1>Replay</h1><p>{counted(len(bans[0]), 'ban')} under rules {escape(rules[0].version)}.</p>"
    )
    parts += [f"<p><b>{escape(warning)}</b></p>" for warning in warnings]
    parts.append(_table(("jail", "maxretry", "findtime", "bantime"), _jail_rows(rules[0])))
    if difference is not None:
        parts.append(f"<h2>Under rules {escape(rules[1].version)}</h2><p>{difference.same} unchanged.</p>")
        parts.append(_table(("jail", "maxretry", "findtime", "bantime"), _jail_rows(rules[1])))
        rows = [(each.shown, each.prefix, each.jail, each.bans, each.other) for each in difference.changes]
        parts.append(_table(("change", "prefix", "jail", "bans", "bans under the others"), rows))
    rows_of_bans = [
        (instant(ban.at_ms), ban.prefix, ban.jail, instant(ban.until_ms), ban.count, ban.ban_count)
        for ban in bans[0]
    ]
    parts.append("<h2>Bans</h2>")
    parts.append(_table(("at", "prefix", "jail", "until", "failures", "ban"), rows_of_bans))
    return "\n".join(parts)


def _jail_rows(rules: Rules) -> list[tuple[object, ...]]:
    return [
        (jail.name, jail.maxretry, format_duration(jail.findtime_ms), format_duration(jail.bantime_ms))
        for jail in rules.jails
    ]


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(column)}" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(printable(str(cell)))}" for cell in row) for row in rows[:MOST_ROWS]
    )
    left = len(rows) - MOST_ROWS
    return f"<table><tr>{head}{body}</table>" + (f"<p>... and {left} more.</p>" if left > 0 else "")
