"""`banstream sink`: what happens, sent elsewhere."""

from __future__ import annotations

from logging import getLogger
from typing import Any

import click

from banstream.config import load_settings
from banstream.healing import settings_to_run
from banstream.instants import now_ms
from banstream.logs import begin_logging, logging_options
from banstream.options import config_option
from banstream.show import printable, say
from schemas.errors import ConfigError

log = getLogger("banstream")


class RunByDefault(click.Group):
    """A group whose first command stands for what is none of its commands' names."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments, `run` put first where they begin with no command."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group("sink", cls=RunByDefault)
def sink_command() -> None:
    """Send what happens elsewhere: to a SIEM, to people, to scripts, as `[sink.NAME]` says.

    `banstream up` sends by itself what its configuration names. In a fleet this is a role: `banstream sink`,
    or `banstream sink NAME...` for some of them. Each runs once, wherever it is started twice: the newer goes
    on, the older ends.
    """


@sink_command.command("run")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@config_option
@logging_options
def run_command(names: tuple[str, ...], config_file: str | None, **logging: Any) -> int:
    """Run sinks until SIGTERM: those of these names, or all. SIGHUP reads the configuration again.

    While a receiver is away, what is for it waits in the log. Nothing is lost, and what comes twice has the
    same id.
    """
    from banstream.loop import Loop
    from banstream.serving import listener, say_settings
    from banstream.sinking import Sinking

    begin_logging(**logging)
    settings = settings_to_run(config_file, check="names")
    say_settings(settings)
    role = Sinking(settings, now_ms, names)
    loop = Loop(
        "sink",
        role,
        reload=lambda: settings_to_run(config_file, check="names"),
        now_ms=now_ms,
        listener=listener(settings),
    )
    try:
        loop.run()
    finally:
        log.info("Stopping")
        loop.close()
    return 0


@sink_command.command("test")
@click.argument("name")
@config_option
def test_command(name: str, config_file: str | None) -> int:
    """Send one sample, marked as such, and say what the receiver said. Exit code 1 where it was not taken.

    The sample is a ban of 192.0.2.1, an address that belongs to nobody; nothing is banned, and nothing is
    written to the log.
    """
    from banstream.overview import VERSION
    from sinks.contract import Reception
    from sinks.sample import send_sample
    from sinks.settings import plan_of

    settings = load_settings(config_file, check="names")
    found = next((each for each in settings.sinks if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in settings.sinks) or "none"
        raise ConfigError(f"there is no [sink.{name}] in {settings.origin}; there are {known}")
    answer = send_sample(plan_of(found, VERSION, settings.enforcer.host), now_ms())
    if answer.reception is Reception.TAKEN:
        say(f"Taken by {found.shown}: a sample in {found.format}.")
        return 0
    click.echo(f"banstream: not taken by {printable(found.shown)}: {printable(answer.said)}", err=True)
    return 1
