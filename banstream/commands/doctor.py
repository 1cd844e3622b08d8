"""`banstream doctor`: what this machine has and lacks, and what to do about it."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import click

from banstream.authority import caution, caution_in_force
from banstream.config import Settings, load_settings
from banstream.enrolled import hosts_of
from banstream.instants import now_ms
from banstream.options import config_option, json_option
from banstream.reading import heartbeat, is_up, open_to_read, rules_in_force
from banstream.show import json_line, say
from enforcers.backends import open_backend
from eventlog.urls import is_shared, url_warning
from producers.sources import check_source
from schemas.errors import BanstreamError, ConfigError

Verdict = Literal["good", "warning", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: the verdict, what was found, and what to do where it is not good."""

    about: str
    verdict: Verdict
    found: str


@click.command("doctor")
@json_option
@config_option
def doctor_command(as_json: bool, config_file: str | None) -> int:
    """Check what this machine has and lacks. Exit code 1 when something is bad."""
    findings = list(_findings(config_file))
    for each in findings:
        if as_json:
            json_line({"about": each.about, "verdict": each.verdict, "found": each.found})
        else:
            mark = {"good": "ok  ", "warning": "warn", "bad": "BAD "}[each.verdict]
            say(f"{mark}  {each.about:14} {each.found}")
    return int(any(each.verdict == "bad" for each in findings))


def _findings(config_file: str | None) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", "good", f"{version}, SQLite {sqlite3.sqlite_version}")
    try:
        settings = load_settings(config_file, check="filters")
    except ConfigError as error:
        for problem in error.problems:
            yield Finding("configuration", "bad", problem)
        return
    yield Finding("configuration", "good", settings.origin)
    looks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (_sources, _firewall, _log, _speed)
    for look in looks:
        yield from look(settings)


def _sources(settings: Settings) -> Iterator[Finding]:
    for spec in dict.fromkeys(source for jail in settings.jails for source in jail.sources):
        problems = check_source(spec)
        yield Finding("source", "bad" if problems else "good", "; ".join([spec, *problems]))


def _firewall(settings: Settings) -> Iterator[Finding]:
    backend, observing = open_backend(settings.enforcer.backend, table="banstream_doctor")
    if observing is None:
        backend.flush()  # a table of its own, gone again: looking changes nothing
    backend.close()
    if observing is None:
        yield Finding("firewall", "good", f"{backend.name} works")
    else:
        verdict: Verdict = "warning" if settings.enforcer.backend == "null" or os.geteuid() else "bad"
        yield Finding("firewall", verdict, f"observing only: {observing}")


def _log(settings: Settings) -> Iterator[Finding]:
    warning = url_warning(settings.log_url)
    if warning is not None:
        yield Finding("event log", "warning", warning)
    if (own := caution(settings)) is not None:
        yield Finding("who counts", "warning", own)
    try:
        with closing(open_to_read(settings)) as log:
            in_force = (
                caution_in_force(rules_in_force(log), hosts_of(log)) if is_shared(settings.log_url) else None
            )
            beat = heartbeat(log)
            running = is_up(settings.log_url, log, beat, now_ms())
    except BanstreamError as error:
        yield Finding("event log", "warning", str(error))
        return
    yield Finding("event log", "good", settings.log_url)
    if in_force is not None:
        yield Finding("who counts", "warning", in_force)
    yield Finding("up", "good" if running else "warning", "running" if running else "not running")
    for sentence, count in beat.get("notices", {}).items() if beat and running else ():
        yield Finding("up", "warning", f"{sentence} ({count})")


def _speed(_settings: Settings) -> Iterator[Finding]:
    try:
        import hyperscan  # noqa: F401 - whether it is there is the question
    except ImportError:
        yield Finding("hyperscan", "warning", 'absent: matching is slower; pip install "banstream[fast]"')
    else:
        yield Finding("hyperscan", "good", "present: one pass over a buffer for all literals")
