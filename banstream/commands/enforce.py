"""`banstream enforce`: one host's firewall, following the bans of the fleet."""

from __future__ import annotations

from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from banstream.config import EnforcerSettings
from banstream.healing import settings_to_run
from banstream.instants import now_ms
from banstream.logs import begin_logging, logging_options
from banstream.options import config_option
from eventlog.urls import open_log

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

log = getLogger("banstream")


@click.command("enforce")
@config_option
@logging_options
def enforce_command(config_file: str | None, **logging: Any) -> int:
    """Follow the bans on the log that `[log] url` names with this machine's firewall, until SIGTERM.

    It reads every ban in force, changes what differs, and follows. Bans of other jails than those of
    `[enforcer] jails` are left alone. While the broker is away its bans stay in force and end when they
    should. Without root, or without libnftables, it observes only, and says so. With `[enforcer] key_file` it
    signs what it says of itself: `banstream hosts --help`.
    """
    from banstream.enforcing import PATIENCE_MS, Enforcing
    from banstream.loop import Loop
    from banstream.serving import listener, say_settings, say_wrong

    begin_logging(**logging)
    settings = settings_to_run(config_file, check="names")
    say_settings(settings)
    say_wrong(settings)
    private = _private(settings.enforcer)
    event_log = open_log(settings.log_url, now_ms=now_ms, patience_ms=PATIENCE_MS)
    loop = Loop(
        "enforce",
        Enforcing(settings, event_log, now_ms, private),
        reload=lambda: settings_to_run(config_file, check="names"),
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


def _private(settings: EnforcerSettings) -> Ed25519PrivateKey | None:
    """The key with which this host's enforcer signs; None where it does not. Raises ConfigError."""
    if settings.key_file is None:
        return None
    from banstream.key_files import read_key
    from schemas.signatures import fingerprint, public_text

    private = read_key(Path(settings.key_file), "enforcer.key_file")
    log.info("Signing host=%s key=%s", settings.host, fingerprint(public_text(private)))
    return private
