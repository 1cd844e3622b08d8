"""Sources of lines, by what a configuration calls them.

| spec | reads |
|---|---|
| `file:/var/log/auth.log`, `file:/srv/*/log/auth.log` | a file, or every file of a glob, through rotation |
| `journald:_SYSTEMD_UNIT=ssh.service` | entries of the journal; also `file=PATH` or `directory=PATH` |
| `stdin` | standard input |
| `syslog+tcp://ADDRESS:PORT` and other schemes | what others send (`producers.intakes`) |

A kind is one module, loaded when a spec names it, with a `KIND` (`producers.contract.SourceKind`). Another
package adds one as an entry point of the group `banstream.sources`, by the name that its specs begin with.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from eventlog.clock import wall_clock_ms
from producers.contract import Source, SourceKind, StartPosition
from schemas.bounds import NAME_CHARACTERS
from schemas.errors import ConfigError
from schemas.registries import SOURCES

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

__all__ = ["SSHD_JOURNAL", "check_source", "default_sources", "missing_files", "open_source"]

BUILT_IN: Final[Mapping[str, str]] = {
    "file": "producers.sources.file",
    "gelf+tcp": "producers.sources.intake",
    "gelf+udp": "producers.sources.intake",
    "http": "producers.sources.intake",
    "https": "producers.sources.intake",
    "journald": "producers.sources.journald",
    "kafka": "producers.sources.intake",
    "stdin": "producers.sources.stdin",
    "tcp": "producers.sources.intake",
    "syslog+tcp": "producers.sources.intake",
    "syslog+tls": "producers.sources.intake",
    "syslog+udp": "producers.sources.intake",
}
SSHD_LOGS: Final = ("/var/log/auth.log", "/var/log/secure")
SSHD_JOURNAL: Final = (
    "journald:_SYSTEMD_UNIT=ssh.service + _SYSTEMD_UNIT=sshd.service + _SYSTEMD_SLICE=system-sshd.slice"
)
"""Debian's unit, everybody else's, and the instances that a socket starts, one a connection."""


def open_source(
    spec: str,
    resume: Mapping[str, Any] | None = None,
    start: StartPosition | None = None,
    clock: Callable[[], int] = wall_clock_ms,
) -> Source:
    """The source of a spec, at the position that a chunk's `resume` gave, else where `start` says.

    Raises:
        ConfigError: the spec is none.
        InvalidMessage: `resume` is not a position of this kind of source.
    """
    return _kind_of(spec).open(spec, resume, start or StartPosition(), clock)


def check_source(spec: str) -> list[str]:
    """What keeps a source from being read: what, where, what to do. Absent files are `missing_files`."""
    try:
        return _kind_of(spec).check(spec)
    except ConfigError as error:
        return [str(error)]


def missing_files(spec: str) -> list[str]:
    """A warning for each file of a source that is not there: it may appear later. Raises ConfigError."""
    return _kind_of(spec).missing(spec)


def default_sources() -> list[str]:
    """What this machine has of sshd's log: a file, else the journal; empty when it has neither."""
    for path in SSHD_LOGS:
        if Path(path).is_file():
            return [f"file:{path}"]
    return [SSHD_JOURNAL] if shutil.which("journalctl") else []


def _added() -> EntryPoints:
    """The kinds that other packages add."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - half of what this package costs to load

    return entry_points(group=SOURCES)


def _others() -> str:
    """The kinds that other packages add, for who mistook one."""
    names = sorted(point.name for point in _added() if point.name not in BUILT_IN)
    return f", or one of {', '.join(names)}" if names else ""


def _kind_of(spec: str) -> SourceKind:
    """The kind that a spec begins with the name of. Raises ConfigError when it is no spec of that kind."""
    if len(spec) > NAME_CHARACTERS:
        raise ConfigError(
            f"source {spec:.40}... has {len(spec)} characters; at most {NAME_CHARACTERS}: use a link"
        )
    name = spec.partition(":")[0]
    kind: SourceKind | None = None
    if name in BUILT_IN:
        kind = cast("SourceKind", import_module(BUILT_IN[name]).KIND)
    else:
        for point in _added().select(name=name):
            kind = cast("SourceKind", point.load())
    if kind is None or kind.spec.fullmatch(spec) is None:
        raise ConfigError(
            f"{spec!r} is no source; expected file:/PATH, journald:FIELD=VALUE or stdin, or what others "
            f"send: syslog+tcp://ADDRESS:PORT (udp, tls, http), kafka://TOPIC{_others()}"
        )
    return kind
