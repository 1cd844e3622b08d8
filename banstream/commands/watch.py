"""`banstream watch`: events, commands and decisions as they happen."""

from __future__ import annotations

from typing import Final

import click

from banstream.config import load_settings
from banstream.options import config_option, json_option
from banstream.reading import open_to_read
from banstream.sentences import is_told, print_record
from banstream.show import flush, note
from eventlog.follower import Follower
from schemas.topics import COMMANDS, DECISIONS, EVENTS

WAIT_MS: Final = 1_000


@click.command("watch")
@json_option
@config_option
def watch_command(as_json: bool, config_file: str | None) -> int:
    """Events, commands and decisions as they happen, until Ctrl-C."""
    log = open_to_read(load_settings(config_file, check="log"))
    try:
        follower = Follower(log, (EVENTS, COMMANDS, DECISIONS), start="end")
        note("Watching; Ctrl-C ends it.")
        while True:
            follower.wait(WAIT_MS)
            for each in follower.records():
                if is_told(each):
                    print_record(each, as_json=as_json)
            flush()
    except KeyboardInterrupt:
        return 0
    finally:
        log.close()
