"""`banstream stop`: end a role."""

from __future__ import annotations

import os
import select
import signal
from typing import Final

import click

from banstream.config import load_settings
from banstream.options import config_option, json_option
from banstream.running import ROLES, Running, running, send, unit_of
from banstream.show import json_line, say
from schemas.errors import LogError

WAIT_S: Final = 60


@click.command("stop")
@click.argument("role", required=False, type=click.Choice(ROLES))
@json_option
@config_option
def stop_command(role: str | None, as_json: bool, config_file: str | None) -> int:
    """Stop the role that runs here, and wait until it has ended.

    Bans stay in the firewall until their time is over, unless `enforcer.keep_on_stop` is off; `banstream
    flush` takes them out. What systemd started it would start again: then `systemctl stop` is the way.
    """
    found = [each for each in running(load_settings(config_file, check="log")) if role in {None, each.role}]
    if not found:
        whom = f"`{role}`" if role else f"none of {', '.join(ROLES)}"
        raise LogError(f"no role to stop: {whom} was found running here on this configuration's log")
    if len(found) > 1:
        raise click.UsageError(f"several run here, name one: {', '.join(each.role for each in found)}")
    (each,) = found
    if (unit := unit_of(each.pid)) is not None:
        raise LogError(f"`{each.role}` is {unit}, which systemd would start again: systemctl stop {unit}")
    ended = _stop(each)
    state = "has ended" if ended else f"has not ended within {WAIT_S} s; its log says what it does"
    if as_json:
        json_line({"role": each.role, "pid": each.pid, "stopped": ended})
    else:
        say(f"`{each.role}` (process {each.pid}) {state}")
    return int(not ended)


def _stop(each: Running) -> bool:
    """Send SIGTERM; whether the process ended in time."""
    try:
        descriptor = os.pidfd_open(each.pid)
    except OSError:
        return True
    try:
        send(each.pid, signal.SIGTERM)
        return bool(select.select([descriptor], [], [], WAIT_S)[0])
    finally:
        os.close(descriptor)
