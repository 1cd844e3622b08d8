"""`banstream rules`: which rules are in force in a fleet, and putting others in force."""

from __future__ import annotations

from typing import Final

import click

from banstream.authority import caution_in_force
from banstream.config import load_settings
from banstream.enrolled import hosts_of
from banstream.instants import now_ms
from banstream.lists.pushing import keeper_of, push_lists
from banstream.options import config_option, json_option
from banstream.ordering import operator
from banstream.reading import open_to_read, open_to_tell, rules_in_force, versions
from banstream.show import instant, json_line, note, say, show, table
from eventlog.contract import EventLog
from eventlog.urls import is_shared
from producers.library import OWN_ENDING
from schemas.differences import differences
from schemas.errors import ConfigError, Fenced, Transient
from schemas.records import RulesChanged
from schemas.rules import Rules

OWN: Final = ("config", "-")


@click.group("rules")
def rules_command() -> None:
    """Put rules in force in a fleet, list and compare them, and go back to earlier ones.

    The jails of a configuration are its rules. In a fleet those hold that were pushed last, whatever the
    files of the workers say; on one machine `banstream up` puts those of its own file in force.
    """


@rules_command.command("push")
@json_option
@config_option
def push_command(as_json: bool, config_file: str | None) -> int:
    """Put the jails of this configuration in force, in every partition from its next event on.

    Failures counted so far and bans in force stay. Those in force already are not pushed again. The lists
    that they name are pushed before them; `lists push --keep` keeps these up to date.
    """
    settings = load_settings(config_file, check="names")
    if not is_shared(settings.log_url):
        raise ConfigError(
            f"log.url = {settings.log_url!r}: `banstream up` puts its own file's rules in force, at its "
            "start and on SIGHUP; rules are pushed to a log on Kafka"
        )
    if not settings.jails:
        raise ConfigError(
            "jail: no jail is enabled, and a fleet under such rules would ban nobody; enable one"
        )
    log = open_to_tell(settings)
    try:
        if settings.wanted():
            for problem in push_lists(keeper_of(settings, log, now_ms, operator())).problems:
                note(f"WARNING: {problem}")
        return _put_in_force(log, settings.rules(), as_json=as_json)
    finally:
        log.close()


@rules_command.command("roll-back")
@click.argument("version")
@json_option
@config_option
def roll_back_command(version: str, as_json: bool, config_file: str | None) -> int:
    """Put rules that were in force before in force again, whatever this configuration says.

    VERSION is one of `banstream rules list`, or as much of its beginning as no other has. Failures counted so
    far and bans in force stay. No file is changed: the next `rules push` puts those of its file in force.
    """
    settings = load_settings(config_file, check="log")
    if not is_shared(settings.log_url):
        raise ConfigError(
            f"log.url = {settings.log_url!r}: on one machine the file's rules are in force; change the file, "
            "and send `banstream up` a SIGHUP"
        )
    log = open_to_tell(settings)
    try:
        return _put_in_force(log, _rules_of(log, version), as_json=as_json)
    finally:
        log.close()


def _rules_of(log: EventLog, version: str) -> Rules:
    """The rules that had a version. Raises UsageError where no or several versions begin so."""
    found = [each for each in versions(log) if each.version.startswith(version)]
    if len(found) != 1:
        which = "several versions begin" if found else "no version begins"
        raise click.UsageError(f"{which} with {version!r}; `banstream rules list` shows them")
    return Rules.from_state(found[0].rules)


def _put_in_force(log: EventLog, rules: Rules, *, as_json: bool) -> int:
    """Push rules, and say what that changes."""
    before = rules_in_force(log)
    pushed = _push(log, rules)
    warning = caution_in_force(rules, hosts_of(log))
    changes = differences(before, rules) if pushed and before is not None else []
    if as_json:
        was = None if before is None else before.version
        json_line({"pushed": pushed, "version": rules.version, "was": was, "changes": changes})
    elif pushed:
        say(
            f"Rules {rules.version} are in force from now on"
            + (f"; {before.version} were." if before else ".")
        )
        for change in changes:
            say(f"  {change}")
    else:
        say(f"Rules {rules.version} are in force already; nothing was changed.")
    if warning is not None:
        note(f"WARNING: {warning}")
    return 0


@rules_command.command("diff")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@json_option
@config_option
def diff_command(old: str, new: str, as_json: bool, config_file: str | None) -> int:
    """What NEW rules change about OLD ones, a sentence each. Exit code 0: nothing, 1: something.

    Each is a version of `banstream rules list`, or as much of its beginning as no other has; `config`, or
    `-`, for what this configuration says; or another configuration's file, ending in .toml.
    """
    was, now = (_rules_named(each, config_file) for each in (old, new))
    changes = differences(was, now)
    if as_json:
        json_line({"old": was.version, "new": now.version, "same": not changes, "changes": changes})
    else:
        for change in changes or [f"The same rules, {now.version}."]:
            say(change)
    return 1 if changes else 0


def _rules_named(name: str, config_file: str | None) -> Rules:
    """The rules that `diff` is asked about. Raises ConfigError, and UsageError for what is no version."""
    if name in OWN or name.endswith(OWN_ENDING):
        file = config_file if name in OWN else name
        settings = load_settings(file, check="names")
        # Of a machine's own rules it is a part which logs there are, as `up` finds them.
        return (settings if is_shared(settings.log_url) else load_settings(file, check="filters")).rules()
    log = open_to_read(load_settings(config_file, check="log"))
    try:
        return _rules_of(log, name)
    finally:
        log.close()


@rules_command.command("list")
@json_option
@config_option
def list_command(as_json: bool, config_file: str | None) -> int:
    """List the rules there were, the newest and those in force first. Exit code 1 when there are none."""
    settings = load_settings(config_file, check="names")
    log = open_to_read(settings)
    try:
        found = list(versions(log))[::-1]
    finally:
        log.close()
    own = settings.rules().version
    for nth, change in enumerate(found) if as_json else ():
        facts = {"version": change.version, "in_force": nth == 0, "own": change.version == own}
        json_line({**facts, "pushed_at_ms": change.at_ms, "who": change.who, "rules": change.rules})
    if not as_json and found:
        columns = ("version", "put in force", "by", "", "jails")
        show(table("Rules", columns, [_row(nth, change) for nth, change in enumerate(found)]))
        if own != found[0].version:
            say(f"This configuration's rules are others, {own}: `banstream rules push` puts them in force.")
    elif not as_json:
        say("No rules were ever in force on this log.")
    return 0 if found else 1


def _push(log: EventLog, rules: Rules) -> bool:
    from streams.worker.governing import push

    try:
        return push(log, rules, now_ms(), operator())
    except Fenced as error:
        raise Transient(
            "somebody else pushes rules at this moment; look at `banstream rules list`"
        ) from error


def _row(nth: int, change: RulesChanged) -> tuple[str, ...]:
    jails = ", ".join(str(jail["name"]) for jail in change.rules["jails"])
    return change.version, instant(change.at_ms), change.who or "", "" if nth else "in force", jails
