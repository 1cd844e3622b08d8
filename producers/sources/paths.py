"""Paths as they are found while somebody else makes and removes them: nothing here raises OSError."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fnmatch import translate
from pathlib import Path
from stat import S_ISLNK
from typing import Final

ROOT_UID: Final = 0
RECURSIVE: Final = "**"


def paths_of(pattern: str) -> list[Path]:
    """The paths there are that an absolute glob names; a folder that cannot be listed has none."""
    found: Iterable[Path] = [Path("/")]
    for part in Path(pattern).parts[1:]:
        if part == RECURSIVE:
            found = [below for path in found for below in _folders_below(path)]
        elif glob.has_magic(part):
            fits = re.compile(translate(part)).match
            found = [path / name for path in found for name in _names_in(path) if fits(name)]
        else:
            found = [path / part for path in found if is_there(path / part)]
    return sorted(set(found))


def fixed_part(pattern: str) -> Path:
    """The directory of a path, or of a glob the deepest without a wildcard."""
    parents = Path(pattern).parents
    return next(parent for parent in parents if not glob.has_magic(str(parent)))


def is_there(path: Path) -> bool:
    """Whether a path leads to something; unlike Path.exists it says no where that cannot be found out."""
    return os.path.exists(path)  # noqa: PTH110 - see above


def is_folder(path: Path) -> bool:
    """Whether a path leads to a directory; no where that cannot be found out, unlike Path.is_dir."""
    return os.path.isdir(path)  # noqa: PTH112 - see above


def real(path: Path) -> Path:
    """Where a path leads; unlike Path.resolve it gives something for a loop of symlinks too."""
    try:
        return Path(os.path.realpath(path))
    except OSError:
        return path


def is_foreign(path: Path, above: Path, known: dict[Path, bool]) -> bool:
    """Whether a link below a folder was made by somebody who has no say over what it leads to.

    The links of root, and those to what is the link's own owner's, are followed; nobody else's: a user would
    choose what is read with root's rights. `known`: what was found out in the same look.
    """
    if path == above or not path.is_relative_to(above):
        return False
    if path not in known:
        known[path] = is_foreign(path.parent, above, known) or _is_strangers_link(path)
    return known[path]


def _is_strangers_link(path: Path) -> bool:
    try:
        link = path.lstat()
        return link.st_uid != ROOT_UID and S_ISLNK(link.st_mode) and path.stat().st_uid != link.st_uid
    except OSError:
        return False


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - the names alone, a thousand of them
    except OSError:
        return []


def _folders_below(folder: Path) -> Iterator[Path]:
    """A folder and those below it; no link is followed."""
    with suppress(OSError):
        for place, _, _ in os.walk(folder):
            yield Path(place)
