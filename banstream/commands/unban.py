"""`banstream unban`: end bans."""

from __future__ import annotations

import click

from banstream.options import PREFIX, config_option, json_option
from banstream.ordering import Asking, command, give_all, jail_option, wait_option, why_option


@click.command("unban")
@click.argument("prefixes", type=PREFIX, nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every ban in force.")
@jail_option
@why_option
@wait_option
@json_option
@config_option
def unban_command(
    as_json: bool,
    config_file: str | None,
    prefixes: tuple[str, ...],
    everything: bool,
    wait_ms: int,
    **facts: str | int | None,
) -> int:
    """End the bans of addresses, of prefixes and all that lies inside them, or of everything (--all).

    Exit code 1 when there was nothing to end, or when a wider prefix or another jail holds it still.
    """
    if everything == bool(prefixes):
        raise click.UsageError("name one address or prefix, or more, or --all")
    asking = Asking(config_file=config_file, as_json=as_json, wait_ms=wait_ms)
    whom: list[str | None] = [None] if everything else [*dict.fromkeys(prefixes)]
    return give_all([command("unban", prefix=prefix, **facts) for prefix in whom], asking)
