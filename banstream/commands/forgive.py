"""`banstream forgive`: forget failures."""

from __future__ import annotations

import click

from banstream.options import config_option, json_option
from banstream.ordering import command, give, jail_option, prefix_argument, why_option


@click.command("forgive")
@prefix_argument
@jail_option
@why_option
@json_option
@config_option
def forgive_command(as_json: bool, config_file: str | None, **facts: str | int | None) -> int:
    """Forget the failures counted so far of an address, or of all that lies inside a prefix."""
    return give(config_file, command("forgive", **facts), as_json=as_json)
