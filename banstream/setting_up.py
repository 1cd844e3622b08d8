"""A first configuration: which services this machine has, and the file that watches them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from banstream.doctor.sources import newest_files, tail_of
from producers.filters import NativeFilter, load_filter
from producers.library import library_names
from producers.sources.folders import matching_files
from producers.usual import FILE, SSHD, is_there

UNIT: Final = "journald:_SYSTEMD_UNIT="
UNIT_FOLDERS: Final = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
REQUESTS: Final = "requests"
"""The filter that reads every request: no failure is in it, so nobody wants it unasked."""
HEAD: Final = """\
# Written by `banstream setup`; what each key may say: banstream(1) and docs/configuration.md.
# `banstream config check` says whether it is right, `banstream reload` takes it up.
"""
DEFAULTS: Final = """
# Who fails so often within findtime is banned for bantime.
[defaults]
findtime = "10m"
maxretry = 5
bantime = "10m"
"""


class Service(NamedTuple):
    """A service whose failures a filter reads on this machine; `places`: where, as sources."""

    name: str
    title: str
    places: tuple[str, ...]


def services() -> list[Service]:
    """What this machine has that a filter of the library reads, by name.

    A log that only one filter reads speaks for its service, as does an installed unit. In a log that many
    write to (auth.log, mail.log), the filter's program must have written among the last lines, or the log lie
    in a folder of its name.
    """
    filters = [load_filter(name) for name in library_names() if name != REQUESTS]
    known = [each for each in filters if isinstance(each, NativeFilter)]
    readers = Counter(file for each in known for file in _files(each))
    found = (_service(each, readers) for each in known)
    return [each for each in found if each.places]


def _files(reader: NativeFilter) -> set[Path]:
    """The logs of this machine that are a filter's usual ones."""
    specs = (spec.removeprefix(FILE) for spec in reader.sources if spec.startswith(FILE))
    return {file for spec in specs for file in matching_files(spec)}


def sshd() -> Service:
    """OpenSSH's server, wherever it will log: what nearly every machine has."""
    return Service(SSHD, "OpenSSH's server", ())


def _service(reader: NativeFilter, readers: Mapping[Path, int]) -> Service:
    """One service, with the places where this machine has it; `readers`: how many filters read a log."""
    places = tuple(spec for spec in reader.sources if _has(spec, reader, readers))
    return Service(reader.name, reader.definition.title, places)


def _has(spec: str, reader: NativeFilter, readers: Mapping[Path, int]) -> bool:
    if spec.startswith(UNIT):
        return _is_installed(spec.removeprefix(UNIT)) and is_there(spec)
    if not spec.startswith(FILE):
        return False  # a field of the journal: whether anybody writes it is not known before he does
    files = [file for file in matching_files(spec.removeprefix(FILE)) if file.is_file()]
    return bool(files) and (all(readers[file] == 1 for file in files) or _writes_there(spec, reader))


def _is_installed(unit: str) -> bool:
    """Whether a unit's file is here; of an instance, its template's."""
    name, at, rest = unit.partition("@")
    file = f"{name}@.{rest.rpartition('.')[2]}" if at else unit
    return any((Path(folder) / file).is_file() for folder in UNIT_FOLDERS)


def _writes_there(spec: str, reader: NativeFilter) -> bool:
    """Whether a shared log is of a filter's service: by its folder's name, or its last lines' programs."""
    if reader.name in Path(spec.removeprefix(FILE)).parent.name:
        return True
    programs = [each for each in reader.programs if each.startswith(reader.name)]
    marks = [f" {program}{end}".encode() for program in programs for end in "[:/("]
    return any(mark in tail for tail in _tails(spec) for mark in marks)


def _tails(spec: str) -> Iterable[bytes]:
    for file in newest_files(spec):
        try:
            yield tail_of(file)
        except OSError:
            continue


def configuration(watched: Sequence[Service], never_ban: Sequence[str], *, enforced: bool) -> str:
    """The text of a configuration that watches these services, and bans where it is `enforced`."""
    jails = "".join(f"\n# {each.title}\n[jail.{each.name}]\n" for each in watched)
    backend = "nftables" if enforced else "null"
    why = "" if enforced else "  # observes only; nftables bans"
    enforcer = f'\n[enforcer]\nbackend = "{backend}"{why}\n'
    safe = f"never_ban = {orjson.dumps(list(never_ban)).decode()}\n" if never_ban else ""
    return HEAD + DEFAULTS + jails + enforcer + safe
