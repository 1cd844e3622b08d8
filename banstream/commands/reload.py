"""`banstream reload`: have a role read its configuration again."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import click

from banstream.config import Settings, load_settings
from banstream.options import config_option, json_option
from banstream.running import ROLES, WAIT_S, Facts, Running, ask, facts_of, running, waits_for
from banstream.show import json_line, say
from schemas.durations import format_duration
from schemas.errors import LogError

RELOADABLE: Final = ("up", "ship", "enforce")


@click.command("reload")
@click.argument("role", required=False, type=click.Choice(ROLES))
@json_option
@config_option
def reload_command(role: str | None, as_json: bool, config_file: str | None) -> int:
    """Have the roles that run here read their configuration again, and say what came of it.

    A jail that is wrong goes on as it was, or waits: exit code 1. Whatever else is wrong in it, the old one
    goes on: exit code 2. A worker (`decide`) follows the rules in force:
    `banstream rules push`.
    """
    settings = load_settings(config_file, check="log")
    found = [each for each in running(settings) if each.role in ({role} if role else RELOADABLE)]
    if not found:
        whom = f"`{role}`" if role else f"none of {', '.join(RELOADABLE)}"
        raise LogError(f"no role to reload: {whom} was found running here on this configuration's log")
    if role == "decide":
        raise LogError("`decide` does not reload: it follows the rules in force (`banstream rules push`)")
    return max(_reload(settings, each, as_json=as_json) for each in found)


def reload_role(settings: Settings, each: Running) -> tuple[Facts, bool]:
    """Have a role read its configuration again: what it said last, and whether it answered in time."""
    before = _count(facts_of(settings, each.role))
    look = partial(facts_of, settings, each.role)
    return ask(each.pid, signal.SIGHUP, look, lambda facts: _count(facts) > before)


def _reload(settings: Settings, each: Running, *, as_json: bool) -> int:
    facts, done = reload_role(settings, each)
    if not done:
        waiting = waits_for(facts)
        said = f"{each.role}: no answer within {format_duration(int(WAIT_S * 1_000))}"
        _tell(each, {}, f"{said}{f', it waits: {waiting}' if waiting else ''}", as_json=as_json)
        return 1
    reload = facts["reload"]
    sentences = [f"{each.role}: refused, the old one goes on: {problem}" for problem in reload["problems"]]
    sentences = sentences or [f"{each.role}: {change}" for change in reload["changes"]]
    waiting = reload.get("waiting", ())
    sentences += [f"{each.role}: {said}" for said in waiting]
    _tell(each, reload, *(sentences or [f"{each.role}: read again; nothing has changed"]), as_json=as_json)
    return 2 if reload["problems"] else 1 if waiting else 0


def _tell(each: Running, reload: Mapping[str, Any], *sentences: str, as_json: bool) -> None:
    if as_json:
        taken = bool(reload) and not reload["problems"]
        json_line({"role": each.role, "pid": each.pid, "taken": taken, **reload})
    else:
        for sentence in sentences:
            say(sentence)


def _count(facts: Facts) -> int:
    """How often a role has reloaded."""
    return int((facts.get("reload") or {}).get("count", 0))
