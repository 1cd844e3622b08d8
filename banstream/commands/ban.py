"""`banstream ban`: ban an address or prefix."""

from __future__ import annotations

import click

from banstream.options import config_option, json_option
from banstream.ordering import command, for_option, give, prefix_argument, why_option
from schemas.rules import MANUAL


@click.command("ban")
@prefix_argument
@for_option
@click.option("--jail", metavar="JAIL", help=f"In this jail's name [default: {MANUAL}].")
@why_option
@json_option
@config_option
def ban_command(as_json: bool, config_file: str | None, **facts: str | int | None) -> int:
    r"""Ban an address or prefix at once, whether or not it has failed.

    \b
    banstream ban 192.0.2.7
    banstream ban 2001:db8::/64 --for 1d --why "ticket 4711"
    """
    return give(config_file, command("ban", **facts), as_json=as_json)
