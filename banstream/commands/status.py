"""`banstream status`: what is going on."""

from __future__ import annotations

from typing import Any

import click

from banstream.config import Settings, load_settings
from banstream.health import DIRECTORY, SILENT_S, Health, health, path_of
from banstream.instants import now_ms
from banstream.options import config_option, json_option
from banstream.reading import heartbeat, open_to_read
from banstream.show import json_line, say
from eventlog.claim import Claim
from eventlog.urls import is_shared, sqlite_path
from schemas.errors import LogError

NO_DIRECTORY = (
    f"; by hand or from cron, give this command and the role the same ${DIRECTORY}: a folder that the role "
    "may write"
)


@click.command("status")
@click.argument("jail", required=False)
@click.option("--fleet", is_flag=True, help="Every host and worker of the fleet, what is wrong first.")
@click.option(
    "--health",
    "role",
    type=click.Choice(["up", "ship", "decide", "enforce", "sink"]),
    help="Only whether this role is alive here: exit code 0 or 1, for cron and supervisors. From "
    "$RUNTIME_DIRECTORY, else its unit's; of `up` by its log, where neither is there.",
)
@json_option
@config_option
def status_command(
    jail: str | None, fleet: bool, role: str | None, as_json: bool, config_file: str | None
) -> int:
    """What is going on: whether `up` runs, every warning, who is banned, the jails, what is read.

    Of a JAIL: when it bans, what it reads, and everybody whom it has banned. Where the log is a fleet's: how
    this host's `ship` is. Exit code 1 when it, or `up`, is not running. With --fleet: 0 all is well, 1
    something needs a look (it is said first), 3 the log cannot be reached; a host that only observes because
    its configuration says so is well.
    """
    if role is not None:
        return _tell_health(role, config_file, as_json=as_json)
    settings = load_settings(config_file, check="log")
    if fleet or is_shared(settings.log_url):
        return _fleet(settings, jail, all_of_it=fleet, as_json=as_json)
    from banstream import glance
    from banstream.machine import machine

    log = open_to_read(settings)
    try:
        found = machine(log, settings, config_file, now_ms())
    finally:
        log.close()
    waits = [each["said"] for each in found.waiting_jails if each["jail"] == jail]
    if waits and jail not in found.jails and not as_json:
        say(waits[0])
        return 0 if found.running else 1
    if jail is not None and jail not in found.jails and not waits:
        known = ", ".join(found.jails) or "none"
        raise click.UsageError(f"there is no jail {jail!r}; known are {known}")
    if as_json:
        json_line(found.to_wire(jail))
    elif jail is not None:
        glance.show_jail(found, jail)
    else:
        glance.show_machine(found)
    return 0 if found.running else 1


def _fleet(settings: Settings, jail: str | None, *, all_of_it: bool, as_json: bool) -> int:
    from banstream import fleet, shipper

    if jail is not None:
        raise click.UsageError("a fleet's jails are its workers'; name no jail here")
    if all_of_it:
        return fleet.show_fleet(settings, as_json=as_json)
    return shipper.show_shipper(settings, as_json=as_json)


def _tell_health(role: str, config_file: str | None, *, as_json: bool) -> int:
    found = health(role)
    if not found.facts and path_of(role) is None:
        found = _without_a_file(role, config_file, found)
    if as_json:
        json_line({"role": role, "alive": found.alive, "said": found.said})
    else:
        say(found.said)
    return 0 if found.alive else 1


def _without_a_file(role: str, config_file: str | None, found: Health) -> Health:
    """How a role is that has no file here: `up` holds its log for as long as it lives, and speaks in it."""
    settings = load_settings(config_file, check="log")
    if role != "up" or is_shared(settings.log_url):
        return Health(alive=False, said=f"{found.said}{NO_DIRECTORY}")
    path = sqlite_path(settings.log_url)
    held = Claim.is_held(path, role)
    if held is None:
        return Health(
            alive=False, said=f"whether `up` runs on {path} is not for this user to see; ask as root"
        )
    if not held:
        return Health(alive=False, said=f"`up` does not run on {path}")
    silent_s = _silent_s(settings)
    if silent_s is not None and silent_s >= SILENT_S:
        return Health(alive=False, said=f"`up` hangs: it has said nothing in {path} for {silent_s:.0f} s")
    return Health(alive=True, said=f"`up` runs: it holds {path}")


def _silent_s(settings: Settings) -> float | None:
    """For how long `up` has said nothing in its log; None where nothing can be said there, or nobody has."""
    try:
        log = open_to_read(settings)
    except LogError:
        return None
    try:
        beat: dict[str, Any] | None = heartbeat(log)
        return (
            None if beat is None or beat["stopped"] or log.notices() else (now_ms() - beat["at_ms"]) / 1_000
        )
    finally:
        log.close()
