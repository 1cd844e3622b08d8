"""The SQLite log's file: made with the right permissions, opened with the right settings, known for ours.

What SQLite and the file system raise passes through here; eventlog.sqlite turns it into our errors.

The file's own descriptor is never opened here except to create it: POSIX drops all locks that a process
holds on a file as soon as it closes any descriptor of it, also those of another connection
(https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from eventlog import identity
from eventlog import sqlite_schema as sql
from eventlog.sqlite_errors import corrupt, denied, foreign
from eventlog.trust import doubt
from schemas.errors import LogError
from schemas.topics import ALL

BUSY_MS: Final = 10_000
"""How long a statement waits for another process's lock, in milliseconds.

SQLite waits by trying again, up to 100 ms apart, so beside a process that commits without a pause an
operator's command needs luck; this is a hundred tries."""

SMALLEST_BYTES: Final = 512
"""SQLite's smallest page: it would take a file of fewer bytes for an empty one, and overwrite it."""

SETTINGS: Final = (
    "PRAGMA trusted_schema = OFF",
    "PRAGMA synchronous = NORMAL",  # no fsync a commit: kill -9 loses nothing, a power cut the last moments
    "PRAGMA secure_delete = OFF",  # Debian's default overwrites what is dropped: retention would need room
    "PRAGMA cache_size = -2048",  # KiB
    "PRAGMA wal_autocheckpoint = 4000",  # pages: 16 MB of writing between two fsyncs
    "PRAGMA journal_size_limit = 33554432",  # bytes that a -wal file keeps after a burst
)


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection in autocommit mode to a log's file, made where it is missing."""
    _check_readable(path) if read_only else _make(path)
    _check_file(path)
    connection = sqlite3.connect(
        f"file:{_quoted(path)}?{_mode(path, read_only=read_only)}",
        uri=True,
        timeout=BUSY_MS / 1_000,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        for setting in SETTINGS:
            connection.execute(setting)
    except BaseException:
        connection.close()
        raise
    return connection


def identify(connection: sqlite3.Connection, path: Path, partitions: int | None) -> int:
    """Check that a file is a log of ours, in a state to be used; returns its number of partitions.

    Looks at the header, and at both ends of each stream: reading all of a big file at each start would take
    minutes. Damage elsewhere is found when it is read.
    """
    if (application := _pragma(connection, "application_id")) != sql.APPLICATION_ID:
        raise foreign(path, f"its application id is {application:#x}")
    if (version := _pragma(connection, "user_version")) > sql.FORMAT:
        raise LogError(
            f"{path}: written by a newer banstream, in format {version}; this one reads up to {sql.FORMAT}; "
            "upgrade this one"
        )
    (recorded,) = connection.execute("SELECT partitions FROM meta").fetchone()
    if partitions is not None and partitions != recorded:
        raise LogError(
            f"{path}: this log has {recorded} partitions, fixed when it was made, not {partitions}; "
            f"ask for {recorded}, or make a new log"
        )
    with transaction(connection, "BEGIN"):  # one snapshot: another process may be appending
        _check_ends(connection, path)
    return int(recorded)


def is_blank(connection: sqlite3.Connection) -> bool:
    """Whether nobody has made anything of this database yet."""
    marks = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    return marks == (0, 0) and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def initialize(connection: sqlite3.Connection, partitions: int) -> None:
    """Make a log of a blank database; whoever comes second finds it made."""
    _switch_to_wal(connection)
    with transaction(connection):
        if not is_blank(connection):
            return
        for statement in sql.DDL:
            connection.execute(statement)
        connection.execute("INSERT INTO meta (partitions) VALUES (?)", (partitions,))
        connection.execute(f"PRAGMA application_id = {sql.APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {sql.FORMAT}")


def bring_up_to_date(connection: sqlite3.Connection, partitions: int) -> None:
    """Give every topic that this version knows its streams, and the log an id; then it is of this format."""
    # The events come last: at the right edge of the tree SQLite fills pages to the brim.
    wanted = [(topic.name, partition) for topic in reversed(ALL) for partition in range(partitions)]
    known = {(topic, partition) for topic, partition, _ in connection.execute(sql.STREAMS)}
    if not known.issuperset(wanted) or _pragma(connection, "user_version") != sql.FORMAT:
        with transaction(connection):
            connection.executemany(sql.ADD_STREAM, wanted)
            connection.execute(f"PRAGMA user_version = {sql.FORMAT}")
    if connection.execute(sql.POSITION, (identity.READER,)).fetchone() is None:
        connection.execute(sql.NAME_LOG, (identity.READER, identity.new_id()))


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All that is written inside, or nothing; takes the write lock at once. `BEGIN` is for reading only."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite may have rolled back already, and on a failing disk the rollback fails as well.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _check_readable(path: Path) -> None:
    if not path.exists():
        raise LogError(f"{path}: no event log there yet; `banstream up` makes one")
    if not os.access(path, os.R_OK, effective_ids=True):
        raise denied(path, "it may not be read")


def _make(path: Path) -> None:
    """Make the file and its directories where they are missing, for this user alone whatever the umask."""
    _make_directory(path.parent)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    for place, what in ((path, "it"), (path.parent, "its directory")):
        if not os.access(place, os.W_OK, effective_ids=True):
            raise denied(path, f"{what} may not be written")


def _make_directory(directory: Path) -> None:
    if not directory.is_dir():
        _make_directory(directory.parent)
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            directory.chmod(0o700)


def _check_file(path: Path) -> None:
    """Refuse what is no database, and what others may have written, since bans can be forged there."""
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise denied(path, "it is no regular file")
    if 0 < state.st_size < SMALLEST_BYTES:
        raise foreign(path, f"it has {state.st_size} bytes")
    if why := doubt(path, also=state.st_uid):
        raise LogError(f"{path}: whoever writes to the event log can forge bans: {why}")


def _mode(path: Path, *, read_only: bool) -> str:
    if not read_only:
        return "mode=rw"
    # On a read-only medium there is no place for the files that a WAL reader needs, and no writer either.
    if os.access(path.parent, os.W_OK, effective_ids=True) or Path(f"{path}-wal").exists():
        return "mode=ro"
    return "mode=ro&immutable=1"


def _quoted(path: Path) -> str:
    """A path within a URI: only these three mean something there (https://www.sqlite.org/uri.html)."""
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; SQLite does not wait for a lock here, so a second creator has to try again."""
    deadline = time.monotonic() + BUSY_MS / 1_000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _check_ends(connection: sqlite3.Connection, path: Path) -> None:
    for stream, end in connection.execute("SELECT stream, next_offset FROM streams").fetchall():
        low = stream << sql.OFFSET_BITS
        connection.execute(sql.READ, (low, low + sql.OFFSETS, 1)).fetchone()
        (last,) = connection.execute(sql.LAST, (low, low + sql.OFFSETS)).fetchone()
        if last is not None and last - low >= end:
            raise corrupt(path, f"stream {stream} has a message past its end")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
