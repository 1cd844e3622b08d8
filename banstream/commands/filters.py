"""`banstream filters`: which there are, and whether each does what it says on its own samples."""

from __future__ import annotations

from typing import Any

import click

from banstream.completion import complete_filter
from banstream.options import json_option
from banstream.show import json_line, note, say, show, table
from producers.filters import NativeFilter, every_filter, load_native
from producers.filters.samples import written, wrong
from producers.library import library_names


@click.group("filters")
def filters_command() -> None:
    """List filters, or test them on their own samples."""


@filters_command.command("list")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@json_option
def list_command(words: tuple[str, ...], as_json: bool) -> int:
    r"""The filters a jail can name; `counts`: the kinds of event it counts unless it says `kinds` itself.

    With words only those that hold all of them, in their name, what they read, their programs or where these
    log. Exit code 1 when there is none.

    \b
    banstream filters list ssh
    banstream filters list nginx access
    """
    filters = [
        each
        for each in sorted(every_filter(), key=lambda each: each.name)
        if all(word.lower() in _words(each) for word in words)
    ]
    if not filters:
        note(f"No filter has {' and '.join(words)}; `banstream filters list` shows all.")
        return 1
    if as_json:
        for each in filters:
            json_line(_wire(each))
    else:
        rows = [
            (told.name, told.title, ", ".join(told.counts), ", ".join(told.ports))
            for told in (each.definition for each in filters)
        ]
        show(table("Filters", ("filter", "reads", "counts", "ports"), rows))
    return 0


def _words(each: NativeFilter) -> str:
    """What a filter is searched by, in lower case."""
    told = each.definition
    return " ".join((each.name, each.service, told.title, *told.programs, *told.sources)).lower()


def _wire(each: NativeFilter) -> dict[str, Any]:
    told = each.definition
    return {
        "name": each.name,
        "version": each.version,
        "service": each.service,
        "title": told.title,
        "technique": told.technique,
        "counts": told.counts,
        "programs": told.programs,
        "ports": told.ports,
        "sources": told.sources,
    }


@filters_command.command("test")
@click.argument("names", nargs=-1, metavar="[FILTER|FILE]...", shell_complete=complete_filter)
@json_option
def test_command(names: tuple[str, ...], as_json: bool) -> int:
    """Run filters [default: all] on their own samples; exit code 1 when one reads a line otherwise."""
    failed = 0
    for name in names or library_names():
        each = load_native(name)
        sentences = list(wrong(each))
        failed += len(sentences)
        count = sum(len(written(each, sample)) for sample in each.samples)
        if as_json:
            json_line({"filter": name, "lines": count, "wrong": sentences})
            continue
        for sentence in sentences:
            say(f"WRONG  {sentence}")
        say(f"{name}: {count - len(sentences)} of {count} lines read as they should")
    return int(failed > 0)
