"""`banstream forgive`: forget failures."""

from __future__ import annotations

import click

from banstream.options import config_option, json_option
from banstream.ordering import (
    Asking,
    command,
    give_all,
    jail_option,
    prefixes_argument,
    wait_option,
    why_option,
)


@click.command("forgive")
@prefixes_argument
@jail_option
@why_option
@wait_option
@json_option
@config_option
def forgive_command(
    as_json: bool,
    config_file: str | None,
    prefixes: tuple[str, ...],
    wait_ms: int,
    **facts: str | int | None,
) -> int:
    """Forget the failures counted so far of addresses, or of all that lies inside prefixes. No ban ends."""
    asking = Asking(config_file=config_file, as_json=as_json, wait_ms=wait_ms)
    return give_all([command("forgive", prefix=each, **facts) for each in dict.fromkeys(prefixes)], asking)
