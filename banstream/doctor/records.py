"""The event log, on this machine or on a cluster, and what in it is told of who decides and who counts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from banstream.authority import caution, caution_in_force
from banstream.config import Settings
from banstream.doctor.finding import Finding
from banstream.doctor.machine import nearest_folder
from banstream.enrolled import hosts_of
from banstream.health import health
from banstream.instants import now_ms
from banstream.reading import heartbeat, is_up, rules_in_force
from eventlog.urls import check_reach, is_shared, open_log, sqlite_path, url_warning
from schemas.errors import BanstreamError

PATIENCE_MS: Final = 3_000
LOG: Final = "event log"
ROLES: Final = ("ship", "decide", "enforce")


def look_at_log(settings: Settings) -> Iterator[Finding]:
    """Whether it is there and well."""
    if (warning := url_warning(settings.log_url)) is not None:
        yield Finding(LOG, "warning", warning)
    if (own := caution(settings)) is not None:
        yield Finding("who counts", "warning", own)
    yield from _look_at_cluster(settings) if is_shared(settings.log_url) else _look_at_file(settings)


def _look_at_file(settings: Settings) -> Iterator[Finding]:
    path = sqlite_path(settings.log_url).absolute()
    if not path.exists():
        folder = nearest_folder(path)
        if os.access(folder, os.W_OK):
            yield Finding(LOG, "good", f"none at {path} yet; `banstream up` makes it")
        else:
            yield Finding(LOG, "bad", f"none at {path}, and {folder} cannot be written by who runs this")
        return
    try:
        with closing(open_log(settings.log_url, read_only=True)) as log:
            beat = heartbeat(log)
            running = is_up(settings.log_url, log, beat, now_ms())
            troubles = dict(log.notices())
    except BanstreamError as error:
        yield Finding(LOG, "bad", str(error))
        return
    yield Finding(LOG, "good", settings.log_url)
    if running:
        yield Finding("up", "good", "running")
    else:
        yield Finding("up", "warning", "not running; `banstream up`, or systemctl start banstream, does it")
    notices = {**troubles, **(beat.get("notices", {}) if beat and running else {})}
    for sentence, count in notices.items():
        yield Finding("up", "warning", f"{sentence} ({count})")


def _look_at_cluster(settings: Settings) -> Iterator[Finding]:
    try:
        check_reach(settings.log_url)
        with closing(open_log(settings.log_url, read_only=True, patience_ms=PATIENCE_MS)) as log:
            in_force = rules_in_force(log)
            warning = caution_in_force(in_force, hosts_of(log))
    except BanstreamError as error:
        yield Finding(LOG, "bad", str(error))
        return
    yield Finding(LOG, "good", f"reached; {log.partitions} partitions")
    if in_force is None:
        yield Finding(
            "rules", "bad", "no rules were put in force, so nobody is banned; `banstream rules push`"
        )
    else:
        yield Finding("rules", "good", f"{in_force.version} in force, {len(in_force.jails)} jails")
    if warning is not None:
        yield Finding("who counts", "warning", warning)
    for role in ROLES:
        found = health(role)
        if found.alive:
            yield Finding(role, "good", found.said)
        elif found.facts:
            yield Finding(role, "warning", found.said)


def look_at_keys(settings: Settings) -> Iterator[Finding]:
    """Whether the private keys that the configuration names are there, and not for everybody to read."""
    named = {"ship.key_file": settings.ship.key_file, "enforcer.key_file": settings.enforcer.key_file}
    for key, file in named.items():
        if file is None:
            continue
        said = f"{key} = {file}"
        try:
            public = Path(file).stat().st_mode & stat.S_IRWXO
        except OSError as error:
            todo = f"`banstream hosts key --key-file {file}` makes it"
            yield Finding("key", "bad", f"{said}: {error.strerror}; {todo}")
            continue
        todo = f": others may read it; chmod 600 {file}, and make a new one if they have"
        yield Finding("key", "bad" if public else "good", f"{said}{todo if public else ''}")
