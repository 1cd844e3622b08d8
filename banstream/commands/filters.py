"""`banstream filters`: which there are, and whether each does what it says on its own samples."""

from __future__ import annotations

import click

from banstream.options import json_option
from banstream.show import json_line, say, show, table
from producers.filters import filter_names, load_filter
from producers.filters.samples import FORMS, load_samples, wrong


@click.group("filters")
def filters_command() -> None:
    """List filters, or test them on their own samples."""


@filters_command.command("list")
@json_option
def list_command(as_json: bool) -> int:
    """The filters a jail can name."""
    filters = [load_filter(name) for name in filter_names()]
    if as_json:
        for each in filters:
            json_line({"name": each.name, "version": each.version, "service": each.service})
    else:
        rows = [(each.name, each.service, each.version) for each in filters]
        show(table("Filters", ("filter", "service", "version"), rows))
    return 0


@filters_command.command("test")
@click.argument("names", nargs=-1, metavar="[FILTER]...")
def test_command(names: tuple[str, ...]) -> int:
    """Run filters [default: all] on their own samples; exit code 1 when one reads a line otherwise."""
    failed = 0
    for name in names or filter_names():
        sentences = list(wrong(load_filter(name)))
        failed += len(sentences)
        for sentence in sentences:
            say(f"WRONG  {sentence}")
        samples = load_samples(name)
        count = len(samples.samples) * len(FORMS) + len(samples.others)
        say(f"{name}: {count - len(sentences)} of {count} samples read as they should")
    return int(failed > 0)
