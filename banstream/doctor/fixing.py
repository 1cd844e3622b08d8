"""What `doctor --fix` puts right: what is safe, because nothing is lost by it and nobody gains a right."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from banstream.config import Settings
from banstream.locating import locate
from eventlog.urls import is_shared, sqlite_path


def close_files(config_file: str | None) -> Iterator[str]:
    """Take the right to write the configuration from others, where its files are of who runs this."""
    for path in locate(config_file):
        if _is_own_file(path) and (mode := path.stat().st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
            path.chmod(stat.S_IMODE(mode) & ~(stat.S_IWGRP | stat.S_IWOTH))
            yield f"others could write {path}, and no longer can"


def close_keys(settings: Settings) -> Iterator[str]:
    """Take the right to read private keys from others; who has read one already still knows it."""
    for file in dict.fromkeys((settings.ship.key_file, settings.enforcer.key_file)):
        if file is None or not _is_own_file(path := Path(file)):
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & stat.S_IRWXO:
            path.chmod(mode & ~stat.S_IRWXO)
            yield f"everybody could read {path}, and no longer can; make a new key if somebody may have"


def make_folder(settings: Settings) -> Iterator[str]:
    """The folder of an embedded log, for who runs this alone."""
    if is_shared(settings.log_url):
        return
    folder = sqlite_path(settings.log_url).absolute().parent
    if not folder.exists() and os.access(folder.parent, os.W_OK):
        folder.mkdir(mode=0o700)
        yield f"made {folder}, for the log"


def _is_own_file(path: Path) -> bool:
    """Whether it is a file, no link, of who runs this."""
    try:
        state = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(state.st_mode) and state.st_uid == os.geteuid()
