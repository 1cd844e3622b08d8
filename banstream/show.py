"""What people see: text from logs made harmless for a terminal, instants, tables."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click
import orjson

if TYPE_CHECKING:
    from rich.table import Table

STEERING: Final = re.compile(
    "[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
"""Control, format and line separator characters that JSON leaves as they are."""


def printable(text: str) -> str:
    r"""Text with every character that could steer a terminal written as its escape (`\\x1b`, `\\u202e`)."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def instant(at_ms: int | None) -> str:
    """An instant in local time, to the second; `for ever` for None."""
    if at_ms is None:
        return "for ever"
    return datetime.fromtimestamp(at_ms / 1_000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def until(at_ms: int | None) -> str:
    """When something ends, in a sentence."""
    return "for ever" if at_ms is None else f"until {instant(at_ms)}"


def json_line(value: dict[str, Any]) -> None:
    """One JSON object on one line of stdout."""
    sys.stdout.buffer.write(harmless(orjson.dumps(value)) + b"\n")


def harmless(wire: bytes) -> bytes:
    r"""JSON that means the same, with what could steer a terminal escaped (`\u009b`, `\u202e`)."""
    if wire.isascii() and b"\x7f" not in wire:
        return wire
    return STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", wire.decode("utf-8")).encode("utf-8")


def flush() -> None:
    """Hand stdout's lines on now: for those who follow."""
    sys.stdout.flush()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table whose cells are plain text: nothing in them is markup."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(printable(str(cell))) for cell in row))
    return made


def show(renderable: object) -> None:
    """Print a table or text for people on stdout."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 160
    Console(highlight=False, soft_wrap=False, width=width).print(renderable, markup=False)


def say(sentence: str) -> None:
    """A sentence for people, on stdout."""
    click.echo(printable(sentence))


def note(sentence: str) -> None:
    """A sentence for people beside the output, on stderr."""
    click.echo(printable(sentence), err=True)
