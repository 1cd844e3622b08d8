"""What people see: text from logs made harmless for a terminal, instants, tables."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import click
import orjson

from banstream.tables import Bad, Style, TextTable, fold, lines
from schemas import steering
from schemas.steering import harmless

printable = steering.printable


def instant(at_ms: int | None) -> str:
    """An instant in local time, to the second; `for ever` for None."""
    if at_ms is None:
        return "for ever"
    return _second(at_ms // 1_000)


@lru_cache(maxsize=4_096)
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def moment(at_ms: int | None, now_ms: int) -> str:
    """An instant in local time, as short as can be: of today the time, else the day and the minute."""
    if at_ms is None:
        return "for ever"
    said, today = instant(at_ms), instant(now_ms)[:10]
    return said[11:] if said.startswith(today) else said[:16]


def until(at_ms: int | None) -> str:
    """When something ends, in a sentence."""
    return "for ever" if at_ms is None else f"until {instant(at_ms)}"


def json_line(value: dict[str, Any]) -> None:
    """One JSON object on one line of stdout."""
    sys.stdout.buffer.write(harmless(orjson.dumps(value)) + b"\n")


def flush() -> None:
    """Hand stdout's lines on now: for those who follow."""
    sys.stdout.flush()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> TextTable:
    """A table whose cells are plain text, made harmless; what is `Bad` stays so."""
    return TextTable(printable(title), columns, [[_cell(cell) for cell in row] for row in rows])


def show(made: TextTable) -> None:
    """Print a table on stdout: as wide as the terminal, in a pipe as wide as its words."""
    shown = lines(made, terminal_width(), bold=bold, red=red)
    click.echo("\n".join(shown))


def terminal_width() -> int | None:
    """How many cells a line of the terminal has; None where stdout is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def bold(text: str) -> str:
    """A text that leads, where stdout shows colours."""
    return click.style(text, bold=True) if text and has_colours() else text


def red(text: str) -> str:
    """A text that says something is wrong, where stdout shows colours."""
    return click.style(text, fg="red") if text and has_colours() else text


def has_colours() -> bool:
    """Whether stdout shows colours: a terminal, and nobody said otherwise (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def counted(count: int, one: str, many: str | None = None) -> str:
    """So many of something: `1 ban`, `2 bans`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def say(sentence: str) -> None:
    """A sentence for people, on stdout."""
    click.echo(printable(sentence))


def note(sentence: str) -> None:
    """A sentence for people beside the output, on stderr."""
    click.echo(printable(sentence), err=True)


def tell(sentence: str, *, wrong: bool = False) -> None:
    """A sentence for people, on stdout, its lines broken between words; red where something is `wrong`."""
    _print_folded(sentence, red if wrong else str)


def warn(sentence: str) -> None:
    """A warning for people, on stdout, its lines broken between words; its head is red."""
    _print_folded(f"WARNING: {sentence}", lambda text: text.replace("WARNING:", red("WARNING:"), 1))


def _print_folded(sentence: str, styled: Style) -> None:
    said, width = printable(sentence), terminal_width()
    click.echo(styled("\n".join([said] if width is None else fold(said, width))))


def _cell(value: object) -> str:
    text = printable(str(value)).rstrip()
    return Bad(text) if isinstance(value, Bad) else text
