"""What a jail may lack on this machine though its configuration is right, and whether that has changed.

| lacked | looked at |
|---|---|
| a filter's file | where it is: the file, what lies beside it, the folders above it: by stat(2) alone |
| a source | what keeps it from being read |
| a place | whether a service logs there: of a jail that names no source |
| a file | where it is: the file, and the folders above it, by stat(2) alone |

A look reads no file. What was changed within SETTLING_NS of a look may change once more in the same instant
of the file system's clock: such a look is worth nothing, and what is lacked is read again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from stat import S_ISDIR
from typing import Final, Literal, NamedTuple

from producers.library import FAIL2BAN_ENDINGS, OWN_ENDING
from schemas.errors import ConfigError

SETTLING_NS: Final = 2_000_000_000


class Lack(NamedTuple):
    """A filter by its name, a source or a place by its spec, or a file by its path."""

    kind: Literal["filter", "source", "place", "file"]
    name: str


class Lacking(ValueError):  # noqa: N818 - as the errors of schemas: what it says, not that it is one
    """A value that is right, and names what is not on this machine, or not as it has to be."""

    def __init__(self, expected: str, *lacks: Lack) -> None:
        """Keep what is lacked as a fact."""
        super().__init__(expected)
        self.lacks = lacks


Glimpse = tuple[object, ...]
"""What one look at all that a jail lacks has found; equal to the next one unless something has changed."""
LookRound = dict[str, object]
"""What was found at paths in one round of looks: many jails' filters lie in one folder."""
UNSETTLED: Final = None


def look(lacks: Iterable[Lack], known: LookRound | None = None) -> Glimpse | None:
    """How everything that is lacked looks now; None where that is not settled. `known`: in this round."""
    round_ = {} if known is None else known
    found = [_found(each, round_) for each in lacks]
    return None if UNSETTLED in found else tuple(found)


def _found(lack: Lack, known: LookRound) -> object:
    """How what is lacked looks; UNSETTLED where that may change within this instant."""
    match lack.kind:
        case "filter":
            return _of_filter(lack.name, known)
        case "file":
            found = _way(Path(lack.name), known)
            return UNSETTLED if UNSETTLED in found else tuple(found)
        case _:
            return _hindrance(lack)


def _hindrance(lack: Lack) -> object:
    """What keeps a source from being read; UNSETTLED: nothing."""
    from producers.sources import check_source
    from producers.usual import is_there

    if lack.kind == "place":
        return UNSETTLED if is_there(lack.name) else "absent"
    return tuple(check_source(lack.name)) or UNSETTLED


def _of_filter(name: str, known: LookRound) -> object:
    """What a filter may be read from, and the folders above; of fail2ban's all that lies beside it."""
    try:
        path = _main_file(name).absolute()
    except ConfigError:
        return name
    found = _way(path, known)
    if path.suffix in FAIL2BAN_ENDINGS:
        found += [_contents(each, known) for each in (path.parent, path.with_suffix(".d"))]
    return UNSETTLED if UNSETTLED in found else tuple(found)


def _way(path: Path, known: LookRound) -> list[object]:
    """The state of a file, and of the folders above it."""
    above = dict.fromkeys((*path.parents, *Path(os.path.realpath(path)).parents))
    return [_state(each, known) for each in (path, *above)]


def _contents(folder: Path, known: LookRound) -> object:
    """The state of each filter's file in a folder."""
    key = f"{folder}/"
    if key not in known:
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208 - the names alone
        except OSError as error:
            known[key] = error.errno
        else:
            found = [_state(folder / each, known) for each in names if each.endswith(FAIL2BAN_ENDINGS)]
            known[key] = UNSETTLED if UNSETTLED in found else tuple(found)
    return known[key]


def _state(path: Path, known: LookRound) -> object:
    """The state of a file or folder; UNSETTLED where a file has just been changed."""
    key = str(path)
    if key not in known:
        try:
            link, state = path.lstat(), path.stat()
        except OSError as error:
            known[key] = key, error.errno
            return known[key]
        is_folder = S_ISDIR(state.st_mode)
        what = (key, link.st_ino, link.st_uid, state.st_ino, state.st_mode, state.st_uid, state.st_gid)
        times = () if is_folder else (state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        settled = is_folder or abs(state.st_ctime_ns - time.time_ns()) > SETTLING_NS
        known[key] = (*what, *times) if settled else UNSETTLED
    return known[key]


def _main_file(name: str) -> Path:
    if name.endswith(OWN_ENDING):
        return Path(name)
    from producers.filters.fail2ban.files import parse_specification

    return parse_specification(name).path
