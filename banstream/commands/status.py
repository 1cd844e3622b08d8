"""`banstream status`: what is going on."""

from __future__ import annotations

from typing import Any

import click

from banstream.config import load_settings
from banstream.health import health
from banstream.instants import now_ms
from banstream.options import config_option, json_option
from banstream.reading import heartbeat, is_up, open_to_read
from banstream.show import instant, json_line, say, show, table


@click.command("status")
@click.argument("jail", required=False)
@click.option("--fleet", is_flag=True, help="Every host whose enforcer was heard of within the last hour.")
@click.option(
    "--health",
    "role",
    type=click.Choice(["up", "ship", "decide", "enforce"]),
    help="Only whether this role is alive here: exit code 0 or 1, from $RUNTIME_DIRECTORY, else its unit's.",
)
@json_option
@config_option
def status_command(
    jail: str | None, fleet: bool, role: str | None, as_json: bool, config_file: str | None
) -> int:
    """What is going on: whether `up` runs, its jails and sources, the firewall, and every warning.

    Where the log is a fleet's: how this host's `ship` is. Exit code 1 when it, or `up`, is not running; with
    --fleet, when there is no host, or one is silent or has bans that its firewall does not take.
    """
    if role is not None:
        return _tell_health(role, as_json=as_json)
    settings = load_settings(config_file, check="log")
    if fleet or settings.log_url.startswith("kafka://"):
        from banstream import fleet as hosts

        if jail is not None:
            raise click.UsageError("a fleet's jails are its workers'; name no jail here")
        return (
            hosts.show_fleet(settings, as_json=as_json)
            if fleet
            else hosts.show_shipper(settings, as_json=as_json)
        )
    log = open_to_read(settings)
    try:
        beat, troubles = heartbeat(log), log.notices()
        running = is_up(settings.log_url, log, beat, now_ms())
    finally:
        log.close()
    facts: dict[str, Any] = {"running": running, **(beat or {})}
    facts["notices"] = {**facts.get("notices", {}), **troubles}
    jails: dict[str, Any] = facts.get("decider", {}).get("jails", {})
    if jail is not None and jail not in jails:
        raise click.UsageError(f"there is no jail {jail!r}; known are {', '.join(jails) or 'none'}")
    if jail is not None:
        facts["decider"]["jails"] = {jail: jails[jail]}
    if as_json:
        json_line(facts)
    else:
        _show_status(facts)
    return 0 if running else 1


def _tell_health(role: str, *, as_json: bool) -> int:
    found = health(role)
    if as_json:
        json_line({"role": role, "alive": found.alive, "said": found.said})
    else:
        say(found.said)
    return 0 if found.alive else 1


def _show_status(facts: dict[str, Any]) -> None:
    if "pid" not in facts:
        running = "`banstream up` runs; it could not say yet how it is."
        say(running if facts["running"] else "`banstream up` has never run on this log.")
        return
    state = "running" if facts["running"] else "not running; last heard of"
    say(f"banstream up: {state} (process {facts['pid']}, {instant(facts['at_ms'])})")
    if facts["enforcer"]["observing"]:
        say(f"OBSERVING ONLY, nothing is enforced: {facts['enforcer']['observing']}")
    columns = ("jail", "failing", "banned", "failures", "bans", "ignored")
    rows = [
        (name, *(counts[key] for key in columns[1:])) for name, counts in facts["decider"]["jails"].items()
    ]
    show(table("Jails", columns, rows))
    show(table("Enforcer", ("fact", "value"), facts["enforcer"].items()))
    show(table("Sources", ("source",), [(source,) for source in facts["producer"]["sources"]]))
    for problem, count in {**facts["notices"], **facts["waiting"]}.items():
        say(f"WARNING: {problem} ({count})")
