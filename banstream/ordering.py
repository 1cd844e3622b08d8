"""The operator's words (ban, unban, forgive, allow): appended to the log; the decider obeys.

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
from banstream.instants import DurationType, now_ms
from banstream.options import PREFIX, REASON
from banstream.reading import heartbeat, is_up
from banstream.show import json_line, say, until
from eventlog.contract import Append, EventLog
from eventlog.follower import Follower
from eventlog.urls import open_log
from schemas.codec import encode, to_wire
from schemas.errors import ConfigError
from schemas.records import Ban, Command, Decision, Enforcement, Prolong, Unban, Verb
from schemas.rules import MANUAL
from schemas.topics import COMMANDS, DECISIONS, ENFORCEMENTS, partition_of, spans_partitions

WAIT_S = 5.0
SETTLE_S = 0.5
LOOK_MS = 100
NOT_RUNNING = "`banstream up` is not running and applies it at start"
BUSY = "`banstream up` is busy, and applies it when it gets there"

why_option = click.option(
    "--why", default="", type=REASON, metavar="TEXT", help="The reason, kept in the audit trail."
)
jail_option = click.option("--jail", metavar="JAIL", help="Only this jail [default: all].")
for_option = click.option(
    "--for", "duration_ms", type=DurationType(), metavar="DURATION", help="For this long [default: for ever]."
)
prefix_argument = click.argument("prefix", type=PREFIX)


def command(verb: Verb, **facts: str | int | None) -> Command:
    """A command of this operator, now."""
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
    """Append a command, wait for what comes of it, and say that; the exit code."""
    settings = load_settings(config_file, check="log")
    _check_jail(settings, command)
    log = open_log(settings.log_url)
    try:
        watcher = Answers(log)
        causes = submit(log, command)
        if not is_up(settings.log_url, log, heartbeat(log), now_ms()):
            return _settle(command, "recorded", NOT_RUNNING, as_json=as_json)
        answers = watcher.wait(causes)
        if not answers and not watcher.decided(causes):
            return _settle(
                command,
                "recorded",
                BUSY,
                as_json=as_json,
            )
        return _report(command, answers, as_json=as_json)
    finally:
        log.close()


def _report(command: Command, answers: list[tuple[Decision, Enforcement | None]], *, as_json: bool) -> int:
    code = 0
    for decision, enforcement in answers:
        outcome = enforcement.outcome if enforcement else "decided"
        detail = f": {enforcement.detail}" if enforcement and enforcement.detail else ""
        end = f" {until(decision.until_ms)}" if isinstance(decision, Ban | Prolong) else ""
        sentence = f"{decision.TYPE} {decision.prefix} jail={decision.jail}{end}: {outcome}{detail}"
        wires = {"decision": to_wire(decision), "enforcement": to_wire(enforcement) if enforcement else None}
        _tell({"outcome": outcome, **wires}, sentence, as_json=as_json)
        code = code if outcome in {"applied", "decided"} else 1
    if not answers and command.verb in {"ban", "unban"}:
        return _settle(command, "unchanged", "nothing to change", as_json=as_json) or int(
            command.verb == "unban"
        )
    return code if answers else _settle(command, "done", as_json=as_json)


def _settle(command: Command, outcome: str, sentence: str = "", *, as_json: bool) -> int:
    """Say what came of a command that no decision answers."""
    said = f"{outcome}: {sentence}" if sentence else outcome
    _tell({"outcome": outcome, "command": to_wire(command)}, said, as_json=as_json)
    return 0


def _tell(wire: dict[str, Any], sentence: str, *, as_json: bool) -> None:
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
    offsets = log.append([Append(COMMANDS.name, value, partition=partition) for partition in partitions])
    return dict(zip(partitions, offsets, strict=True))


class Answers:
    """What comes of a command: the decisions it causes, and what this host's enforcer does with them."""

    def __init__(self, log: EventLog) -> None:
        """Follow the log from where it ends now."""
        self._log = log
        self._follower = Follower(log, (DECISIONS, ENFORCEMENTS), start="end")
        self._decisions: list[Ban | Unban | Prolong] = []
        self._enforced: dict[tuple[str, str], Enforcement] = {}

    def wait(self, causes: dict[int, int]) -> list[tuple[Decision, Enforcement | None]]:
        """The decisions and enforcements of a command at these offsets by partition, after WAIT_S at most."""
        deadline = time.monotonic() + WAIT_S
        while (now := time.monotonic()) < deadline:
            decided = self.decided(causes)
            if decided:  # what changes nothing in the firewall is not recorded there
                deadline = min(deadline, now + SETTLE_S)
            self._follower.wait(LOOK_MS)
            answers = self._answers(causes)
            # a command's decisions are one commit a partition
            whole = decided or (answers and len(causes) == 1)
            if whole and all(enforcement for _, enforcement in answers):
                return answers
        return self._answers(causes)

    def decided(self, causes: dict[int, int]) -> bool:
        """Whether `up` has said that it is past these offsets: no more decisions come of them."""
        offsets = (heartbeat(self._log) or {}).get("decider", {}).get("next_commands", [])
        return all(number < len(offsets) and offsets[number] > offset for number, offset in causes.items())

    def _answers(self, causes: dict[int, int]) -> list[tuple[Decision, Enforcement | None]]:
        causing = tuple(f"{partition}-c{offset}-" for partition, offset in causes.items())
        for each in self._follower.records():
            match each.record:
                case Ban() | Unban() | Prolong() as decision if decision.id.startswith(causing):
                    self._decisions.append(decision)
                case Enforcement() as enforcement:
                    self._enforced[enforcement.prefix, enforcement.verb] = enforcement
        return [(each, self._enforced.get((each.prefix, _verb(each)))) for each in self._decisions]


def _verb(decision: Decision) -> Literal["ban", "unban"]:
    """What an enforcer does about a decision: a prolonged ban is banned anew."""
    return "unban" if isinstance(decision, Unban) else "ban"
