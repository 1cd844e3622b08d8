"""`banstream unban`: end bans."""

from __future__ import annotations

import click

from banstream.options import PREFIX, config_option, json_option
from banstream.ordering import command, give, jail_option, why_option


@click.command("unban")
@click.argument("prefix", type=PREFIX, required=False)
@click.option("--all", "everything", is_flag=True, help="Every ban in force.")
@jail_option
@why_option
@json_option
@config_option
def unban_command(as_json: bool, config_file: str | None, everything: bool, **facts: str | int | None) -> int:
    """End the bans of an address, of a prefix and all that lies inside it, or of everything (--all)."""
    if everything == (facts["prefix"] is not None):
        raise click.UsageError("name one address or prefix, or --all")
    return give(config_file, command("unban", **facts), as_json=as_json)
