"""The operator's words: ban, unban, forgive, allow. They are appended to the log; the decider obeys.

They work while `up` runs, and while it does not: then they are applied when it starts.
"""

from __future__ import annotations

import os
import pwd
import time
from typing import Any, Literal
from uuid import uuid4

import click

from banstream.config import Settings, load_settings
from banstream.instants import Duration, now_ms
from banstream.options import PREFIX, config_option, json_option
from banstream.reading import heartbeat, is_up, messages, placed
from banstream.show import json_line, say, until
from eventlog.contract import Append, EventLog
from eventlog.urls import open_log
from schemas.codec import encode, to_wire
from schemas.errors import ConfigError
from schemas.records import Ban, Command, Decision, Enforcement, Prolong, Unban, Verb
from schemas.rules import MANUAL
from schemas.topics import DECISIONS, ENFORCEMENTS, EVENTS, partition_of, spans_partitions

WAIT_S = 5.0
SETTLE_S = 0.5
POLL_S = 0.02

why_option = click.option("--why", default="", metavar="TEXT", help="The reason, kept in the audit trail.")
jail_option = click.option("--jail", metavar="JAIL", help="Only this jail [default: all].")
for_option = click.option(
    "--for", "duration_ms", type=Duration(), metavar="DURATION", help="For this long [default: for ever]."
)
prefix_argument = click.argument("prefix", type=PREFIX)


@click.command("ban")
@prefix_argument
@for_option
@click.option("--jail", metavar="JAIL", help=f"In this jail's name [default: {MANUAL}].")
@why_option
@json_option
@config_option
def ban_command(as_json: bool, config_file: str | None, **facts: str | int | None) -> int:
    r"""Ban an address or prefix at once, whether or not it has failed.

    \b
    banstream ban 192.0.2.7
    banstream ban 2001:db8::/64 --for 1d --why "ticket 4711"
    """
    return _give(config_file, as_json, _command("ban", **facts))


@click.command("unban")
@click.argument("prefix", type=PREFIX, required=False)
@click.option("--all", "everything", is_flag=True, help="Every ban in force.")
@jail_option
@why_option
@json_option
@config_option
def unban_command(as_json: bool, config_file: str | None, everything: bool, **facts: str | int | None) -> int:
    """End the bans of an address, of a prefix and all that lies inside it, or of everything (--all)."""
    if everything == (facts["prefix"] is not None):
        raise click.UsageError("name one address or prefix, or --all")
    return _give(config_file, as_json, _command("unban", **facts))


@click.command("forgive")
@prefix_argument
@jail_option
@why_option
@json_option
@config_option
def forgive_command(as_json: bool, config_file: str | None, **facts: str | int | None) -> int:
    """Forget the failures counted so far of an address, or of all that lies inside a prefix."""
    return _give(config_file, as_json, _command("forgive", **facts))


@click.command("allow")
@prefix_argument
@for_option
@click.option("--remove", is_flag=True, help="Take an earlier allow back.")
@why_option
@json_option
@config_option
def allow_command(as_json: bool, config_file: str | None, remove: bool, **facts: str | int | None) -> int:
    """Unban an address or prefix now, and neither count nor ban what lies inside it from now on."""
    return _give(config_file, as_json, _command("disallow" if remove else "allow", **facts))


def _command(verb: Verb, **facts: str | int | None) -> Command:
    return Command(id=uuid4().hex, verb=verb, at_ms=now_ms(), who=operator(), **facts)  # type: ignore[arg-type]


def operator() -> str:
    """Who asks: the user behind sudo, else the user."""
    if name := os.environ.get("SUDO_USER"):
        return name
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _give(config_file: str | None, as_json: bool, command: Command) -> int:
    settings = load_settings(config_file, check="names")
    _check_jail(settings, command)
    log = open_log(settings.log_url)
    try:
        watcher = Answers(log)
        causes = submit(log, command)
        if not is_up(log, now_ms()):
            return _settle(
                as_json, command, "recorded", "`banstream up` is not running and applies it at start"
            )
        answers = watcher.wait(causes)
        if not answers and not watcher.decided(causes):
            return _settle(
                as_json, command, "recorded", "`banstream up` is busy, and applies it when it gets there"
            )
        return _report(as_json, command, answers)
    finally:
        log.close()


def _report(as_json: bool, command: Command, answers: list[tuple[Decision, Enforcement | None]]) -> int:
    code = 0
    for decision, enforcement in answers:
        outcome = enforcement.outcome if enforcement else "decided"
        detail = f": {enforcement.detail}" if enforcement and enforcement.detail else ""
        end = f" {until(decision.until_ms)}" if isinstance(decision, Ban | Prolong) else ""
        sentence = f"{decision.TYPE} {decision.prefix} jail={decision.jail}{end}: {outcome}{detail}"
        wires = {"decision": to_wire(decision), "enforcement": to_wire(enforcement) if enforcement else None}
        _tell(as_json, {"outcome": outcome, **wires}, sentence)
        code = code if outcome in {"applied", "decided"} else 1
    if not answers and command.verb in {"ban", "unban"}:
        return _settle(as_json, command, "unchanged", "nothing to change") or int(command.verb == "unban")
    return code if answers else _settle(as_json, command, "done")


def _settle(as_json: bool, command: Command, outcome: str, sentence: str = "") -> int:
    """Say what came of a command that no decision answers."""
    _tell(
        as_json,
        {"outcome": outcome, "command": to_wire(command)},
        f"{outcome}: {sentence}" if sentence else outcome,
    )
    return 0


def _tell(as_json: bool, wire: dict[str, Any], sentence: str) -> None:
    if as_json:
        json_line(wire)
    else:
        say(sentence)


def _check_jail(settings: Settings, command: Command) -> None:
    names = [MANUAL, *(jail.rules.name for jail in settings.jails)]
    if command.jail is not None and command.jail not in names:
        raise ConfigError(f"--jail {command.jail}: there is no such jail; known are {', '.join(names)}")


def submit(log: EventLog, command: Command) -> dict[int, int]:
    """Append a command to the partitions that it concerns; returns its offset in each."""
    if command.prefix is None or spans_partitions(command.prefix):
        partitions = list(range(log.partitions))
    else:
        partitions = [partition_of(command.prefix, log.partitions)]
    value = encode(command)
    offsets = log.append([Append(EVENTS.name, value, partition=partition) for partition in partitions])
    return dict(zip(partitions, offsets, strict=True))


class Answers:
    """What comes of a command: the decisions it causes, and what this host's enforcer does with them."""

    def __init__(self, log: EventLog) -> None:
        """Remember where the topics end now."""
        self._log = log
        self._decided = [log.end(DECISIONS.name, partition) for partition in range(log.partitions)]
        self._enforced = log.end(ENFORCEMENTS.name)

    def wait(self, causes: dict[int, int]) -> list[tuple[Decision, Enforcement | None]]:
        """The decisions and enforcements of a command at these offsets by partition, after WAIT_S at most."""
        deadline = time.monotonic() + WAIT_S
        while (now := time.monotonic()) < deadline:
            decided = self.decided(causes)
            if decided:  # what changes nothing in the firewall is not recorded there
                deadline = min(deadline, now + SETTLE_S)
            answers = self._answers(causes)
            whole = decided or (
                answers and len(causes) == 1
            )  # a command's decisions are one commit a partition
            if whole and all(enforcement for _, enforcement in answers):
                return answers
            time.sleep(POLL_S)
        return self._answers(causes)

    def decided(self, causes: dict[int, int]) -> bool:
        """Whether `up` has said that it is past these offsets: no more decisions come of them."""
        offsets = (heartbeat(self._log) or {}).get("decided", [])
        return all(number < len(offsets) and offsets[number] > offset for number, offset in causes.items())

    def _answers(self, causes: dict[int, int]) -> list[tuple[Decision, Enforcement | None]]:
        enforced = {
            (each.record.prefix, each.record.verb): each.record
            for message in messages(self._log, ENFORCEMENTS.name, 0, self._enforced)
            for each in placed(message)
            if isinstance(each.record, Enforcement)
        }
        return [
            (each.record, enforced.get((each.record.prefix, _verb(each.record))))
            for partition, offset in causes.items()
            for message in messages(self._log, DECISIONS.name, partition, self._decided[partition])
            for each in placed(message, f'"{partition}-{offset}-'.encode())
            if isinstance(each.record, Ban | Unban | Prolong)
        ]


def _verb(decision: Decision) -> Literal["ban", "unban"]:
    """What an enforcer does about a decision: a prolonged ban is banned anew."""
    return "unban" if isinstance(decision, Unban) else "ban"
