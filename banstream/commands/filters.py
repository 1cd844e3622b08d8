"""`banstream filters`: which there are, and whether each does what it says on its own samples."""

from __future__ import annotations

import click

from banstream.options import json_option
from banstream.show import json_line, show, table
from producers.filters import filter_names, load_filter


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
