"""Where a jail of fail2ban's reads: `logpath`, `backend` and `journalmatch` as sources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from banstream.importing.filters import Chosen, journal_match
from banstream.importing.installation import Installation, is_true
from producers.sources import missing_files
from producers.sources.paths import paths_of
from schemas.errors import ConfigError

WHOLE: Final = (
    "_TRANSPORT=journal + _TRANSPORT=syslog + _TRANSPORT=stdout + _TRANSPORT=kernel + _TRANSPORT=audit"
)
"""Every entry of a journal (systemd.journal-fields(7))."""
JOURNAL_OPTION: Final = re.compile(
    r"(journalpath|journalfiles|journalflags|namespace)\s*=\s*[\"']?([^\"',\]]+)"
)
TAILS: Final = ("tail", "head")


class ReadFrom(NamedTuple):
    """The sources of a jail, and what is to be said of a key: (key, verdict, sentence)."""

    sources: list[str]
    said: list[tuple[str, str]]


def sources_of(installation: Installation, jail: str, chosen: Chosen) -> ReadFrom:
    """Where a jail reads; no sources: its configuration names none. Raises ConfigError."""
    backend = installation.value(jail, "backend") or "auto"
    match = journal_match(installation, jail, chosen)
    if backend.startswith("systemd"):
        return _journal(backend, match)
    read = ReadFrom([], [])
    for path in paths_in(installation.value(jail, "logpath") or ""):
        if path.startswith("/"):
            read.sources.append(f"file:{path}")
        else:
            read.said.append(
                ("logpath", f"{path} is no absolute path, which a source has to be, and is left out")
            )
    if read.said and not read.sources:
        raise ConfigError(f"logpath: {'; '.join(said for _, said in read.said)}")
    there = any(paths_of(source.removeprefix("file:")) for source in read.sources)
    falls_back = is_true(installation.value(jail, "systemd_if_nologs") or "true") and backend == "auto"
    if match and falls_back and not there and not missing_files(f"journald:{match}"):
        files = ", ".join(read.sources) or "logpath"
        said = f"no file of {files} is there: the journal, as fail2ban 1.1 does it"
        return ReadFrom([f"journald:{match}"], [("logpath", said)])
    return read


def paths_in(logpath: str) -> Iterator[str]:
    """The files and globs of a `logpath`, without the word that says where fail2ban begins in them."""
    for line in logpath.splitlines():
        path, _, last = line.strip().rpartition(" ")
        if path and last in TAILS:
            yield path
        elif line.strip():
            yield line.strip()


def _journal(backend: str, match: str) -> ReadFrom:
    said: list[tuple[str, str]] = []
    asked: list[str] = []
    for key, value in JOURNAL_OPTION.findall(backend):
        if key == "journalpath":
            asked.append(f"directory={value.strip()}")
        elif key == "journalfiles":
            asked += [f"file={each}" for each in value.split()]
        else:
            said.append(("backend", f"{key} has no counterpart: the journal of this machine is read"))
    if not match:
        said.append(("backend", "no journalmatch: every entry of the journal is read"))
    return ReadFrom([f"journald:{' '.join([match or WHOLE, *asked])}"], said)
