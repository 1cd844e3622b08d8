"""Whether a file may be believed: nobody but root and who runs this can have written it, or put it there.

Who writes the configuration says whom to ban, and which files a role of root's reads and sends. So all that
lies on the way to a file is looked at, as the kernel goes:

| on the way | believed where |
|---|---|
| anything | it belongs to root, or to who runs this |
| a folder | no other may write in it; or it is sticky (/tmp): there nobody replaces what is another's |
| a file or link that nobody named | and its folder is no sticky one either: anybody can put files there |
| the file | no other may write to it; if it is a secret, not everybody may read it |
| a file that is named, and is or lies in a mount of its own, read-only | always: root mounted it for this |
| a pipe of who runs this (`/dev/fd`) | always |

By such mounts containers are given their configuration, and systemd's services their credentials: whoever
owns what is in them, nobody on this machine can write there.

A group of the user's own number is his alone (user private groups); root has none.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from pwd import getpwuid
from typing import Final

LINKS: Final = 40
"""As many links on one way, and the kernel gives up, too (path_resolution(7))."""

MOUNTS: Final = Path("/proc/self/mountinfo")
OCTAL: Final = str.maketrans({"\\": r"\134", " ": r"\040", "\t": r"\011", "\n": r"\012"})
"""How it writes what would end a field (proc_pid_mountinfo(5))."""


def doubt(path: Path, *, found: bool = False, secret: bool = False, also: int | None = None) -> str | None:
    """Why a file may not be believed, and what to do about it; None where it may.

    Args:
        path: the file.
        found: nobody named it; it was looked for at a usual place.
        secret: a password or a private key.
        also: the number of another user who is believed.

    Raises:
        OSError: it is not there, or cannot be reached.
    """
    if path.parts[:3] == ("/", "dev", "fd") or path == Path("/dev/stdin"):
        return None
    believed = {0, os.geteuid(), also}
    for place, state in _way(path):
        why = (
            _foreign(place, state, believed)
            or _open_to_others(place, state)
            or (_strewn(place, state) if found else None)
            or (_public(place, state) if secret else None)
        )
        if why and (found or not _mounted(place, state)):
            return why
    return None


def _way(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every folder and link that the kernel passes on its way to a file, and at last the file."""
    at, links = Path("/"), 0
    ahead = [*reversed(path.absolute().parts)]
    while ahead:
        part = ahead.pop()
        at = at.parent if part == ".." else at / part
        state = at.lstat()
        yield at, state
        if stat.S_ISLNK(state.st_mode):
            links += 1
            if links > LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            ahead += reversed(at.readlink().parts)
            at = at.parent


def _foreign(place: Path, state: os.stat_result, believed: set[int | None]) -> str | None:
    if state.st_uid in believed:
        return None
    whose, me = _user(state.st_uid), _user(os.geteuid())
    if stat.S_ISDIR(state.st_mode):
        todo = f"move the file to a folder of {me}'s, such as /etc/banstream for root"
    else:
        todo = f"if you trust what is in it: chown {shlex.quote(me)} {shlex.quote(str(place))}"
    return f"{place} belongs to {whose}, so {whose} decides what {me} would believe; {todo}"


def _open_to_others(place: Path, state: os.stat_result) -> str | None:
    mode = state.st_mode
    sticky = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
    if stat.S_ISLNK(mode) or sticky or not mode & _others(state):
        return None
    what = "its folder " if stat.S_ISDIR(mode) else ""
    return (
        f"others can write to {what}{place} (mode {stat.S_IMODE(mode):04o}); "
        f"if you trust what is in it: chmod go-w {shlex.quote(str(place))}"
    )


def _others(state: os.stat_result) -> int:
    """The bits that let others write."""
    private = state.st_gid == os.geteuid() != 0
    return stat.S_IWOTH if private else stat.S_IWOTH | stat.S_IWGRP


def _strewn(place: Path, state: os.stat_result) -> str | None:
    folder = place.parent.lstat()
    if stat.S_ISDIR(state.st_mode) or not folder.st_mode & _others(folder):
        return None
    return f"anybody can put files into {place.parent}; if you trust this one, name it with --config"


def _public(place: Path, state: os.stat_result) -> str | None:
    if not stat.S_ISREG(state.st_mode) or not state.st_mode & stat.S_IROTH:
        return None
    return (
        f"everybody can read {place} (mode {stat.S_IMODE(state.st_mode):04o}), and it is a secret; "
        f"chmod o-r {shlex.quote(str(place))}, and make a new one if others may have read it"
    )


def _mounted(place: Path, state: os.stat_result) -> bool:
    """Whether this file or its folder is a mount of its own, read-only, and not a user's (FUSE)."""
    if stat.S_ISLNK(state.st_mode) or not MOUNTS.exists():
        return False
    places = [place] if stat.S_ISDIR(state.st_mode) else [place, place.parent]
    names = [str(each).translate(OCTAL) for each in places if each != Path("/")]
    for line in MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines():
        mount, _, kind = line.partition(" - ")
        _, _, _, _, point, options, *_ = mount.split(" ")
        if point in names and "ro" in options.split(",") and not kind.startswith("fuse"):
            return True
    return False


def _user(number: int) -> str:
    try:
        return getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
