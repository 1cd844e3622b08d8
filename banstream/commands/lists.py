"""`banstream lists`: which lists keep addresses from being counted, and putting a fleet's in force."""

from __future__ import annotations

import signal
import threading
from logging import getLogger

import click

from banstream.config import Settings, load_settings
from banstream.instants import now_ms
from banstream.lists.in_log import lists_in, parts_in
from banstream.lists.keeper import Keeper
from banstream.lists.pushing import keeper_of, push_lists
from banstream.lists.wanted import LIST
from banstream.options import config_option, json_option
from banstream.ordering import operator
from banstream.reading import open_to_read, open_to_tell
from banstream.show import counted, instant, json_line, note, say, show, table
from eventlog.contract import EventLog
from eventlog.urls import is_shared
from schemas.errors import ConfigError, Transient
from schemas.lists import BAN
from schemas.records import ListChanged

TURN_S = 1.0

log = getLogger("banstream")


@click.group("lists")
def lists_command() -> None:
    """Lists of addresses that are never counted, or refused: files, host names, lists from the web.

    On one machine `banstream up` keeps them as its configuration says. In a fleet those hold that were pushed
    last: `rules push` does, `lists push` does, and `lists push --keep` goes on with it.
    """


@lists_command.command("show")
@click.argument("name", required=False)
@json_option
@config_option
def show_command(name: str | None, as_json: bool, config_file: str | None) -> int:
    """The lists in force; with NAME, what is in that one. Exit code 1 when there is none."""
    settings = load_settings(config_file, check="log")
    event_log = open_to_read(settings)
    try:
        return (
            _show(event_log, as_json=as_json) if name is None else _content(event_log, name, as_json=as_json)
        )
    finally:
        event_log.close()


@lists_command.command("push")
@click.option("--keep", is_flag=True, help="Go on: push what changes, until SIGTERM or Ctrl-C.")
@json_option
@config_option
def push_command(keep: bool, as_json: bool, config_file: str | None) -> int:
    """Read the lists that this configuration's jails name, and put them in force in a fleet.

    They count from the next event on. What cannot be read is said, and the list in force stays; exit code 1
    where that leaves a list unknown.
    """
    settings = load_settings(config_file, check="names")
    if not is_shared(settings.log_url):
        raise ConfigError(
            f"log.url = {settings.log_url!r}: `banstream up` keeps its own lists; lists are pushed to a log "
            "on Kafka"
        )
    event_log = open_to_tell(settings)
    try:
        return _push(settings, event_log, keep=keep, as_json=as_json)
    finally:
        event_log.close()


def _push(settings: Settings, event_log: EventLog, *, keep: bool, as_json: bool) -> int:
    keeper = keeper_of(settings, event_log, now_ms, operator())
    pushed = push_lists(keeper, retire=True)
    if as_json:
        json_line({"changed": pushed.changed, "unread": pushed.unread, "problems": pushed.problems})
    else:
        for name in pushed.changed:
            say(f"The list {name} is in force as it is now.")
        if not pushed.changed:
            say("The lists are in force as they are already; nothing was changed.")
        for problem in pushed.problems:
            note(f"WARNING: {problem}")
    if keep:
        _keep(keeper, set(pushed.problems))
    return 1 if pushed.unread else 0


def _keep(keeper: Keeper, said: set[str]) -> None:
    """Push what changes until told to stop; what is wrong is said once."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    while not stopped.wait(TURN_S):
        problems = set(keeper.notices())
        try:
            if keeper.turn():
                log.info("Lists have changed, and were pushed")
        except Transient as error:
            problems.add(str(error))
        for problem in problems - said:
            log.warning("Noticed what=%s", problem)
        said = problems


def _show(event_log: EventLog, *, as_json: bool) -> int:
    """Every list in force in some partition: how much it holds, since when, by whom."""
    found: dict[str, tuple[set[str], ListChanged]] = {}
    for number in numbers(event_log):
        told = {(part.name, part.digest): part for part in parts_in(event_log, number)}
        for name, held in lists_in(event_log, number).in_force.items():
            part = told[name, held.digest]
            prefixes, newest = found.setdefault(name, (set(), part))
            prefixes.update(held.table)
            found[name] = prefixes, max(newest, part, key=lambda each: each.at_ms)
    for name, (prefixes, part) in sorted(found.items()) if as_json else ():
        facts = {"prefixes": len(prefixes), "changed_at_ms": part.at_ms, "who": part.who}
        json_line({"name": name, **facts, "action": _action(name)})
    if not as_json and found:
        rows = [
            (name, _action(name), len(prefixes), instant(part.at_ms), part.who or "")
            for name, (prefixes, part) in sorted(found.items())
        ]
        show(
            table(
                f"{counted(len(found), 'list')} in force", ("list", "action", "prefixes", "since", "by"), rows
            )
        )
    elif not as_json:
        say("No list is in force.")
    return 0 if found else 1


def _action(name: str) -> str:
    return "ban" if name.startswith(BAN) else "allow"


def _content(event_log: EventLog, name: str, *, as_json: bool) -> int:
    """What is in a list, a line each."""
    names = [name, f"{BAN}{name}", f"{LIST}{name}"]
    held = [table for number in numbers(event_log) for table in lists_in(event_log, number).tables(names)]
    prefixes = sorted({prefix for each in held for prefix in each})
    for prefix in prefixes:
        if as_json:
            json_line({"prefix": prefix})
        else:
            say(prefix)
    if not prefixes:
        note(f"There is no list {name} in force; `banstream lists show` names those that are.")
    return 0 if prefixes else 1


def numbers(event_log: EventLog) -> range:
    """The partitions of a log."""
    return range(event_log.partitions)
