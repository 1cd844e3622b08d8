"""What a jail may lack on this machine though its configuration is right, and whether that has changed.

| lacked | looked at |
|---|---|
| a filter's file | where it is: the file, what lies beside it, the folders above it: by stat(2) alone |
| a source | what keeps it from being read |
| a place | whether a service logs there: of a jail that names no source |

A look reads no file. What was changed within SETTLING_NS of a look may change once more in the same instant
of the file system's clock: such a look is worth nothing, and what is lacked is read again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from producers.library import FAIL2BAN_ENDINGS, OWN_ENDING
from schemas.errors import ConfigError

SETTLING_NS: Final = 2_000_000_000


class Lack(NamedTuple):
    """A filter by its name, or a source or a place by its spec."""

    kind: Literal["filter", "source", "place"]
    name: str


class Lacking(ValueError):  # noqa: N818 - as the errors of schemas: what it says, not that it is one
    """A value that is right, and names what is not on this machine, or not as it has to be."""

    def __init__(self, expected: str, *lacks: Lack) -> None:
        """Keep what is lacked as a fact."""
        super().__init__(expected)
        self.lacks = lacks


Glimpse = tuple[object, ...]
"""What one look at all that a jail lacks has found; equal to the next one unless something has changed."""


def look(lacks: Iterable[Lack]) -> Glimpse | None:
    """How everything that is lacked looks now; None where that is not settled."""
    found: list[object] = []
    for lack in lacks:
        seen = _stats(lack.name) if lack.kind == "filter" else _hindrance(lack)
        if seen is None:
            return None
        found.append(seen)
    return tuple(found)


def _hindrance(lack: Lack) -> object | None:
    """What keeps a source from being read; None: nothing."""
    from producers.sources import check_source
    from producers.usual import is_there

    if lack.kind == "place":
        return None if is_there(lack.name) else "absent"
    return tuple(check_source(lack.name)) or None


def _stats(name: str) -> object | None:
    """The state of all that a filter may be read from; None where some of it has just been changed."""
    settled_ns = time.time_ns() - SETTLING_NS
    found: list[object] = []
    for path in _files(name):
        try:
            state = path.stat()
        except OSError as error:
            found.append((str(path), error.errno))
            continue
        if state.st_ctime_ns > settled_ns and not path.is_dir():
            return None
        what = (state.st_ino, state.st_mode, state.st_uid, state.st_gid)
        times = () if path.is_dir() else (state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        found.append((str(path), *what, *times))
    return tuple(found)


def _files(name: str) -> Iterator[Path]:
    """What a filter may be read from, and the folders above; of fail2ban's all that lies beside it."""
    try:
        path = _main_file(name).absolute()
    except ConfigError:
        return
    yield path
    yield from path.parents
    if path.suffix not in FAIL2BAN_ENDINGS:
        return
    for folder in (path.parent, path.with_suffix(".d")):
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208 - the names alone
        except OSError:
            continue
        yield from (folder / each for each in names if each.endswith(FAIL2BAN_ENDINGS))


def _main_file(name: str) -> Path:
    if name.endswith(OWN_ENDING):
        return Path(name)
    from producers.filters.fail2ban.files import parse_specification

    return parse_specification(name).path
