"""`banstream ban`: ban addresses or prefixes."""

from __future__ import annotations

import click

from banstream.options import config_option, json_option
from banstream.ordering import (
    Asking,
    BanTime,
    command,
    give_all,
    jail_names,
    prefixes_argument,
    wait_option,
    why_option,
)
from schemas.rules import MANUAL


@click.command("ban")
@prefixes_argument
@click.option(
    "--for",
    "duration_ms",
    type=BanTime(),
    metavar="DURATION",
    help="For this long; -1: for ever [default: the jail's bantime with --jail, else for ever].",
)
@click.option(
    "--jail",
    metavar="JAIL",
    shell_complete=jail_names,
    help=f"In this jail's name [default: {MANUAL}].",
)
@why_option
@wait_option
@json_option
@config_option
def ban_command(
    as_json: bool,
    config_file: str | None,
    prefixes: tuple[str, ...],
    wait_ms: int,
    **facts: str | int | None,
) -> int:
    r"""Ban addresses or prefixes at once, whether or not they have failed.

    Exit code 1 when one is not in force where it should be: refused, failed, only observed, or in a fleet
    not yet on every host that was heard of.

    \b
    banstream ban 192.0.2.7
    banstream ban 192.0.2.7 198.51.100.9 --jail sshd
    banstream ban 2001:db8::/64 --for 1d --why "ticket 4711"
    """
    asking = Asking(
        config_file=config_file, as_json=as_json, wait_ms=wait_ms, usual=facts["duration_ms"] is None
    )
    return give_all([command("ban", prefix=prefix, **facts) for prefix in dict.fromkeys(prefixes)], asking)
