"""The operator's words (ban, unban, forgive, allow): appended to the log; the decider obeys.

They work while `up` runs, and while it does not: then they are applied when it starts.
"""

from __future__ import annotations

import logging
import os
import pwd
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import click

from banstream.answers import Answers, Order
from banstream.config import Settings, load_settings
from banstream.hindsight import holds_any
from banstream.instants import DurationType, now_ms
from banstream.options import PREFIX, REASON
from banstream.reading import heartbeat, is_up, open_to_tell, rules_in_force
from eventlog.contract import Append, EventLog
from eventlog.urls import is_shared
from schemas.codec import encode
from schemas.errors import ConfigError
from schemas.records import Command, Verb
from schemas.rules import MANUAL, Rules
from schemas.topics import COMMANDS, partition_of, spans_partitions

if TYPE_CHECKING:
    from banstream.outcomes import Outcomes

WAIT_MS: Final = 5_000
FOREVER_MS: Final = -1


class BanTime(DurationType):
    """A duration, or -1: for ever, as `bantime` says it."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The duration in milliseconds; FOREVER_MS for ever."""
        if str(value).strip() in {"-1", "ever", "for ever"}:
            return FOREVER_MS
        return super().convert(value, param, ctx)


why_option = click.option(
    "--why", default="", type=REASON, metavar="TEXT", help="The reason, kept in the audit trail."
)
for_option = click.option(
    "--for",
    "duration_ms",
    type=BanTime(),
    metavar="DURATION",
    help="For this long; -1: for ever [default: for ever].",
)
wait_option = click.option(
    "--wait",
    "wait_ms",
    type=DurationType(),
    default=WAIT_MS,
    metavar="DURATION",
    help="How long to wait for what comes of it [default: 5s].",
)
prefix_argument = click.argument("prefix", type=PREFIX)
prefixes_argument = click.argument("prefixes", type=PREFIX, nargs=-1, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How a command is given.

    Attributes:
        usual: a ban of a jail lasts that jail's bantime, unless the command says how long.
    """

    config_file: str | None
    as_json: bool
    wait_ms: int = WAIT_MS
    usual: bool = False


def command(verb: Verb, **facts: str | int | None) -> Command:
    """A command of this operator, now."""
    if facts.get("duration_ms") == FOREVER_MS:
        facts["duration_ms"] = None
    return Command(id=uuid4().hex, verb=verb, at_ms=now_ms(), who=operator(), **facts)  # type: ignore[arg-type]


def operator() -> str:
    """Who asks: the user behind sudo, else the user."""
    if name := os.environ.get("SUDO_USER"):
        return name
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def give(config_file: str | None, command: Command, *, as_json: bool) -> int:
    """Give one command, as `give_all` does."""
    return give_all([command], Asking(config_file=config_file, as_json=as_json))


def give_all(commands: Sequence[Command], asking: Asking, told: Callable[..., Outcomes] | None = None) -> int:
    """Append commands, wait for what comes of them, and say that; the exit code, the worst of all.

    `told` makes who says it, where that is not for people or in JSON.
    """
    from banstream.outcomes import Outcomes

    settings = load_settings(asking.config_file, check="log")
    log, shared = open_to_tell(settings), is_shared(settings.log_url)
    try:
        running = shared or is_up(settings.log_url, log, heartbeat(log), now_ms())
        rules = _rules(settings, rules_in_force(log), running=running)
        commands = [
            replace(_settled(log, each, rules, usual=asking.usual), at_ms=now_ms()) for each in commands
        ]
        outcomes = (told or Outcomes)(log, settings, rules, as_json=asking.as_json)
        before = {each.id: outcomes.known_before(each) for each in commands}
        answers = Answers(log, shared=shared)
        orders = [Order(each, submit(log, each)) for each in commands]
        if not running:
            return max(outcomes.not_running(order) for order in orders)
        answers.wait(orders, outcomes.listeners(), asking.wait_ms / 1_000)
        return max(
            outcomes.tell(order, answers.of(order), answers.undecided(order), before[order.command.id])
            for order in orders
        )
    finally:
        log.close()


def _rules(settings: Settings, in_force: Rules | None, *, running: bool) -> Rules:
    """The rules that a command is about: those in force; where none decides now, the file's jails as well."""
    if in_force is None:
        return settings.rules()
    if running:
        return in_force
    names = {jail.name for jail in settings.rules().jails}
    gone = tuple(jail for jail in in_force.jails if jail.name not in names)
    return replace(in_force, jails=(*settings.rules().jails, *gone))


def _settled(log: EventLog, command: Command, rules: Rules, *, usual: bool) -> Command:
    """A command whose jail there is; `usual`: a ban of that jail lasts as long as its bans do."""
    if command.jail is None or command.jail == MANUAL:
        return command
    jails = {jail.name: jail for jail in rules.jails}
    if command.jail not in jails:
        if command.verb == "unban" and holds_any(log, command.jail):
            return command
        raise ConfigError(
            f"--jail {command.jail}: there is no such jail; known are {', '.join([MANUAL, *jails])}"
        )
    if command.verb == "ban" and usual and command.duration_ms is None:
        return replace(command, duration_ms=jails[command.jail].bantime_ms)
    return command


def submit(log: EventLog, command: Command) -> dict[int, int]:
    """Append a command to the partitions that it concerns; returns its offset in each."""
    if command.prefix is None or spans_partitions(command.prefix):
        partitions = list(range(log.partitions))
    else:
        partitions = [partition_of(command.prefix, log.partitions)]
    value = encode(command)
    offsets = log.append([Append(COMMANDS.name, value, partition=partition) for partition in partitions])
    return dict(zip(partitions, offsets, strict=True))


def jail_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The jails that complete what was typed: those of the configuration, for the shell."""
    del param
    logging.disable()  # a broken file is no word to complete
    try:
        settings = load_settings(ctx.params.get("config_file"), check="log")
    except Exception:  # noqa: BLE001 - a shell that completes wants no error
        return []
    names: list[Any] = [MANUAL, *(jail.rules.name for jail in settings.jails)]
    return [name for name in names if name.startswith(incomplete)]


jail_option = click.option(
    "--jail", metavar="JAIL", shell_complete=jail_names, help="Only this jail [default: all]."
)
