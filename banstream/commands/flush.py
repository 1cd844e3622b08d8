"""`banstream flush`: every ban out of this machine's firewall."""

from __future__ import annotations

import signal
from functools import partial

import click

from banstream.config import Settings, load_settings
from banstream.instants import now_ms
from banstream.options import config_option, json_option
from banstream.running import Facts, Running, ask, facts_of, running, waits_for
from banstream.show import json_line, say
from eventlog.urls import is_shared
from schemas.errors import EnforcementFailed


@click.command("flush")
@json_option
@config_option
def flush_command(as_json: bool, config_file: str | None) -> int:
    """Take every ban out of this machine's firewall at once; the log keeps them all.

    While `up` or `enforce` runs it bans nobody from then on, until `banstream reload` or its next start puts
    every ban in force back. While none runs this removes the table inet banstream. To end bans for good:
    `banstream unban`.
    """
    settings = load_settings(config_file, check="log")
    roles = [each for each in running(settings) if each.role in {"up", "enforce"}]
    if roles:
        return max(_ask(settings, each, as_json=as_json) for each in roles)
    return _remove(settings, as_json=as_json)


def _ask(settings: Settings, each: Running, *, as_json: bool) -> int:
    """Have a role do it."""
    asked_ms = now_ms()
    look = partial(facts_of, settings, each.role)
    facts, done = ask(each.pid, signal.SIGUSR2, look, lambda facts: _is_flushed(facts, asked_ms))
    if not done:
        said = f"`{each.role}` has not answered yet. {waits_for(facts)}"
        _tell(each.role, None, said, as_json=as_json)
        return 1
    count = (facts.get("enforcer") or {}).get("flushed", 0)
    _tell(
        each.role,
        count,
        f"flushed: {_bans(count)} out of this machine's firewall, kept in the log. `{each.role}` bans "
        "nobody here until `banstream reload`, or its next start, puts them back",
        as_json=as_json,
    )
    return 0


def _is_flushed(facts: Facts, asked_ms: int) -> bool:
    """Whether a role said so since; where its log is away it has taken up no ban yet, and says nothing."""
    enforcer = facts.get("enforcer") or {"flushed": 0}
    return facts.get("at_ms", 0) >= asked_ms and enforcer.get("flushed") is not None


def _remove(settings: Settings, *, as_json: bool) -> int:
    """Do it here."""
    from enforcers.backends import open_backend

    backend, observing = open_backend(settings.enforcer.backend)
    if observing is not None:
        raise EnforcementFailed(f"nothing to flush: {observing}")
    count = len(backend.list())
    backend.flush()
    backend.close()
    role = "enforce" if is_shared(settings.log_url) else "up"
    unseen = (
        ". An `enforce` that runs here without $RUNTIME_DIRECTORY puts them back at once: end it first"
        if role == "enforce"
        else ""
    )
    _tell(
        None,
        count,
        f"flushed: {_bans(count)} out of this machine's firewall, and its table is gone. The log keeps all, "
        f"and the next start of `banstream {role}` puts those in force back{unseen}",
        as_json=as_json,
    )
    return 0


def _bans(count: int) -> str:
    return {0: "no ban was there to take", 1: "1 ban is"}.get(count, f"{count} bans are")


def _tell(role: str | None, count: int | None, sentence: str, *, as_json: bool) -> None:
    if as_json:
        json_line({"role": role, "flushed": count})
    else:
        say(sentence)
