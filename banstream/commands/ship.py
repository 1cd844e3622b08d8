"""`banstream ship`: one host's logs, as events in the fleet's log."""

from __future__ import annotations

from logging import getLogger
from pathlib import Path
from typing import Any, Final

import click

from banstream.healing import settings_to_ship
from banstream.instants import now_ms
from banstream.limits import open_more_files
from banstream.logs import begin_logging, logging_options
from banstream.options import config_option
from eventlog.claim import Claim
from eventlog.urls import is_shared, open_log
from producers.intakes.settings import is_intake
from schemas.errors import ConfigError

NOTHING_SENT: Final = (
    '{}: no jail reads what others send; give one source = "kafka://banstream.raw", and say whose lines '
    'stand there: [intake.raw] listen = "kafka://banstream.raw", [intake.raw.sender.hosts] hosts = ["*"]'
)

log = getLogger("banstream")


@click.command("ship")
@config_option
@logging_options
def ship_command(config_file: str | None, **logging: Any) -> int:
    """Send what this machine's logs hold to the log that `[log] url` names, until SIGTERM or Ctrl-C.

    What is read goes through a spool on disk, from which it leaves when the broker has acknowledged it. While
    the broker is away the spool fills to `[ship] spool` at most; then lines wait in their files. With
    `[ship] key_file` it signs what it sends: `banstream hosts --help`.
    """
    run_shipper("ship", config_file, only_sent=False, **logging)
    return 0


def run_shipper(role: str, config_file: str | None, *, only_sent: bool, **logging: Any) -> None:
    """Run a role that reads, and sends what it reads through a spool, until it is told to stop.

    `only_sent`: what others send is read, and no file. Raises ConfigError and LogError.
    """
    from banstream.key_files import read_key
    from banstream.loop import Loop
    from banstream.serving import listener, say_settings, say_waiting
    from banstream.shipping import SEND_MS, Shipping
    from producers.spool import Spool
    from schemas.signatures import fingerprint, public_text

    begin_logging(**logging)
    open_more_files()
    settings = settings_to_ship(config_file)
    if only_sent and not any(is_intake(source) for jail in settings.jails for source in jail.sources):
        raise ConfigError(NOTHING_SENT.format(settings.origin))
    say_settings(settings)
    say_waiting(settings)
    ship = settings.ship
    private = None if ship.key_file is None else read_key(Path(ship.key_file), "ship.key_file")
    event_log = open_log(settings.log_url, now_ms=now_ms, patience_ms=SEND_MS)
    spool = Spool.open(ship.spool, ship.spool_bytes)
    claim = Claim.take(ship.spool, "ship")
    log.info("Shipping spool=%s host=%s", ship.spool, ship.host)
    if private is not None:
        log.info("Signing host=%s key=%s", ship.host, fingerprint(public_text(private)))
    elif is_shared(settings.log_url):
        log.warning("Nothing is signed, and counts only where not all hosts have to host=%s", ship.host)
    shipping = Shipping(settings, spool, event_log, now_ms, private, only_sent=only_sent)
    loop = Loop(
        role,
        shipping,
        reload=lambda: settings_to_ship(config_file),
        now_ms=now_ms,
        listener=listener(settings),
    )
    try:
        loop.run()
    finally:
        log.info("Stopping")
        loop.close()
        if shipping.ended:  # else its thread waits for the broker, and ends with the process
            event_log.close()
            spool.close()
        claim.release()
