"""One process a role: a lock file beside the log, locked for as long as its process lives.

The kernel frees the lock with the process, however it ends, so a stale file means nothing. The file holds the
pid for people; the lock is flock(2), which a child that is started does not inherit (O_CLOEXEC).
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from eventlog.sqlite_errors import told
from schemas.errors import LogError


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
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise LogError(
                f"{path}: in use by another `{role}`, process {holder}; stop that one first"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
        return cls(descriptor)

    def release(self) -> None:
        """Give the role up; the file stays, empty of meaning."""
        os.close(self._descriptor)
