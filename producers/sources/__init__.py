"""Sources of lines, by what a configuration calls them.

| spec | reads |
|---|---|
| `file:/var/log/auth.log`, `file:/srv/*/log/auth.log` | a file, or every file of a glob, through rotation |
| `journald:_SYSTEMD_UNIT=ssh.service` | entries of the journal; also `file=PATH` or `directory=PATH` |
| `stdin` | standard input |
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from producers.contract import Source
from producers.sources.file import FileSource, matching_files
from producers.sources.journald import JournaldSource, problems_of
from producers.sources.start import Start
from producers.sources.stdin import StdinSource
from schemas.errors import ConfigError, InvalidMessage

__all__ = ["Start", "check_source", "default_sources", "open_source"]

SSHD_LOGS: Final = ("/var/log/auth.log", "/var/log/secure")
SSHD_JOURNAL: Final = "journald:_SYSTEMD_UNIT=ssh.service + _SYSTEMD_UNIT=sshd.service"
EXPECTED: Final = "expected file:/PATH, journald:FIELD=VALUE or stdin"


def now_ms() -> int:
    """The clock, in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def open_source(
    spec: str,
    resume: Mapping[str, Any] | None = None,
    start: Start | None = None,
    clock: Callable[[], int] = now_ms,
) -> Source:
    """The source of a spec, at the position that a chunk's `resume` gave, else where `start` says.

    Raises:
        ConfigError: the spec is none.
        InvalidMessage: `resume` is not a position of this kind of source.
    """
    kind, _, rest = spec.partition(":")
    start = start or Start()
    try:
        if kind == "file" and rest.startswith("/"):
            return FileSource(rest, resume, start, clock)
        if kind == "journald" and rest:
            return JournaldSource(shlex.split(rest), resume, start, clock)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidMessage(f"not a position of {spec}: {error!r}") from error
    if spec == "stdin":
        return StdinSource(clock, sys.stdin.fileno())
    raise ConfigError(f"{spec!r} is no source; {EXPECTED}")


def check_source(spec: str) -> list[str]:
    """What keeps a source from being read: what, where, what to do. Absent files are `missing_files`."""
    kind, _, rest = spec.partition(":")
    if spec == "stdin":
        return []
    if kind == "journald" and rest:
        return _journal_problems(rest)
    if kind == "file" and rest.startswith("/"):
        return [problem for path in matching_files(rest) if (problem := _unreadable(path))]
    return [f"{spec!r} is no source; {EXPECTED}"]


def missing_files(spec: str) -> list[str]:
    """A warning for each file of a source that is not there: it may appear later."""
    kind, _, path = spec.partition(":")
    if kind != "file" or matching_files(path):
        return []
    return [f"{path}: no such file yet; it is read from its start when it appears"]


def default_sources() -> list[str]:
    """What this machine has of sshd's log: a file, else the journal; empty when it has neither."""
    for path in SSHD_LOGS:
        if Path(path).is_file():
            return [f"file:{path}"]
    return [SSHD_JOURNAL] if shutil.which("journalctl") else []


def _journal_problems(matches: str) -> list[str]:
    try:
        return problems_of(shlex.split(matches))
    except ValueError as error:
        return [f"journald:{matches}: {error}; quote a value that holds spaces or quotes"]


def _unreadable(path: Path) -> str | None:
    if path.is_dir():
        return f"{path}: a directory; name its files, as {path}/*.log"
    if not path.is_file():
        return f"{path}: not a regular file; name a log file"
    if not os.access(path, os.R_OK):
        return f"{path}: may not be read; run as root, or let this user's group read it (usually adm)"
    return None
