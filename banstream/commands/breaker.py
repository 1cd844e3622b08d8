"""`banstream breaker`: this machine's breaker on the rate of new bans."""

from __future__ import annotations

import signal
from functools import partial
from typing import Final

import click

from banstream.config import Settings, load_settings
from banstream.health import health
from banstream.instants import now_ms
from banstream.options import config_option, json_option
from banstream.reading import heartbeat, is_up, open_to_read
from banstream.running import Facts, ask
from banstream.show import instant, json_line, say
from schemas.errors import LogError

WAIT_S: Final = 5.0


@click.command("breaker")
@click.option("--reset", is_flag=True, help="Let new bans through again, at once.")
@json_option
@config_option
def breaker_command(reset: bool, as_json: bool, config_file: str | None) -> int:
    """Whether this machine's enforcer refuses new bans, as too many came at once. Exit code 1 when it does.

    A fleet's hosts have a breaker each: this asks `up`, or the `enforce` whose $RUNTIME_DIRECTORY is set.
    """
    settings = load_settings(config_file, check="log")
    facts = _facts(settings)
    if reset:
        look, pid = partial(_facts, settings), int(facts["pid"])
        facts, _ = ask(pid, signal.SIGUSR1, look, lambda facts: not _tripped(facts), WAIT_S)
    enforcer = facts["enforcer"]
    if as_json:
        names = ("host", "breaker", "breaker_resets_at_ms", "breaker_refused")
        json_line({name: enforcer[name] for name in names})
    elif _tripped(facts):
        again = instant(enforcer["breaker_resets_at_ms"])
        say(f"New bans are refused until {again}: {enforcer['breaker']}. `--reset` lets them through.")
    else:
        say(f"New bans are let through; {enforcer['breaker_refused']} were refused since the start.")
    return int(_tripped(facts))


def _tripped(facts: Facts) -> bool:
    return facts["enforcer"]["breaker"] is not None


def _facts(settings: Settings) -> Facts:
    """What this machine's enforcer last said of itself; LogError where none runs."""
    found = health("enforce")
    if found.alive and found.facts.get("enforcer"):
        return found.facts
    if settings.log_url.startswith("kafka://"):
        raise LogError(f"no enforcer runs here that says how it is: {found.said}")
    log = open_to_read(settings)
    try:
        beat = heartbeat(log)
        if beat is None or not is_up(settings.log_url, log, beat, now_ms()):
            raise LogError("`banstream up` is not running, so there is no breaker to ask")
    finally:
        log.close()
    return beat
