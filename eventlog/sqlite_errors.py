"""What SQLite and the file system say, as errors that tell a person what, where, and what to do.

| it said | it becomes |
|---|---|
| full, or any refusal while the file system has no room | Unwritable |
| locked for longer than the busy timeout | Transient |
| an I/O error | Unwritable: a disk may come back, and trying does no harm |
| not a database, corrupt, or columns of another kind than were written | LogError |
| read-only, cannot open, no permission | LogError |
| anything else | LogError |

Result codes: https://www.sqlite.org/rescode.html.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from schemas.errors import BanstreamError, LogError, Transient, Unwritable

ROOM_BYTES: Final = 65_536
"""Less room than this on the file system is none."""

BUSY_RETRY_MS: Final = 100


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Within this, what SQLite, the file system and damaged columns raise becomes one of our errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise from_sqlite(error, path) from error
    except OSError as error:
        raise from_os(error, path) from error
    except UnicodeEncodeError as error:
        raise LogError(f"{path}: cannot write a key or name that is no valid Unicode: {error}") from error
    except (TypeError, ValueError) as error:
        # Rows are unpacked and converted here: only a damaged file gives NULL, text or too few of them.
        raise corrupt(path, str(error)) from error


def from_sqlite(error: sqlite3.Error, path: Path) -> BanstreamError:
    """The error to raise for one of SQLite's; the transaction it broke has been rolled back."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL or (code in ROOM_CODES and no_room(path)):
        return _full(path)
    return SAYS.get(code, _unusable)(path, str(error))


def from_os(error: OSError, path: Path) -> BanstreamError:
    """The error to raise when a file or directory of the log cannot be made or looked at."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return _full(path)
    return denied(path, error.strerror or str(error))


def foreign(path: Path, why: str) -> LogError:
    """A file that is not ours: it is left as it is."""
    return LogError(f"{path}: not an event log of banstream: {why}; it was left as it is; name another file")


def corrupt(path: Path, what: str) -> LogError:
    """A file of ours that is damaged."""
    return LogError(
        f"{path}: the event log is damaged ({what}); stop banstream, move the file and its -wal and -shm "
        f"aside and start anew; `sqlite3 {path} .recover` reads what is left of it"
    )


def denied(path: Path, why: str) -> LogError:
    """A file or directory that this user may not use as it must be used."""
    return LogError(
        f"{path}: cannot be used as the event log by user {os.geteuid()}: {why}; "
        "run as its owner or as root, or name another file in [log] url"
    )


def no_room(path: Path) -> bool:
    """Whether the file system that holds a path has no room or no file left."""
    try:
        stats = os.statvfs(path.parent)
    except OSError:
        return False
    return stats.f_bavail * stats.f_frsize < ROOM_BYTES or (stats.f_files > 0 and stats.f_favail == 0)


def _full(path: Path) -> Unwritable:
    return Unwritable(f"{path}: the disk is full; nothing was written; make room and it goes on")


def _locked(path: Path, _why: str) -> Transient:
    return Transient(
        f"{path}: locked by another process; nothing was written, and trying again may work",
        retry_after_ms=BUSY_RETRY_MS,
    )


def _failing(path: Path, why: str) -> Unwritable:
    return Unwritable(f"{path}: the disk failed ({why}); nothing was written; `dmesg` may say why")


def _no_database(path: Path, _why: str) -> LogError:
    return foreign(path, "it is no SQLite database, or its first page is damaged")


def _unusable(path: Path, why: str) -> LogError:
    return LogError(f"{path}: the event log cannot be used: {why}")


ROOM_CODES: Final = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
SAYS: Final[Mapping[int, Callable[[Path, str], BanstreamError]]] = MappingProxyType(
    {
        sqlite3.SQLITE_BUSY: _locked,
        sqlite3.SQLITE_LOCKED: _locked,
        sqlite3.SQLITE_IOERR: _failing,
        sqlite3.SQLITE_NOTADB: _no_database,
        sqlite3.SQLITE_CORRUPT: corrupt,
        sqlite3.SQLITE_READONLY: denied,
        sqlite3.SQLITE_CANTOPEN: denied,
        sqlite3.SQLITE_PERM: denied,
    }
)
