"""`banstream allow`: unban, and never ban."""

from __future__ import annotations

import click

from banstream.options import config_option, json_option
from banstream.ordering import command, for_option, give, prefix_argument, why_option


@click.command("allow")
@prefix_argument
@for_option
@click.option("--remove", is_flag=True, help="Take an earlier allow back.")
@why_option
@json_option
@config_option
def allow_command(as_json: bool, config_file: str | None, remove: bool, **facts: str | int | None) -> int:
    """Unban an address or prefix now, and neither count nor ban what lies inside it from now on."""
    return give(config_file, command("disallow" if remove else "allow", **facts), as_json=as_json)
