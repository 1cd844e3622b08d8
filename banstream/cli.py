"""The command line: its commands, loaded when called; its exit codes; its way of saying what went wrong.

Exit codes: 0 done, 1 nothing found or partly failed, 2 wrong usage or configuration, 3 cannot reach what
it needs (the event log, a file, the firewall).
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, Final

import click

from banstream.overview import ABOUT, COMMANDS, VERSION, overview
from schemas.errors import BanstreamError, ConfigError, LogError, SourceError, Transient

HINTS: Final[dict[str, str]] = {
    "banip": "`banstream ban ADDRESS [--jail JAIL]` does that",
    "unbanip": "`banstream unban ADDRESS [--jail JAIL]` does that",
    "banned": "`banstream bans` lists them",
    "start": "`banstream up` does that, or `systemctl start banstream`",
    "restart": "`banstream reload` takes a new configuration; else `banstream stop`, then `banstream up`",
    "ping": "`banstream status --health up` does that, and for scripts `banstream fail2ban-client ping`",
    "version": "`banstream --version` says it",
    "get": "`banstream config show` has what is configured, `banstream status` and `bans` what is in force; "
    "for scripts there is `banstream fail2ban-client get`",
    "set": "`banstream ban ADDRESS --jail JAIL` and `unban` are banip and unbanip; all else is in the "
    "configuration, then `banstream reload`; for scripts there is `banstream fail2ban-client set`",
    "add": "a jail is a table [jail.NAME] in the configuration, then `banstream reload`",
    "fail2ban-regex": "`banstream match FILE` does that",
    "regex": "`banstream match FILE` does that",
    "log-level": "a role has --quiet and --debug",
    "loglevel": "a role has --quiet and --debug",
    "logtarget": "a role has --log-to stderr|syslog|journal",
    "flushlogs": "nothing keeps a log file open: lines go to stderr, syslog or the journal",
    "dbpurgeage": "[log] max_size bounds what is kept (docs/operating.md)",
    "statistics": "`banstream status` has them",
    "jail": "`banstream status JAIL` shows one",
    "jails": "`banstream status` shows them",
    "decisions": "`banstream bans` lists those in force, `banstream ban` and `unban` make and end them",
    "alerts": "`banstream events` and `banstream explain ADDRESS` have them",
    "metrics": "`banstream status`, and [metrics] listen for Prometheus",
}
"""fail2ban's and CrowdSec's words, and what does that here."""

MODULES: Final = {"import": "importing"}
"""The modules of commands whose names are words of Python's."""


class LazyCommands(click.Group):
    """A group that imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None when there is none."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        from eventlog.kafka.quiet import quiet_libraries

        quiet_libraries()
        python_name = cmd_name.replace("-", "_")
        module = import_module(f"banstream.commands.{MODULES.get(cmd_name, python_name)}")
        command: click.Command = getattr(module, f"{python_name}_command")
        for each in (command, *getattr(command, "commands", {}).values()):
            # Docstrings with a backslash are raw ones, and click wants the character: keep these lines apart
            each.help = (each.help or "").replace("\\b\n", "\b\n")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with; for who names another, what does that here."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            hint = HINTS.get(name.lower()) or _nearest(name)
            ctx.fail(f"No such command {name!r}{f'; {hint}' if hint else '.'}")
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview: `--help` imports no command."""
        del ctx
        formatter.write(overview())


@click.group(
    cls=LazyCommands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=ABOUT,
)
@click.version_option(VERSION, message="banstream %(version)s")
def banstream() -> None:
    """The program; its help is banstream.overview."""


def _nearest(name: str) -> str | None:
    """The command that was meant, perhaps."""
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, n=1)
    return f"did you mean `banstream {near[0]}`?" if near else None


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    try:
        code: Any = banstream.main(args=arguments, prog_name="banstream", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        code = 130
    except BanstreamError as error:
        code = complain(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def complain(error: BanstreamError) -> int:
    """Tell a person what went wrong, on stderr; returns the exit code."""
    from banstream.show import printable

    lines = error.problems if isinstance(error, ConfigError) else (str(error),)
    for line in lines:
        click.echo(f"banstream: {printable(line)}", err=True)
    match error:
        case ConfigError():
            return 2
        case LogError() | SourceError() | Transient():
            return 3
        case _:
            return 1
