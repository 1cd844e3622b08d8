"""How many files this process may have open."""

from __future__ import annotations

from contextlib import suppress
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from typing import Final

ENOUGH: Final = 65_536


def open_more_files() -> None:
    """Raise the soft limit of open files, 1,024 nearly everywhere, as far as the hard one lets it be.

    That one is low for programs that use select(2) alone (systemd's NEWS for version 240); here no descriptor
    that may be high is given to it.
    """
    soft, hard = getrlimit(RLIMIT_NOFILE)
    wanted = ENOUGH if hard < 0 else min(ENOUGH, hard)
    if 0 <= soft < wanted:
        with suppress(OSError, ValueError):
            setrlimit(RLIMIT_NOFILE, (wanted, hard))
