"""`banstream enforce`: one host's firewall, following the bans of the fleet."""

from __future__ import annotations

from logging import getLogger
from typing import Any

import click

from banstream.config import load_settings
from banstream.instants import now_ms
from banstream.logs import logging_options, to_stderr
from banstream.options import config_option
from eventlog.urls import open_log

log = getLogger("banstream")


@click.command("enforce")
@config_option
@logging_options
def enforce_command(config_file: str | None, **logging: Any) -> int:
    """Follow the bans on the log that `[log] url` names with this machine's firewall, until SIGTERM.

    It reads every ban in force, changes what differs, and follows. Bans of other jails than those of
    `[enforcer] jails` are left alone. While the broker is away its bans stay in force and end when they
    should. Without root, or without libnftables, it observes only, and says so.
    """
    from banstream.enforcing import PATIENCE_MS, Enforcing
    from banstream.loop import Loop
    from banstream.serving import listener, say_settings

    to_stderr(**logging)
    settings = load_settings(config_file, check="names")
    say_settings(settings)
    event_log = open_log(settings.log_url, now_ms=now_ms, patience_ms=PATIENCE_MS)
    loop = Loop(
        "enforce",
        Enforcing(settings, event_log, now_ms),
        reload=lambda: load_settings(config_file, check="names"),
        now_ms=now_ms,
        listener=listener(settings),
    )
    try:
        loop.run()
    finally:
        log.info("Stopping")
        loop.close()
        event_log.close()
    return 0
