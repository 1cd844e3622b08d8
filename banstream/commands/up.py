"""`banstream up`: the main job."""

from __future__ import annotations

from logging import getLogger
from typing import TYPE_CHECKING, Any

import click

from banstream.healing import settings_to_watch
from banstream.instants import now_ms
from banstream.limits import open_more_files
from banstream.logs import begin_logging, logging_options
from banstream.options import config_option
from eventlog.claim import Claim
from eventlog.urls import sqlite_path
from schemas.durations import format_duration
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from banstream.wiring import Stages

log = getLogger("banstream")


@click.command("up")
@config_option
@logging_options
def up_command(config_file: str | None, **logging: Any) -> int:
    """Protect this machine: read its logs, decide, record and enforce, until SIGTERM or Ctrl-C.

    Without root, or without libnftables, it observes only, and says so. A jail that is wrong, or whose filter
    or source is, waits while the others run: `banstream status` says so. SIGHUP reads the configuration again
    and goes on with the old one where the new one is wrong outside of jails. While the log's disk is full it
    goes on in memory.
    """
    from banstream.pipeline import Pipeline
    from banstream.serving import listener, say_settings
    from banstream.wiring import Stages
    from eventlog.sqlite import SqliteLog
    from eventlog.sqlite_held import HoldingLog

    begin_logging(**logging)
    open_more_files()
    settings = settings_to_watch(config_file)
    if settings.log_url.startswith("kafka://"):
        raise ConfigError(
            f"log.url = {settings.log_url!r}: `up` is the whole pipeline on an embedded log; on Kafka run "
            "`banstream ship`, `banstream decide` and `banstream enforce`"
        )
    say_settings(settings)
    path = sqlite_path(settings.log_url)
    event_log = HoldingLog(SqliteLog.open(path, now_ms=now_ms), now_ms)
    claim = Claim.take(path, "up")
    try:
        stages = Stages.connect(settings, event_log, now_ms)
        pipeline = Pipeline(
            event_log,
            stages,
            reload=lambda: settings_to_watch(config_file),
            now_ms=now_ms,
            listener=listener(settings),
        )
        announce(stages)
        try:
            pipeline.run()
        finally:
            log.info("Stopping")
            pipeline.close()
    finally:
        claim.release()
    return 0


def announce(stages: Stages) -> None:
    """Say what is watched, by which rules, with which firewall, and what is never banned."""
    from banstream.serving import say_missing, say_never_banned, say_waiting

    settings = stages.settings
    for source in stages.producer.describe():
        log.info("Watching source=%s", source)
    say_missing(settings)
    for jail in settings.jails:
        rules = jail.rules
        log.info(
            "Jail name=%s filter=%s counts=%s maxretry=%d findtime=%s bantime=%s ignoreip=%s",
            rules.name,
            ",".join(rules.filters) or "none",
            ",".join(rules.kinds) if rules.on == "events" else rules.on,
            rules.maxretry,
            format_duration(rules.findtime_ms),
            format_duration(rules.bantime_ms),
            ",".join((*rules.ignoreip, *rules.lists)),
        )
    say_waiting(settings, settings.rules().version)
    status = stages.enforcer.status()
    say_never_banned(status.never_ban)
    if stages.observing:
        log.warning("OBSERVING ONLY, nothing is enforced reason=%s", stages.observing)
    else:
        log.info("Enforcing backend=%s in_force=%d", status.backend, status.in_force)
