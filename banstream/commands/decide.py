"""`banstream decide`: workers that decide what is in a log on Kafka."""

from __future__ import annotations

from typing import Any

import click

from banstream.healing import settings_to_run
from banstream.logs import begin_logging, logging_options
from banstream.options import config_option
from schemas.errors import ConfigError


@click.command("decide")
@config_option
@click.option(
    "--workers", type=click.IntRange(1, 64), help="Processes here [default: decider.workers, or 1]."
)
@logging_options
@click.option("--nth", type=int, default=0, hidden=True, help="Of several workers, which one.")
@click.option("--leash", type=int, hidden=True, help="A descriptor: stop when its other end is closed.")
def decide_command(
    config_file: str | None, workers: int | None, leash: int | None, nth: int, **logging: Any
) -> int:
    """Decide: read events and commands from Kafka, append bans and unbans, exactly once, until SIGTERM.

    Start as many as there are partitions at most, on any hosts: they share the partitions, and take over
    from one that dies. While the broker is away they wait.
    """
    from banstream.serving import say_settings, say_wrong
    from banstream.workers import supervise, work

    begin_logging(**logging)
    settings = settings_to_run(config_file, check="names")
    if not settings.log_url.startswith("kafka://"):
        raise ConfigError(
            f"log.url = {settings.log_url!r}: `decide` needs a log on Kafka, such as kafka://host:9092; "
            "`banstream up` decides on the embedded one"
        )
    if leash is None:  # else the command that started this worker has said it
        say_settings(settings)
        say_wrong(settings)
    count = workers or settings.decider.workers
    if count > 1 and leash is None:
        options = [
            *(["--config", config_file] if config_file else []),
            *["--quiet"] * logging["quiet"],
            *["--debug"] * logging["debug"],
            *["--log-format", logging["log_format"], "--log-to", logging["log_to"]],
        ]
        return supervise(options, count)
    return work(settings, leash=leash, nth=nth)
