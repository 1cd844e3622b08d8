"""One process a role: a lock file beside the log, locked for as long as its process lives.

The kernel frees the lock with the process, however it ends, so a stale file means nothing. The file holds the
pid for people; the lock is flock(2), which a child that is started does not inherit (O_CLOEXEC).
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from eventlog.sqlite_errors import told
from schemas.errors import LogError

TRIES: Final = 10
TRY_AGAIN_S: Final = 0.02


class Claim:
    """A role on a log, held by this process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path, role: str) -> Self:
        """Take a role on the log at `path`; LogError, with the holder's pid, when another process has it."""
        lock_path = Path(f"{path}.{role}.lock")
        with told(lock_path):
            descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with suppress(PermissionError):  # whatever the umask; another user's file has its mode already
            os.fchmod(descriptor, 0o600)
        if not _locked(descriptor):
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise LogError(f"{path}: in use by another `{role}`, process {holder}; stop that one first")
        os.ftruncate(descriptor, 0)
        with suppress(OSError):  # a full disk: the lock holds, and only whose it is stays unsaid
            os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
        return cls(descriptor)

    @staticmethod
    def is_held(path: Path, role: str) -> bool | None:
        """Whether a process has a role on the log at `path` now; None for who has no right to know."""
        try:
            descriptor = os.open(f"{path}.{role}.lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def release(self) -> None:
        """Give the role up; the file stays, empty of meaning."""
        os.close(self._descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock; who only asks whether it is held (`is_held`) has it for a moment, too."""
    for _ in range(TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(TRY_AGAIN_S)
    return False
