"""`banstream bans`: the bans in force."""

from __future__ import annotations

import click

from banstream.config import load_settings
from banstream.options import config_option, json_option
from banstream.reading import open_to_read
from banstream.show import instant, json_line, say, show, table
from schemas.codec import decode, to_wire
from schemas.records import Standing
from schemas.topics import BANS


@click.command("bans")
@json_option
@config_option
def bans_command(as_json: bool, config_file: str | None) -> int:
    """The bans in force, oldest decision first. Exit code 1 when there is none."""
    log = open_to_read(load_settings(config_file, check="log"))
    try:
        standings = [decode(message.value) for message in log.latest(BANS.name)]
    finally:
        log.close()
    holds = [
        (standing, hold)
        for standing in standings
        if isinstance(standing, Standing)
        for hold in standing.holds
    ]
    if as_json:
        for standing in standings:
            json_line(to_wire(standing))
    elif holds:
        rows = [
            (standing.prefix, hold.jail, instant(standing.decided_at_ms), instant(hold.until_ms), hold.ban)
            for standing, hold in holds
        ]
        show(table(f"{len(holds)} bans in force", ("prefix", "jail", "decided", "until", "decision"), rows))
    else:
        say("No bans in force.")
    return 0 if holds else 1
