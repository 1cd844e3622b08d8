"""`banstream doctor`: what this machine has and lacks, and what to do about it."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from typing import Final

import click

from banstream.config import load_settings
from banstream.doctor.finding import Examination, Finding
from banstream.doctor.fixing import close_files, close_keys, make_folder
from banstream.doctor.machine import (
    look_at_clock,
    look_at_disk,
    look_at_firewall,
    look_at_neighbours,
    look_at_own_address,
)
from banstream.doctor.records import look_at_keys, look_at_log
from banstream.doctor.sources import look_at_sources
from banstream.doubts import doubts
from banstream.options import config_option, json_option
from banstream.show import json_line, say
from schemas.errors import ConfigError

LOOKS: Final[tuple[Examination, ...]] = (
    look_at_sources,
    look_at_firewall,
    look_at_neighbours,
    look_at_own_address,
    look_at_keys,
    look_at_disk,
    look_at_clock,
    look_at_log,
)
MARKS: Final = {"good": "ok  ", "warning": "warn", "bad": "BAD "}


@click.command("doctor")
@click.option("--fix", is_flag=True, help="First put right what is safe: modes of files, a missing folder.")
@json_option
@config_option
def doctor_command(fix: bool, as_json: bool, config_file: str | None) -> int:
    """Check what this machine has and lacks. Exit code 1 when something is bad.

    The configuration, its logs and what the filters find in them, the firewall and who else bans here, the
    address that one is logged in from, disk and clock, and the event log, on this machine or on a cluster.
    """
    findings = list(_findings(config_file, fix=fix))
    for each in findings:
        if as_json:
            json_line({"about": each.about, "verdict": each.verdict, "found": each.found})
        else:
            say(f"{MARKS[each.verdict]}  {each.about:14} {each.found}")
    return int(any(each.verdict == "bad" for each in findings))


def _findings(config_file: str | None, *, fix: bool) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", "good", f"{version}, SQLite {sqlite3.sqlite_version}")
    yield _speed()
    if fix:
        yield from (Finding("fixed", "good", said) for said in close_files(config_file))
    try:
        settings = load_settings(config_file, check="filters")
    except ConfigError as error:
        for problem in error.problems:
            yield Finding("configuration", "bad", problem)
        return
    if fix:
        yield from (
            Finding("fixed", "good", said) for mend in (close_keys, make_folder) for said in mend(settings)
        )
    yield Finding("configuration", "good", settings.origin)
    for said in doubts(settings):
        yield Finding("configuration", "warning", said)
    for look in LOOKS:
        yield from look(settings)


def _speed() -> Finding:
    try:
        import hyperscan  # noqa: F401 - whether it is there is the question
    except ImportError:
        return Finding("hyperscan", "warning", 'absent: matching is slower; pip install "banstream[fast]"')
    return Finding("hyperscan", "good", "present: one pass over a buffer for all literals")
