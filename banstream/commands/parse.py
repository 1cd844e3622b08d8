"""`banstream parse`: raw lines that hosts send with a shipper of their own, as events in the fleet's log."""

from __future__ import annotations

from typing import Any

import click

from banstream.commands.ship import run_shipper
from banstream.logs import logging_options
from banstream.options import config_option


@click.command("parse")
@config_option
@logging_options
def parse_command(config_file: str | None, **logging: Any) -> int:
    """Read what others send, in topics and at addresses, and append its events to the log, until SIGTERM.

    As `banstream ship`, but of the jails' sources only those that are sent: `kafka://banstream.raw` and its
    kin, `syslog+tls://...`, `https://...`. Hosts then need no banstream, only the shipper they have. It goes
    on in a topic where it was, from `[ship] directory`, whatever is killed.
    """
    run_shipper("parse", config_file, only_sent=True, **logging)
    return 0
