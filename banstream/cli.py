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

from schemas.errors import BanstreamError, ConfigError, LogError, SourceError, Transient

VERSION: Final = "0.1.0"

COMMANDS: Final[dict[str, str]] = {
    "up": "Protect this machine: the whole pipeline in one process.",
    "ship": "Send this machine's events to the fleet's log.",
    "decide": "Decide on a log on Kafka: one worker or several, of any number on any hosts.",
    "enforce": "Follow the fleet's bans with this machine's firewall.",
    "demo": "Ten seconds that show what this is, without touching the machine.",
    "match": "Lines to events: which lines of a log a filter matches.",
    "replay": "What the rules would decide, over log files or over the event log.",
    "status": "What is going on: jails, counts, the firewall, warnings.",
    "bans": "The bans in force.",
    "events": "The events read from the logs, oldest first.",
    "watch": "Events and decisions as they happen.",
    "ban": "Ban an address or prefix.",
    "unban": "End bans of an address or prefix, or all.",
    "forgive": "Forget the failures counted so far.",
    "allow": "Unban an address or prefix, and never ban it.",
    "breaker": "Whether the breaker refuses new bans on this machine; reset it.",
    "explain": "Why: lines, events, rules, decision, what the enforcer did.",
    "config": "Check or show the configuration.",
    "filters": "List filters, or test them on their own samples.",
    "rules": "Put rules in force in a fleet, and list them.",
    "hosts": "Who may ship: make and enroll hosts' keys, revoke and list them.",
    "topics": "Make or show the topics of the log on a Kafka cluster.",
    "log": "Make an embedded log small again, or move it to a Kafka cluster.",
    "doctor": "Check what this machine has and lacks.",
}


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
        module = import_module(f"banstream.commands.{cmd_name}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        for each in (command, *getattr(command, "commands", {}).values()):
            # Docstrings with a backslash are raw ones, and click wants the character: keep these lines apart
            each.help = (each.help or "").replace("\\b\n", "\b\n")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with their sentences, from the table: `--help` imports none of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyCommands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `banstream demo`, then `banstream doctor` and `banstream up`. "
    'Completion: eval "$(_BANSTREAM_COMPLETE=bash_source banstream)" (or zsh_source, fish_source).',
)
@click.version_option(VERSION, message="banstream %(version)s")
def banstream() -> None:
    """Fail2ban for a fleet, as an event stream.

    Log lines become events, events become decisions, decisions become firewall rules, and the log in
    between explains every one of them.
    """


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
