"""The SQLite log's file: who may touch it, and what a person is told when it cannot be used."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from eventlog.contract import Append
from eventlog.sqlite import SqliteLog
from schemas.errors import LogError, Transient
from schemas.topics import BANS, COMMANDS, DECISIONS, EVENTS
from tests.eventlog.filling import noise

NOBODY = 65_534


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """A file creation mask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def unprivileged() -> Iterator[None]:
    """An effective user without root's rights for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


def header(path: Path) -> int:
    """The format that a file says it has."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user reaches, with a log in it that every user may read."""
    directory = Path(tempfile.mkdtemp(prefix="banstream-test-"))
    directory.chmod(0o755)
    made = SqliteLog.open(directory / "log.db")
    made.append([Append(EVENTS.name, b"x")])
    made.close()
    (directory / "log.db").chmod(0o644)
    yield directory
    shutil.rmtree(directory)


def mode(path: Path) -> int:
    """A file's permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def edit(path: Path, statement: str) -> None:
    """Run one statement on a closed log's file, as another program would."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


class TestPermissions:
    """Nobody but its owner reads or writes the log."""

    @pytest.mark.parametrize("mask", [0o000, 0o022, 0o277])
    def test_files_are_private_whatever_the_umask(self, tmp_path: Path, mask: int) -> None:
        """The directories are 0700 and the file, its -wal and its -shm are 0600."""
        directory = tmp_path / "lib" / "banstream"
        with umask(mask):
            log = SqliteLog.open(directory / "log.db")
            log.append([Append(EVENTS.name, b"x")])
            log.claim("up")
        assert {mode(directory), mode(directory.parent)} == {0o700}
        assert {file.name: mode(file) for file in directory.iterdir()} == dict.fromkeys(
            ("log.db", "log.db-wal", "log.db-shm", "log.db.up.lock"), 0o600
        )
        log.close()

    def test_a_directory_that_exists_is_left_as_it_is(self, tmp_path: Path) -> None:
        """The mode of a directory that was there is the operator's choice."""
        tmp_path.chmod(0o750)
        SqliteLog.open(tmp_path / "log.db").close()
        assert mode(tmp_path) == 0o750

    @pytest.mark.parametrize("bits", [0o606, 0o620])
    @pytest.mark.parametrize("read_only", [False, True])
    def test_a_log_that_others_can_write_is_refused(self, path: Path, bits: int, read_only: bool) -> None:  # noqa: FBT001 - a parameter of the test
        """A file that others may have forged is refused with the command that makes it private."""
        SqliteLog.open(path).close()
        path.chmod(bits)
        with pytest.raises(LogError, match=f"mode 0{bits:o}.*chmod go-w {path}"):
            SqliteLog.open(path, read_only=read_only)
        path.chmod(0o600)
        SqliteLog.open(path, read_only=read_only).close()

    @pytest.mark.parametrize("read_only", [False, True])
    def test_a_log_that_others_can_replace_is_refused(self, path: Path, read_only: bool) -> None:  # noqa: FBT001 - as above
        """Who may write in its folder may put another log there; another user's own log is read."""
        SqliteLog.open(path).close()
        path.parent.chmod(0o777)
        with pytest.raises(LogError, match=f"forge bans.*its folder {path.parent} .mode 0777"):
            SqliteLog.open(path, read_only=read_only)
        path.parent.chmod(0o700)
        for each in (path, path.parent):
            os.chown(each, NOBODY, NOBODY)
        SqliteLog.open(path, read_only=read_only).close()

    def test_a_file_without_permission_is_refused(self, open_directory: Path) -> None:
        """A user who may not write the file is told so, with what to do; reading it is possible."""
        with unprivileged():
            with pytest.raises(LogError, match=r"log\.db: cannot .* user \d+: it may not be written; run as"):
                SqliteLog.open(open_directory / "log.db")
            log = SqliteLog.open(open_directory / "log.db", read_only=True)
            assert [message.value for message in log.read(EVENTS.name, 0, 0)] == [b"x"]
            log.close()

    def test_a_reader_without_permission_is_refused(self, open_directory: Path) -> None:
        """A user who may not read the file is told so."""
        (open_directory / "log.db").chmod(0o600)
        with unprivileged(), pytest.raises(LogError, match="may not be read; run as"):
            SqliteLog.open(open_directory / "log.db", read_only=True)

    def test_a_directory_without_permission_is_refused(self, open_directory: Path) -> None:
        """A log, or a directory for it, that cannot be made is refused with where and why."""
        with unprivileged():
            with pytest.raises(LogError, match=r"new\.db: cannot .* Permission denied; run as"):
                SqliteLog.open(open_directory / "new.db")
            with pytest.raises(LogError, match=r"new\.db: cannot .* Permission denied; run as"):
                SqliteLog.open(open_directory / "deep" / "er" / "new.db")

    def test_an_unreachable_log_is_refused(self, tmp_path: Path) -> None:
        """A log below a directory that may not be entered is refused, for reading too."""
        SqliteLog.open(tmp_path / "log.db").close()
        tmp_path.chmod(0o700)
        with unprivileged():
            for read_only in (False, True):
                with pytest.raises(LogError, match=r"log\.db: cannot .* Permission denied"):
                    SqliteLog.open(tmp_path / "log.db", read_only=read_only)

    def test_a_read_only_medium_is_read(self, small_disk: Path) -> None:
        """On a medium mounted read-only a log is read, and cannot be opened for writing."""
        with closing(SqliteLog.open(small_disk / "log.db")) as log:
            log.append([Append(EVENTS.name, b"x")])
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        with pytest.raises(LogError, match=r"log\.db: cannot .*: it may not be written"):
            SqliteLog.open(small_disk / "log.db")
        with closing(SqliteLog.open(small_disk / "log.db", read_only=True)) as log:
            assert [message.value for message in log.read(EVENTS.name, 0, 0)] == [b"x"]

    def test_a_read_only_log_refuses_every_write(self, path: Path, log: SqliteLog) -> None:
        """What was opened for reading reads on, and each way to write is a LogError."""
        reader = SqliteLog.open(path, read_only=True)
        for write in (
            lambda: reader.append([Append(EVENTS.name, b"x")]),
            lambda: reader.writer("decider"),
        ):
            with pytest.raises(LogError, match="readonly"):
                write()
        log.append([Append(EVENTS.name, b"x")])
        assert reader.end(EVENTS.name) == 1
        reader.close()


class TestRefusals:
    """What cannot be used as a log is refused with what, where and what to do, and is left as it is."""

    def test_a_missing_log_is_not_made_by_a_reader(self, path: Path) -> None:
        """A reader of a log that is not there yet is told how to make one, and makes nothing."""
        with pytest.raises(LogError, match="no event log there yet; `banstream up` makes one"):
            SqliteLog.open(path, read_only=True)
        assert not path.exists()

    @pytest.mark.parametrize("content", [b"PRETTY_NAME='Debian'\n" * 9, b"\x7fELF" * 2_000, b"S"])
    def test_a_file_that_is_no_database_is_refused(self, path: Path, content: bytes) -> None:
        """Another file's bytes stay as they are."""
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(LogError, match=r"not an event log of banstream.*left as it is"):
            SqliteLog.open(path)
        assert path.read_bytes() == content

    @pytest.mark.parametrize("application_id", [0, 0x0F055111])
    def test_a_database_of_another_program_is_refused(self, path: Path, application_id: int) -> None:
        """Another program's tables are refused, with or without a mark, and stay as they are."""
        edit(path, "CREATE TABLE cookies (name TEXT)")
        edit(path, f"PRAGMA application_id = {application_id}")
        path.chmod(0o600)
        before = path.read_bytes()
        for read_only in (False, True):
            with pytest.raises(LogError, match=f"not an event log of banstream.*{application_id:#x}"):
                SqliteLog.open(path, read_only=read_only)
        assert path.read_bytes() == before

    def test_a_newer_format_is_refused(self, path: Path) -> None:
        """A log of a newer version says which format it has and which this version reads."""
        SqliteLog.open(path).close()
        edit(path, "PRAGMA user_version = 4")
        with pytest.raises(LogError, match="newer banstream, in format 4; this one reads up to 3; upgrade"):
            SqliteLog.open(path)

    def test_a_log_of_before_commands_had_a_topic_is_made_one_of_now(self, path: Path) -> None:
        """It can be read as it is; once it is written to, a program of before leaves it alone."""
        with closing(SqliteLog.open(path)) as made:
            made.append([Append(EVENTS.name, b"kept")])
        edit(path, "PRAGMA user_version = 1")
        edit(path, "DELETE FROM streams WHERE topic = 'banstream.commands'")
        with closing(SqliteLog.open(path, read_only=True)) as old:
            assert old.read(COMMANDS.name, 0, 0) == []
            assert old.end(COMMANDS.name) == old.begin(COMMANDS.name) == 0
            assert old.offset_at(COMMANDS.name, 0, 0) == 0
        assert header(path) == 1
        with closing(SqliteLog.open(path)) as new:
            assert new.append([Append(COMMANDS.name, b"said")]) == [0]
            assert [message.value for message in new.read(EVENTS.name, 0, 0)] == [b"kept"]
        assert header(path) == 3

    def test_another_number_of_partitions_is_refused(self, path: Path) -> None:
        """The number of partitions is fixed when the log is made; asking for none takes what is there."""
        SqliteLog.open(path, partitions=4).close()
        with pytest.raises(LogError, match="has 4 partitions, fixed when it was made, not 2"):
            SqliteLog.open(path, partitions=2)
        log = SqliteLog.open(path)
        assert log.partitions == 4
        log.close()

    def test_a_directory_is_no_log(self, tmp_path: Path) -> None:
        """A directory in the log's place is refused."""
        with pytest.raises(LogError, match="it is no regular file"):
            SqliteLog.open(tmp_path)

    def test_a_file_in_the_directory_s_place_is_refused(self, tmp_path: Path) -> None:
        """A path that leads through a file is refused."""
        (tmp_path / "file").write_text("x")
        with pytest.raises(LogError, match=r"Not a directory"):
            SqliteLog.open(tmp_path / "file" / "deep" / "log.db")

    def test_an_empty_file_becomes_a_log(self, path: Path) -> None:
        """What a crash leaves before the first commit, an empty file, is made a log."""
        path.touch(0o600)
        log = SqliteLog.open(path)
        assert log.append([Append(EVENTS.name, b"x")]) == [0]
        log.close()

    def test_a_closed_log_says_so(self, path: Path) -> None:
        """A log that was closed is a LogError to use."""
        log = SqliteLog.open(path)
        log.close()
        with pytest.raises(LogError, match="closed"):
            log.end(EVENTS.name)

    @pytest.mark.parametrize("name", ["a b.db", "50%41.db", "what?.db", "#1.db", "ü.db"])
    def test_any_name_is_a_name(self, tmp_path: Path, name: str) -> None:
        """A name with characters that mean something in a URI names that very file."""
        log = SqliteLog.open(tmp_path / name)
        log.append([Append(EVENTS.name, b"x")])
        log.close()
        assert [file.name for file in tmp_path.iterdir()] == [name]


def fill(log: SqliteLog) -> None:
    """Write enough of everything that every table has several pages."""
    writer = log.writer("decider")
    for number in range(60):
        appends = [
            Append(EVENTS.name, noise(9_000)),
            Append(DECISIONS.name, b"d" * 300),
            Append(BANS.name, b"b" * 200 * (number % 3), key=f"192.0.2.{number}"),
        ]
        writer.commit(appends, {f"reader-{number}": b"%d" % number})


def use(path: Path) -> None:
    """Do everything that can be done with a log."""
    log = SqliteLog.open(path)
    try:
        for topic in (EVENTS, DECISIONS, BANS):
            log.read(topic.name, 0, 0)
            log.begin(topic.name)
            log.offset_at(topic.name, 0, 2**40)
        list(log.latest(BANS.name))
        log.position("reader-7")
        fill(log)
        log.retain(2**42)
    finally:
        log.close()


class TestDamage:
    """A damaged file is a LogError that says what to do, never another error."""

    def test_a_truncated_log_is_damaged(self, path: Path) -> None:
        """A file that was cut short is found when it is opened or read."""
        with closing(SqliteLog.open(path)) as log:
            fill(log)
        os.truncate(path, path.stat().st_size // 8192 * 4096)
        with pytest.raises(LogError, match=r"damaged.*aside and start anew.*\.recover"):
            use(path)

    def test_a_message_past_the_end_is_damage(self, path: Path) -> None:
        """A log whose counters fell behind its messages is refused, since it would use offsets twice."""
        with closing(SqliteLog.open(path)) as log:
            log.append([Append(EVENTS.name, b"x")] * 3)
        edit(path, "UPDATE streams SET next_offset = 2 WHERE next_offset = 3")
        with pytest.raises(LogError, match=r"damaged .*past its end"):
            SqliteLog.open(path)

    @pytest.mark.parametrize("seed", range(40))
    def test_damaged_bytes_give_no_other_error(self, path: Path, seed: int) -> None:
        """Whatever bytes are overwritten, the log is used, or refused with one of our errors."""
        chosen = random.Random(seed)
        with closing(SqliteLog.open(path)) as log:
            fill(log)
        content = bytearray(path.read_bytes())
        for _ in range(chosen.randint(1, 30)):
            page = chosen.choice((0, chosen.randrange(len(content) // 4096))) * 4096
            at = page + chosen.choice((chosen.randrange(4096), chosen.randrange(120)))
            content[at : at + 4] = chosen.randbytes(4)
        path.write_bytes(content)
        with suppress(LogError, Transient):
            use(path)
